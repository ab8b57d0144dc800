"""PASCAL VOC's lists: `ImageSets/Main/cat_train.txt` says of each image whether a cat is on it.

M. Everingham et al., "The PASCAL Visual Object Classes (VOC) challenge", IJCV 2010. 1 is present, -1 is not, 0 is
present but difficult to see. A classifier gives one class an image, so each image must have one present class.
"""

from collections.abc import Iterator

from tenfold.core.errors import InputError
from tenfold.core.text import listed, printable
from tenfold.data.sources.lists import Row, list_reader, table_of, values_of
from tenfold.data.sources.reader import Tables
from tenfold.data.sources.tree import Tree

FOLDER = "ImageSets/Main/"
_SPLITS = {"train": "train", "val": "validation", "test": "test"}  # trainval is the first two together


def _lists(tree: Tree) -> list[str]:
    """The lists of all classes and splits in the one folder that has them."""
    if "JPEGImages" not in {folder.rpartition("/")[2] for folder in tree.folders}:
        return []
    names = [
        name
        for name in tree.files
        if f"/{name.rpartition('/')[0]}/".endswith(f"/{FOLDER}") and _said(name) is not None
    ]
    return names if len({name.rpartition("/")[0] for name in names}) == 1 else []


def _said(name: str) -> tuple[str, str] | None:
    """(class, split) of a list's name; None where it is none, or of a union of splits."""
    label, _, word = name.rpartition("/")[2].removesuffix(".txt").rpartition("_")
    return (label, _SPLITS[word]) if label and word in _SPLITS and name.endswith(".txt") else None


def _tables(tree: Tree, names: list[str]) -> Tables:
    root = names[0].rpartition("/")[0].removesuffix(FOLDER.rstrip("/"))
    return [(root, table_of(tree, names[0], _rows(tree, names)))]


def _rows(tree: Tree, names: list[str]) -> Iterator[Row]:
    present: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    for name in names:
        label, split = _said(name) or ("", "")
        for where, (picture, mark) in values_of(tree, name, 2):
            if mark not in {"-1", "0", "1"} or splits.setdefault(picture, split) != split:
                raise InputError(
                    f"{where}: expected an image of the {split} split only, and -1, 0 or 1. Mend the list."
                )
            present.setdefault(picture, [])
            present[picture] += [label] if mark != "-1" else []
    _check_single(tree, names[0], present)
    for picture, labels in present.items():
        yield f"JPEGImages/{picture}", labels[0] if labels else None, splits[picture]


def _check_single(tree: Tree, name: str, present: dict[str, list[str]]) -> None:
    several = {picture: labels for picture, labels in present.items() if len(labels) > 1}
    if several:
        picture, labels = next(iter(several.items()))
        where = tree.place(name).rpartition("/")[0]
        raise InputError(
            f"{where}: {len(several):,} of {len(present):,} images show several classes, for instance "
            f"{printable(picture)}: {listed([printable(label) for label in labels])}. A classifier gives one class "
            "an image, and which of them is meant is not guessed: crop the objects into class folders, or name one "
            "class for each image in a table, with --labels."
        )


READER = list_reader("PASCAL VOC's lists", _lists, _tables)
