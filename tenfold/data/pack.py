"""Every image of a source, decoded once into a memory-mapped uint8 array that later runs open at once.

A pack is a folder below the cache: `pixels.npy` (rows, H, W, C), `index.npz` (a column for each fact about the
images) and `pack.json`. It is named after its source, the decode options and the state of the source's files, and
never changes once it is there: a changed source makes a new pack, which takes the place of the old one.
"""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock

from tenfold import recipe
from tenfold.core.errors import InputError, nearest
from tenfold.core.files import cache_folder, explained_write, write_json
from tenfold.data.decode import Encoded, Misfit, Original, Target, decode
from tenfold.data.decode_pool import chunks, decode_into
from tenfold.data.sources.groups import Group
from tenfold.data.sources.opening import OpenSource, open_source
from tenfold.data.splits import BadFile, Source, Table, class_order

VERSION = 1  # of the decoding and of the files' layout; another version makes other packs
LARGEST_OWN_SIZE = 1024

Progress = Callable[[int, int], None]  # images done, images in all


@dataclass(frozen=True)
class Pack:
    """An opened pack. `originals` has width, height, mode (a place in `modes`) and gray of each image."""

    folder: Path
    pixels: np.ndarray
    table: Table
    originals: dict[str, np.ndarray]
    modes: tuple[str, ...]
    bad_files: tuple[BadFile, ...]


def open_pack(data: recipe.Data, source: Source, progress: Progress | None = None) -> Pack:
    """The pack of `source`, made first if there is none for the present state of its files.

    `progress` is called with (images decoded, images in all) while a pack is made. Raises InputError when the
    source cannot be used and TenfoldError when the disk is full.
    """
    opened = open_source(source)
    place, state = _names(data, opened)
    folder = _packs_folder() / f"{place}-{state}"
    pack = _read(folder)
    while pack is None:
        with explained_write(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.parent / f"{place}.lock"):
                if _read(folder) is None:  # nor has another process made it meanwhile
                    _remove(folder)
                    _make(folder, data, opened, progress or (lambda done, total: None))
                for other in folder.parent.glob(f"{place}-*"):
                    if other != folder:
                        _remove(other)
        pack = _read(folder)
    return pack


def _names(data: recipe.Data, opened: OpenSource) -> tuple[str, str]:
    """The part of a pack's name that says which source and options it is for, and the part for its files' state."""
    source = opened.source
    kind = json.dumps([VERSION, asdict(source), data.image_size, data.unequal_size, data.channels])
    label = Path(source.data or source.train[0]).name
    readable = "".join(letter if letter.isalnum() else "_" for letter in label)[:32]
    return f"{readable}-{_hash(kind)}", _hash(opened.stamp)


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _packs_folder() -> Path:
    return cache_folder() / "packs"


# Reading -----------------------------------------------------------------------------------------------------


def _read(folder: Path) -> Pack | None:
    """The pack in `folder`, or None where there is none or it is damaged."""
    try:
        about = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
        with open(folder / "index.npz", "rb") as file, np.load(file) as index:
            columns = {name: index[name] for name in index.files}
        pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    table = Table(
        **{name: columns[name] for name in ("rows", "labels", "parts", "keys", "contents")},
        paths=columns["paths"].tobytes().decode().split("\0"),
        classes=tuple(about["classes"]),
        part_splits=tuple(about["part_splits"]),
        part_folders=tuple(about["part_folders"]),
    )
    return Pack(
        folder=folder,
        pixels=pixels,
        table=table,
        originals={name: columns[name] for name in ("width", "height", "mode", "gray")},
        modes=tuple(about["modes"]),
        bad_files=tuple(BadFile(**bad) for bad in about["bad_files"]),
    )


# Making ------------------------------------------------------------------------------------------------------


def _make(folder: Path, data: recipe.Data, opened: OpenSource, progress: Progress) -> None:
    """Decode the whole source into `folder`, which appears only when it is complete."""
    groups = opened.groups()
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
    partial.mkdir()
    try:
        outcomes = _decode_all(partial / "pixels.npy", groups, data, progress)
        _write_index(partial, groups, outcomes)
        if _names(data, open_source(opened.source))[1] != folder.name.rpartition("-")[2]:
            raise InputError(f"{folder.name}: the source's files changed while they were read. Try again.")
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _decode_all(
    path: Path, groups: Sequence[Group], data: recipe.Data, progress: Progress
) -> list[Original | str]:
    """Decode every image into `path`; for each, what it was or why it cannot be read."""
    target = _first_target(groups, data)
    while True:
        try:
            return _decode_to(path, groups, target, progress)
        except Misfit as misfit:
            target = _relaxed(target, misfit, data.unequal_size)


def _first_target(groups: Sequence[Group], data: recipe.Data) -> Target:
    """The wanted shape; what the recipe leaves open is taken from the first image that can be read."""
    pixels, original = _first_image(groups)
    height, width = pixels.shape[:2]
    own_size = data.image_size is None and max(height, width) <= LARGEST_OWN_SIZE
    if not own_size:
        height = width = data.image_size or data.unequal_size
    only_gray = data.channels == "auto" and original.gray
    channels = 1 if only_gray or data.channels == "grayscale" else 3
    return Target(height, width, channels, own_size, only_gray)


def _relaxed(target: Target, misfit: Misfit, size: int) -> Target:
    if misfit.args == ("size",):
        return replace(target, height=size, width=size, own_size=False)
    return replace(target, channels=3, only_gray=False)


def _first_image(groups: Sequence[Group]) -> tuple[np.ndarray, Original]:
    reason = ""
    for _, encoded in _rows(groups):
        try:
            return decode(encoded, None)
        except Exception as error:
            reason = reason or str(error)
    raise InputError(f"none of the source's images can be read; the first one: {reason}")


def _rows(groups: Sequence[Group]) -> Iterator[tuple[int, Encoded]]:
    """(row, picture) of every image: the groups' positions, one group after the other."""
    start = 0
    for group in groups:
        for position, encoded in group.encoded():
            yield start + position, encoded
        start += len(group.paths)


def _decode_to(
    path: Path, groups: Sequence[Group], target: Target, progress: Progress
) -> list[Original | str]:
    total = sum(len(group.paths) for group in groups)
    outcomes: list[Original | str] = ["not in the source any more"] * total
    shape = (total, target.height, target.width, target.channels)
    file = np.lib.format.open_memmap(path, "w+", np.uint8, shape)  # writes the header, and makes room
    done = 0
    for part in decode_into(path, file.offset, chunks(_rows(groups)), target):
        for row, outcome in part:
            outcomes[row] = outcome
        done += len(part)
        progress(done, total)
    with open(path, "rb") as written:
        os.fsync(written.fileno())
    return outcomes


def _write_index(folder: Path, groups: Sequence[Group], outcomes: Sequence[Original | str]) -> None:
    paths = [path for group in groups for path in group.paths]
    names = [name for group in groups for name in group.classes]
    classes = {name: number for number, name in enumerate(class_order(list(set(names))))}
    readable = [(row, outcome) for row, outcome in enumerate(outcomes) if isinstance(outcome, Original)]
    rows = np.array([row for row, _ in readable], np.int64)
    originals = [original for _, original in readable]
    modes = sorted({original.mode for original in originals})
    kept = [paths[row] for row in rows.tolist()]
    np.savez(
        folder / "index.npz",
        rows=rows,
        labels=np.array([classes[name] for name in names], np.int64)[rows],
        parts=np.repeat(np.arange(len(groups)), [len(group.paths) for group in groups])[rows],
        keys=np.array([identity_key(path) for path in kept], np.uint64),
        contents=np.array([original.content for original in originals], np.uint64),
        width=np.array([original.width for original in originals], np.int32),
        height=np.array([original.height for original in originals], np.int32),
        mode=np.array([modes.index(original.mode) for original in originals], np.int16),
        gray=np.array([original.gray for original in originals], bool),
        paths=np.frombuffer("\0".join(kept).encode(), np.uint8),
    )
    about = {
        "classes": list(classes),
        "part_splits": [group.split for group in groups],
        "part_folders": [group.name for group in groups],
        "modes": modes,
        "bad_files": [
            {"path": path, "reason": outcome}
            for path, outcome in zip(paths, outcomes, strict=True)
            if not isinstance(outcome, Original)
        ],
    }
    write_json(folder / "pack.json", about)


def identity_key(path: str) -> int:
    """A 64-bit hash of an image's identity."""
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest(), "little")


# Listing and removing ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CacheEntry:
    """A pack or a downloaded archive in the cache, with its size on the disk in bytes."""

    name: str
    path: Path
    bytes: int


def cache_entries() -> list[CacheEntry]:
    """Every pack and every download, by name."""
    folders = (_packs_folder(), cache_folder() / "downloads")
    found = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    return [CacheEntry(path.name, path, _size(path)) for path in found if path.suffix != ".lock"]


def remove_cache_entries(names: Sequence[str] | None = None) -> int:
    """Remove the named entries, or all of them, and give the number of bytes that became free.

    What a running process has open stays readable to it. Raises InputError for a name that is not there.
    """
    entries = {entry.name: entry for entry in cache_entries()}
    for name in names or ():
        if name not in entries:
            raise InputError(f"there is no {name!r} in the cache{nearest(name, list(entries))}.")
    chosen = [entry for entry in entries.values() if names is None or entry.name in names]
    for entry in chosen:
        _remove(entry.path)
    return sum(entry.bytes for entry in chosen)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))


def _remove(path: Path) -> None:
    """Remove a pack or a file, so that no reader finds half of it."""
    if path.is_dir():
        aside = path.with_name(f".{path.name}.removed")
        shutil.rmtree(aside, ignore_errors=True)  # left by a process that was killed
        path.rename(aside)
        shutil.rmtree(aside)
    else:
        path.unlink(missing_ok=True)
