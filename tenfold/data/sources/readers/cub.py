"""CUB-200-2011 (Caltech-UCSD Birds): four lists that number images and classes.

C. Wah, S. Branson, P. Welinder, P. Perona and S. Belongie, "The Caltech-UCSD Birds-200-2011 dataset", 2011.
"""

from collections.abc import Iterator

from tenfold.core.errors import InputError
from tenfold.data.sources.lists import Row, fixed_reader, numbered, table_of
from tenfold.data.sources.reader import Tables
from tenfold.data.sources.tree import Tree

LISTS = ("images.txt", "image_class_labels.txt", "classes.txt", "train_test_split.txt")
_SPLITS = {"1": "train", "0": "test"}


def _tables(tree: Tree, root: str) -> Tables:
    return [(root, table_of(tree, root + LISTS[0], _rows(tree, root)))]


def _rows(tree: Tree, root: str) -> Iterator[Row]:
    images, labels, classes, trains = (numbered(tree, root + name) for name in LISTS)
    for name, found in zip((LISTS[1], LISTS[3]), (labels, trains), strict=True):
        if found.keys() != images.keys():
            raise InputError(
                f"{tree.place(root + name)}: its images are not those of {LISTS[0]}. Fetch the data set again."
            )
    for number, path in images.items():
        if labels[number] not in classes or trains[number] not in _SPLITS:
            raise InputError(
                f"{tree.place(root + LISTS[0])}: image {number} is of class {labels[number]} and split "
                f"{trains[number]}; expected a class of {LISTS[2]}, and 0 or 1. Fetch the data set again."
            )
        yield f"images/{path}", classes[labels[number]], _SPLITS[trains[number]]


READER = fixed_reader("the lists of CUB-200-2011", LISTS, _tables)
