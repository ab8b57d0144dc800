"""The Oxford-IIIT Pet data set: lists of `name breed species number`, where a name is a breed and a number.

O. M. Parkhi, A. Vedaldi, A. Zisserman and C. V. Jawahar, "Cats and dogs", CVPR 2012.
"""

import re

from tenfold.core.errors import InputError
from tenfold.data.sources.lists import Row, fixed_reader, table_of, values_of
from tenfold.data.sources.reader import Tables
from tenfold.data.sources.tree import Tree

LISTS = ("annotations/trainval.txt", "annotations/test.txt")
_NAME = re.compile(r"(.+)_\d+")


def _tables(tree: Tree, root: str) -> Tables:
    breeds: dict[str, str] = {}
    tables = []
    for name, split in zip(LISTS, ("train", "test"), strict=True):
        tables.append((root, table_of(tree, root + name, _rows(tree, root + name, split, breeds))))
    if len(set(breeds.values())) < len(breeds):
        raise InputError(
            f"{tree.place(root + LISTS[0])}: two breeds have one name. Fetch the data set again."
        )
    return tables


def _rows(tree: Tree, name: str, split: str, breeds: dict[str, str]) -> list[Row]:
    """The rows of a list; `breeds` gathers the name of each breed's number, which must agree everywhere."""
    rows = []
    for where, (picture, number, _, _) in values_of(tree, name, 4):
        match = _NAME.fullmatch(picture)
        if match is None or breeds.setdefault(number, match[1]) != match[1]:
            raise InputError(
                f"{where}: expected BREED_NUMBER and the breed's number, which is {number} only for "
                f"{breeds.get(number, 'one breed')!r}. Mend the list."
            )
        rows.append((f"images/{picture}", match[1], split))
    return rows


READER = fixed_reader("the lists of Oxford-IIIT Pet", LISTS, _tables)
