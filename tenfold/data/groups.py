"""What a source holds before anything is decoded: groups of images, one for each folder of a split."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tenfold.data.decode import Encoded

ALIASES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}

_NAMES = {
    name: re.compile(rf"({'|'.join(aliases)})[-_ ]?\d*", re.IGNORECASE) for name, aliases in ALIASES.items()
}


@dataclass(frozen=True)
class Group:
    """The images of one folder or file of a source.

    split: the one that the source puts them in, or None; name: the folder's; paths: each image's identity;
    classes: the name of each image's class; encoded: gives (position, picture) in the cheapest order to read.
    """

    split: str | None
    name: str
    paths: Sequence[str]
    classes: Sequence[str]
    encoded: Callable[[], Iterator[tuple[int, Encoded]]]


def split_named(name: str) -> str | None:
    """The split that a folder's name stands for (`val`, `Training`, `train3`, ...), or None."""
    return next((split for split, pattern in _NAMES.items() if pattern.fullmatch(name)), None)
