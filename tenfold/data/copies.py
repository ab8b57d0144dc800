"""Which images of a source are copies of one picture, by their pixels, by what they show, and by their names.

Such images belong in one split: what is tested on must not have been trained on. And they are one piece of evidence,
not several, so that intervals are by clusters of them.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock

from tenfold import recipe
from tenfold.core.arrays import NO_ARRAYS
from tenfold.core.files import atomic
from tenfold.core.progress import Progress
from tenfold.data.duplicates import exact_duplicates
from tenfold.data.likeness import near_copies
from tenfold.data.pack import Pack
from tenfold.data.reading import ImageTable
from tenfold.data.siblings import siblings

VERSION = 2  # of how near copies are found; another version looks again
SMALLEST = 16  # pixels a side; below, similar pictures cannot be told from near copies
QUICK = 20_000  # images among which near copies are looked for without being asked


@dataclass(frozen=True)
class Copies:
    """What was found; positions are those of the table's images.

    exact: groups of equal pixels; named: groups whose names say that they show one picture; near: (P, 2) pairs that
    show nearly the same, of pictures that are not exact copies of earlier ones, with their likeness (P,) from 0 to 1;
    not_looked: why near ones were not looked for.
    """

    exact: list[np.ndarray]
    named: list[np.ndarray]
    near: np.ndarray
    likeness: np.ndarray
    not_looked: str = ""

    def clusters(self, images: int) -> np.ndarray:
        """(images,) int64 the number of each image's cluster, -1 for an image that has no copy."""
        # What predicts reads no copies, and is to start quickly.
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        chains = [np.column_stack([group[:-1], group[1:]]) for group in (*self.exact, *self.named)]
        links = np.concatenate([self.near, *chains])
        graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(images, images))
        numbers = connected_components(graph, directed=False)[1]
        return numbered(np.where(np.bincount(numbers)[numbers] > 1, numbers, -1))


def numbered(clusters: np.ndarray) -> np.ndarray:
    """(N,) int64 with the clusters' numbers from 0 on, in the order of their first images; -1 stays."""
    values, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(np.where(values < 0, -1, first))) - int(bool(np.any(values < 0)))
    return order[inverse].astype(np.int64)


def find_copies(pack: Pack, limit: int | None = None, progress: Progress | None = None) -> Copies:
    """The copies among a pack's images; near ones only where there are at most `limit` images.

    Near ones are looked for once for each pack. `progress` is called with (images compared, images in all).
    """
    exact = exact_duplicates(pack.table.pictures)
    named = siblings(pack.table.paths)
    why = _why_not(pack, limit)
    near, likeness = _nothing() if why else _near(pack, exact, progress)
    return Copies(exact, named, near, likeness, why)


def with_copies(pack: Pack, data: recipe.Data, progress: Progress | None = None) -> ImageTable:
    """The pack's table with the clusters that `data.copies` asks for."""
    table, images = pack.table, len(pack.table.rows)
    if data.copies == "apart":
        return table
    if data.copies == "exact":
        nothing = Copies(exact_duplicates(table.pictures), [], *_nothing())
        return replace(table, clusters=nothing.clusters(images))
    found = find_copies(pack, None if data.copies == "near" else QUICK, progress)
    not_looked = found.not_looked if images > QUICK else ""  # of tiny pictures, nobody expects it
    return replace(table, clusters=found.clusters(images), not_looked=not_looked)


def with_clusters(table: ImageTable, known: Sequence[Sequence[int]]) -> ImageTable:
    """The table with the clusters of a run that exists: lists of the rows of its source."""
    clusters = np.full(len(table.rows), -1, np.int64)
    for number, rows in enumerate(known):
        clusters[np.isin(table.rows, rows)] = number
    return replace(table, clusters=clusters)


def _why_not(pack: Pack, limit: int | None) -> str:
    if not isinstance(pack.pixels, np.ndarray):
        return "images are streamed; data.streaming=false looks for them"
    if min(pack.pixels.shape[1:3]) < SMALLEST:
        return f"pictures under {SMALLEST} pixels are too small to tell them"
    if limit is not None and len(pack.table.rows) > limit:
        return f"there are more than {limit:,} images; data.copies=near looks for them among any number"
    return ""


def _nothing() -> tuple[np.ndarray, np.ndarray]:
    return np.empty((0, 2), np.int64), np.empty(0, np.float32)


def _near(pack: Pack, exact: list[np.ndarray], progress: Progress | None) -> tuple[np.ndarray, np.ndarray]:
    """Near copies, from the pack's folder, where they are written when they are first looked for."""
    path = pack.folder / f"near-{VERSION}.npz"
    if (known := _read(path)) is not None:
        return known
    with FileLock(pack.folder.parent / f"{pack.folder.name}.near.lock"):
        if (known := _read(path)) is not None:  # another process has looked meanwhile
            return known
        repeated = np.concatenate([np.empty(0, np.int64), *(group[1:] for group in exact)])
        kept = np.setdiff1d(np.arange(len(pack.table.rows)), repeated)
        assert isinstance(pack.pixels, np.ndarray)  # see _why_not
        pairs, likeness = near_copies(pack.pixels, pack.table.rows[kept], progress)
        found = kept[pairs], likeness
        with suppress(OSError), atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, near=found[0], likeness=found[1])
        return found


def _read(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        with open(path, "rb") as file, np.load(file) as saved:
            return saved["near"], saved["likeness"]
    except (*NO_ARRAYS, OSError):
        return None
