"""Oxford Flowers 102: `imagelabels.mat` has a class for `jpg/image_00001.jpg` and so on, `setid.mat` the splits.

M.-E. Nilsback and A. Zisserman, "Automated flower classification over a large number of classes", ICVGIP 2008. The
classes have numbers only.
"""

from collections.abc import Iterator

import numpy as np

from tenfold.core.errors import InputError
from tenfold.data.sources.lists import Row, fixed_reader, table_of
from tenfold.data.sources.reader import Tables
from tenfold.data.sources.readers.mat import read_arrays
from tenfold.data.sources.tree import Tree

LISTS = ("imagelabels.mat", "setid.mat")
_SPLITS = {"trnid": "train", "valid": "validation", "tstid": "test"}


def _tables(tree: Tree, root: str) -> Tables:
    return [(root, table_of(tree, root + LISTS[0], _rows(tree, root)))]


def _rows(tree: Tree, root: str) -> Iterator[Row]:
    labels = _integers(tree, root + LISTS[0], "labels")
    numbers = {split: _integers(tree, root + LISTS[1], key) for key, split in _SPLITS.items()}
    every = np.concatenate(list(numbers.values()))
    if len(np.unique(every)) < len(every) or every.min(initial=1) < 1 or every.max(initial=0) > len(labels):
        raise InputError(
            f"{tree.place(root + LISTS[1])}: its splits share images, or name others than the {len(labels):,} of "
            f"{LISTS[0]}. Fetch the data set again."
        )
    for split, chosen in numbers.items():
        for number in chosen.tolist():
            yield f"jpg/image_{number:05}", str(labels[number - 1]), split


def _integers(tree: Tree, name: str, key: str) -> np.ndarray:
    """The integers (n,) that a MATLAB file keeps as `key`. Raises InputError where there are none."""
    found = read_arrays(tree, name).get(key, np.empty(0))
    values = found.ravel()
    if found.dtype.kind not in "iuf" or not len(values) or not np.array_equal(values, np.rint(values)):
        raise InputError(f"{tree.place(name)}: it has no integers called {key!r}. Fetch the data set again.")
    return values.astype(np.int64)


READER = fixed_reader("the lists of Oxford Flowers 102", LISTS, _tables)
