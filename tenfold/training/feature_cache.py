"""The feature cache: what a frozen backbone makes of a split, computed once and kept, memory-mapped, as float16.

A feature set is a folder `TENFOLD_CACHE/features/KEY`: `features.npy` (rows, h, w, F) and `features.json`. It
appears under its name only when it is complete. Until then it grows in `.KEY.partial`, block by block, with a note of
how many rows are safely on the disk, so that a killed run goes on where it stopped.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from tenfold.augment import Pipeline
from tenfold.core.arrays import NO_ARRAYS
from tenfold.core.axes import channels_first, channels_last
from tenfold.core.checksums import block_hashes, damaged_blocks
from tenfold.core.errors import TenfoldError
from tenfold.core.files import cache_folder, check_room, explained_write, put_folder, write_json
from tenfold.core.progress import Progress
from tenfold.core.world import ALONE, World
from tenfold.data import Split
from tenfold.inference.engines import Encoder
from tenfold.inference.graphs import weights_hash
from tenfold.models import Classifier

VERSION = 1
BLOCK = 128  # images between two notes of progress: about a second of work


@dataclass(frozen=True)
class Views:
    """`count` versions of each image: the first as it is, the others changed by `pipeline`, drawn from `seed`."""

    count: int
    pipeline: Pipeline
    seed: int

    def describe(self) -> list[str]:
        """What decides the augmented versions; nothing where there are none."""
        return (
            []
            if self.count == 1
            else [str(self.count), str(self.seed), *map(repr, self.pipeline.augmentations)]
        )


@dataclass(frozen=True)
class FeatureSet:
    """Where the features of one split lie, or will lie, and their shape (rows, h, w, F)."""

    folder: Path
    shape: tuple[int, ...]
    about: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether it is all there."""
        return (self.folder / "features.json").is_file()

    def open(self) -> np.ndarray:
        """The features, memory-mapped. Raises TenfoldError where the files are not what was written."""
        remedy = (
            f"Remove {self.folder} (or run `tenfold cache --clear`), and run again: it will be computed anew."
        )
        try:
            about = json.loads((self.folder / "features.json").read_text(encoding="utf-8"))
            if about["version"] != VERSION:
                raise ValueError(f"of version {about['version']}, this tenfold reads version {VERSION}")
            features = np.load(self.folder / "features.npy", mmap_mode="r", allow_pickle=False)
            if features.shape != self.shape or features.dtype != np.float16:
                raise ValueError(f"{features.dtype} {features.shape}, expected float16 {self.shape}")
            # All of it is looked at: training reads all of it again and again.
            hashes = np.array([int(text, 16) for text in about.get("blocks", [])], np.uint64)
            if damaged_blocks(self.folder / "features.npy", hashes):
                raise ValueError("changed since they were written")
        except (*NO_ARRAYS, OSError) as error:
            raise TenfoldError(f"{self.folder}: the cached features are damaged: {error}. {remedy}") from None
        return features


def feature_set(model: Classifier, split: Split, views: Views) -> FeatureSet:
    """The feature set of `split` under a model's frozen part: named by everything that decides its numbers."""
    frozen = model.frozen_part()
    about = {
        **frozen.about,
        "weights": weights_hash(frozen.extractor),
        "mean": list(model.preprocessing.mean),
        "deviation": list(model.preprocessing.deviation),
        "split": split.fingerprint,
        "pixels": list(split.pixels.shape[1:]),
        "views": views.describe(),
    }
    key = hashlib.blake2b(json.dumps([VERSION, about], sort_keys=True).encode(), digest_size=16).hexdigest()
    features, height, width = frozen.shape
    shape = (len(split) * views.count, height, width, features)
    return FeatureSet(cache_folder() / "features" / key, shape, about)


def compute(
    found: FeatureSet,
    split: Split,
    views: Views,
    encode: Encoder,
    progress: Progress,
    world: World = ALONE,
) -> int:
    """Compute what is missing of a feature set; give how many rows that were.

    `progress` is called with the rows done and the rows in all. The processes of a world share the work, and the
    first writes. Raises TenfoldError when the disk is full; what is computed by then is kept, and the next call goes
    on from there.
    """
    if not world.first:
        return _help(found, split, views, encode, world)
    with explained_write(found.folder):
        found.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(found.folder.with_name(f".{found.folder.name}.lock")):
            computed = 0
            if not world.agree(lambda: found.complete):
                computed = _grow(found, split, views, encode, progress, world)
            return world.agree(lambda: computed)


def _help(found: FeatureSet, split: Split, views: Views, encode: Encoder, world: World) -> int:
    """What another process than the first does for a feature set, which lies there when this returns."""
    if not world.agree(lambda: found.complete):
        done = world.agree(lambda: 0)
        for _ in _encoded(split, views, done, encode, world):
            pass
    return world.agree(lambda: 0)


def _grow(
    found: FeatureSet, split: Split, views: Views, encode: Encoder, progress: Progress, world: World
) -> int:
    partial = found.folder.with_name(f".{found.folder.name}.partial")
    partial.mkdir(exist_ok=True)
    begun = done = world.agree(lambda: _rows_done(partial, found))
    row_bytes = 2 * math.prod(found.shape[1:])
    check_room(partial / "features.npy", (found.shape[0] - done) * row_bytes)
    with (partial / "features.npy").open("r+b" if done else "w+b") as file:
        if not done:
            header = {"descr": "<f2", "fortran_order": False, "shape": found.shape}
            np.lib.format.write_array_header_1_0(file, header)
        file.seek(_header_bytes(partial, found) + done * row_bytes if done else file.tell())
        file.truncate()
        progress(done, found.shape[0])
        for features in _encoded(split, views, done, encode, world):
            file.write(np.ascontiguousarray(features).data)
            file.flush()
            os.fsync(file.fileno())
            done += len(features)
            write_json(partial / "progress.json", {"version": VERSION, "shape": found.shape, "done": done})
            progress(done, found.shape[0])
    blocks = [f"{number:016x}" for number in block_hashes(partial / "features.npy").tolist()]
    write_json(
        partial / "features.json", {"version": VERSION, "shape": found.shape, "blocks": blocks, **found.about}
    )
    (partial / "progress.json").unlink(missing_ok=True)
    put_folder(partial, found.folder)
    return done - begun


def _rows_done(partial: Path, found: FeatureSet) -> int:
    """Rows of a begun feature set that are safely there; 0 where its note is missing, damaged or for another one."""
    try:
        note = json.loads((partial / "progress.json").read_text(encoding="utf-8"))
        size = (partial / "features.npy").stat().st_size
        done, known = int(note["done"]), (note["version"], tuple(note["shape"]))
        whole = size >= _header_bytes(partial, found) + 2 * done * int(np.prod(found.shape[1:]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return 0
    fits = known == (VERSION, found.shape)
    return done if fits and whole else 0


def _header_bytes(partial: Path, found: FeatureSet) -> int:
    with (partial / "features.npy").open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return file.tell()


def _encoded(split: Split, views: Views, done: int, encode: Encoder, world: World) -> Iterator[np.ndarray]:
    """Features of block after block from row `done` on, in order; a world's processes encode them in turns."""
    blocks = list(_blocks(len(split), views.count, done))
    for start in range(0, len(blocks), world.size):
        turn = blocks[start : start + world.size]
        mine = [encode(_pixels(split, views, *block)) for block in turn[world.rank : world.rank + 1]]
        yield from world.in_turns(mine)


def _blocks(images: int, views: int, done: int) -> Iterator[tuple[int, np.ndarray]]:
    """(view, positions) of each block from row `done` on, view after view; a block never spans two views."""
    for view in range(done // max(images, 1), views):
        first = max(done - view * images, 0)
        for start in range(first, images, BLOCK):
            yield view, np.arange(start, min(start + BLOCK, images))


def _pixels(split: Split, views: Views, view: int, positions: np.ndarray) -> np.ndarray:
    """A view of the images at `positions` (n,): pixels (n, H, W, C)."""
    pixels = split.images(positions)
    if not view:
        return pixels
    change = views.pipeline.epoch(views.seed, view)
    images = channels_first(torch.from_numpy(pixels))
    changed, _ = change(images, torch.zeros(len(positions), dtype=torch.int64), torch.from_numpy(positions))
    return channels_last(changed).numpy()


def cached_features() -> list[tuple[str, int]]:
    """(folder's name, bytes) of every feature set in the cache, begun ones included."""
    folders = [path for path in (cache_folder() / "features").glob("*") if path.is_dir()]
    return [(path.name, sum(f.stat().st_size for f in path.iterdir())) for path in sorted(folders)]


def remove_cached_features() -> int:
    """Remove all feature sets; give how many bytes that freed."""
    freed = sum(size for _, size in cached_features())
    shutil.rmtree(cache_folder() / "features", ignore_errors=True)
    return freed


def as_split(split: Split, features: np.ndarray, views: int) -> Split:
    """`split` with features in place of pixels, and with every view as an image of its own."""
    return replace(
        split,
        pixels=features,
        rows=np.arange(len(features)),
        labels=np.tile(split.labels, views),
        paths=split.paths if views == 1 else list(split.paths) * views,
        folders=tuple(split.folders) * views,
    )
