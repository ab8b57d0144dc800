"""Food-101 and data sets in its form: `meta/train.txt` and `meta/test.txt` list pictures as `class/name`.

L. Bossard, M. Guillaumin and L. Van Gool, "Food-101: mining discriminative components with random forests",
ECCV 2014.
"""

from collections.abc import Iterator

from tenfold.core.errors import InputError
from tenfold.data.sources.lists import Row, fixed_reader, lines_of, table_of
from tenfold.data.sources.reader import Tables
from tenfold.data.sources.tree import Tree

LISTS = ("meta/train.txt", "meta/test.txt", "meta/classes.txt")


def _tables(tree: Tree, root: str) -> Tables:
    classes = {line for _, line in lines_of(tree, root + LISTS[2])}
    names = {"train": root + LISTS[0], "test": root + LISTS[1]}
    return [(root, table_of(tree, name, _rows(tree, name, split, classes))) for split, name in names.items()]


def _rows(tree: Tree, name: str, split: str, classes: set[str]) -> Iterator[Row]:
    for where, line in lines_of(tree, name):
        label = line.rpartition("/")[0]
        if label not in classes:
            raise InputError(
                f"{where}: expected CLASS/NAME with one of the {len(classes)} classes of {LISTS[2]}. Mend the lists."
            )
        yield f"images/{line}", label, split


READER = fixed_reader("Food-101's lists", LISTS, _tables)
