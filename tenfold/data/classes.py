"""The order of the classes, which is written down once and holds for good."""

from collections.abc import Sequence

import numpy as np

from tenfold.core.errors import InputError
from tenfold.core.text import class_name, listed, natural, plural
from tenfold.data.reading import ImageTable
from tenfold.data.source import SPLIT_NAMES


def training_order(
    table: ImageTable, assigned: np.ndarray, given: tuple[str, ...] | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the training classes in order, and for each class of the table its place among them.

    The order is `given` where that names the same classes.
    """
    present = {
        name: set(np.unique(table.labels[assigned == i]).tolist()) for i, name in enumerate(SPLIT_NAMES)
    }
    names = class_order([table.classes[label] for label in present["train"]])
    lost = set(range(len(table.classes))).difference(*present.values())
    if lost:
        raise InputError(
            f"no image can be read of {plural(len(lost), 'class')}: "
            f"{listed(sorted(table.classes[label] for label in lost))}. Mend the files, or remove the folders."
        )
    if not names:
        others = " and ".join(name for name in SPLIT_NAMES if present[name])
        raise InputError(
            f"the source has no training images, only {others} ones by the names of its folders or files. Add those "
            "to train on, or name them with --train; to learn from these, rename them as training ones."
        )
    for name in ("validation", "test"):
        strange = sorted(table.classes[label] for label in present[name] - present["train"])
        if strange:
            raise InputError(
                f"the {name} split has {plural(len(strange), 'class')} that training does not have: "
                f"{listed(strange)}. A class is known by its folder's name; training has {listed(names)}. "
                "Rename or remove the folder, or add training images of the class."
            )
    if len(names) < 2:
        raise InputError(
            f"training has only one class, {names[0]!r}: telling classes apart takes at least two. "
            "Put the images of each class in a folder named by the class."
        )
    cleaned = [class_name(name) for name in given or ()]
    if given and sorted(cleaned) == sorted(names):
        names, order = cleaned, given
    else:
        order = tuple(names)
    mapping = np.full(len(table.classes), -1, np.int64)
    for place, name in enumerate(names):
        mapping[table.classes.index(name)] = place
    return order, mapping


def class_order(names: Sequence[str]) -> list[str]:
    """Class names in their order for good: by character, but numbers in them by value (`c2` before `c10`)."""
    return sorted(names, key=natural)
