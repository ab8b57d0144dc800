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


def split_of_file(name: str) -> str | None:
    """The split that a file's name or a folder above it says (`data/train-00000-of-00002.parquet`), or None."""
    *folders, file = name.split("/")
    parts = (*folders, re.split(r"[-_.]", file)[0])
    return next((split for part in parts if (split := split_named(part))), None)
