"""Every image of a source, decoded once into a memory-mapped uint8 array that later runs open at once.

A pack is a folder below the cache: `pixels.npy` (rows, H, W, C), `index.npz` (a column for each fact about the
images) and `pack.json`. It is named after its source (the resolved path), the decode options and the state of the
source's files, and never changes once it is there: a changed source makes a new pack, which takes the place of the
old one.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from tenfold import recipe
from tenfold.core.arrays import NO_ARRAYS
from tenfold.core.checksums import block_hashes, damaged_blocks, sealed, some_blocks, unsealed
from tenfold.core.errors import InputError, nearest
from tenfold.core.files import (
    cache_folder,
    check_room,
    explained_write,
    put_folder,
    remove_folder,
    remove_leftovers,
    whole_folder,
    write_json,
)
from tenfold.core.progress import Progress
from tenfold.core.text import class_name
from tenfold.data.classes import class_order
from tenfold.data.decode import Misfit, Original, Target, content_hash
from tenfold.data.decode_pool import chunks, decode_into, measure
from tenfold.data.formats import Encoded
from tenfold.data.names import Names
from tenfold.data.originals import Originals
from tenfold.data.reading import BadFile, ImageTable, Reading
from tenfold.data.shaping import (
    class_notices,
    corrected,
    depth_notices,
    first_target,
    median_crop,
    notices,
    reconsidered,
)
from tenfold.data.source import Source
from tenfold.data.sources.opening import Contents, OpenSource, open_source
from tenfold.data.sources.parts import Part

if TYPE_CHECKING:
    from tenfold.data.shards.pixels import ShardPixels

VERSION = 4  # of the decoding and of the files' layout; another version makes other packs


@dataclass(frozen=True)
class Pack:
    """An opened pack. `originals` has width, height, mode (a place in `modes`) and gray of each image."""

    folder: Path
    pixels: "np.ndarray | ShardPixels"
    table: ImageTable
    originals: dict[str, np.ndarray]
    modes: tuple[str, ...]
    bad_files: tuple[BadFile, ...]
    reading: Reading


def open_pack(
    data: recipe.Data, source: Source, progress: Progress | None = None, target: Target | None = None
) -> Pack:
    """The pack of `source`, made first if there is none for the present state of its files.

    With a `target`, a run's, images are decoded to it, whatever the source would suggest. `progress` is called with
    (images decoded, images in all) while a pack is made. Raises InputError when the source cannot be used and
    TenfoldError when the disk is full.
    """
    opened = open_source(source)
    place, state = _names(data, opened, target)
    folder = _packs_folder() / f"{place}-{state}"
    pack = _read(folder)
    while pack is None:
        with explained_write(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.parent / f"{place}.lock"):
                remove_leftovers(folder.parent, f"{place}-*")
                if _read(folder) is None:  # nor has another process made it meanwhile
                    _remove(folder)
                    _make(folder, data, opened, target, progress or (lambda done, total: None))
                for other in folder.parent.glob(f"{place}-*"):
                    if other != folder:
                        _remove(other)
        pack = _read(folder)
    return pack


def verify_packs(data: recipe.Data, source: Source, progress: Progress | None = None) -> int:
    """Compare every image of `source`, read as `data` says, with the hash of its contents in each of its packs.

    Packs of another state of the files, and those whose pixels have changed, are removed, so that they are made anew.
    Gives how many images differed; 0 also where there is no pack. `progress` is called with (images compared, images
    in all).
    """
    opened = open_source(source)
    packs = _whole_packs(opened)
    if not packs:
        return 0
    known = {
        folder: dict(zip(pack.table.paths, pack.table.contents, strict=True))
        for folder, pack in packs.items()
    }
    different: dict[Path, int] = dict.fromkeys(packs, 0)
    parts = opened.contents(data).parts
    done, total = 0, sum(len(part.paths) for part in parts)
    for part in parts:
        for position, encoded in part.encoded():
            content = content_hash(encoded)
            for folder, contents in known.items():
                recorded = contents.get(part.paths[position])
                different[folder] += recorded is not None and content is not None and int(recorded) != content
            done += 1
            if progress:
                progress(done, total)
    for folder, count in different.items():
        if count:
            _remove(folder)
    return max(different.values())


def _whole_packs(opened: OpenSource) -> dict[Path, Pack]:
    """A source's packs; those of which a block is damaged are removed."""
    folders = list(_packs_folder().glob(f"{_source_name(opened)}-*-*/"))
    packs = {folder: pack for folder in folders if (pack := _read(folder, whole=True))}
    for folder in {*folders} - {*packs}:
        remove_folder(folder)
    return packs


def _names(data: recipe.Data, opened: OpenSource, target: Target | None) -> tuple[str, str]:
    """The part of a pack's name that says which source and options it is for, and the part for its files' state."""
    options: list[Any] = [VERSION, data.image_size, data.unequal_size, data.channels, data.fit, data.nested]
    if opened.tables:
        options += [data.path_column, data.label_column, data.split_column, data.group]
    kind = json.dumps([*options, target.to_json() if target else None])
    return f"{_source_name(opened)}-{_hash(kind)}", _hash(opened.stamp)


def _source_name(opened: OpenSource) -> str:
    source = opened.source
    label = Path(source.data or source.train[0]).name
    readable = "".join(letter if letter.isalnum() else "_" for letter in label)[:32]
    return f"{readable}-{_hash(json.dumps(opened.place))}"


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _packs_folder() -> Path:
    return cache_folder() / "packs"


# Reading -----------------------------------------------------------------------------------------------------


def _read(folder: Path, whole: bool = False) -> Pack | None:
    """The pack in `folder`, or None where there is none or it is damaged; some of the pixels are checked, or all."""
    try:
        return _opened(folder, whole)
    except (*NO_ARRAYS, OSError):
        return None


def _opened(folder: Path, whole: bool) -> Pack:
    with open(folder / "index.npz", "rb") as file, np.load(file) as index:
        columns = {name: index[name] for name in index.files}
    pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    about = unsealed(json.loads((folder / "pack.json").read_text(encoding="utf-8")))
    hashes = columns.get("blocks", np.empty(0, np.uint64))  # a pack of version 0.1 has none
    if damaged_blocks(folder / "pixels.npy", hashes, None if whole else some_blocks(len(hashes))):
        raise ValueError("its pixels have changed since they were written")
    table = ImageTable(
        **{name: columns[name] for name in ("rows", "labels", "parts", "keys", "contents", "pictures")},
        groups=columns.get("groups", np.empty(0, np.int64)),  # packs of before have none
        paths=Names.of_bytes(columns["paths"]),
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
        reading=Reading.from_json(about["reading"]),
    )


# Making ------------------------------------------------------------------------------------------------------


def _make(
    folder: Path, data: recipe.Data, opened: OpenSource, target: Target | None, progress: Progress
) -> None:
    """Decode the whole source into `folder`, which appears only when it is complete."""
    contents = opened.contents(data)
    with whole_folder(folder) as partial:
        used, outcomes = _decode_all(partial / "pixels.npy", contents.parts, data, target, progress)
        _write_index(partial, contents, outcomes, data, used)
        if _names(data, open_source(opened.source), target)[1] != folder.name.rpartition("-")[2]:
            place = ", ".join(opened.source.paths)
            raise InputError(f"{place}: the source's files changed while they were read. Try again.")
        put_folder(partial, folder)


def _decode_all(
    path: Path, parts: Sequence[Part], data: recipe.Data, target: Target | None, progress: Progress
) -> tuple[Target, list[Original | str]]:
    """Decode every image into `path`; the target, and for each image what it was or why it cannot be read."""
    if target is not None:
        return target, _decode_to(path, parts, target, progress)
    target = first_target(lambda: _rows(parts), data)
    while True:
        try:
            outcomes = _decode_to(path, parts, target, progress)
        except Misfit as misfit:
            target = corrected(target, misfit, data, lambda: measure(chunks(_rows(parts))))
            continue
        seen = Originals.of([outcome for outcome in outcomes if isinstance(outcome, Original)])
        better = reconsidered(target, seen, data)
        if better == replace(target, guesses=frozenset()):
            return better, outcomes
        return better, _decode_to(path, parts, better, progress)


def _rows(parts: Sequence[Part]) -> Iterator[tuple[int, Encoded]]:
    """(row, picture) of every image: the parts' positions, one part after the other."""
    start = 0
    for part in parts:
        for position, encoded in part.encoded():
            yield start + position, encoded
        start += len(part.paths)


def _decode_to(path: Path, parts: Sequence[Part], target: Target, progress: Progress) -> list[Original | str]:
    total = sum(len(part.paths) for part in parts)
    outcomes: list[Original | str] = ["not in the source any more"] * total
    shape = (total, target.height, target.width, target.channels)
    check_room(path, math.prod(shape))
    file = np.lib.format.open_memmap(path, "w+", np.uint8, shape)  # writes the header, and makes room
    done = 0
    for decoded in decode_into(path, file.offset, chunks(_rows(parts)), target):
        for row, outcome in decoded:
            outcomes[row] = outcome
        done += len(decoded)
        progress(done, total)
    with open(path, "rb") as written:
        os.fsync(written.fileno())
    return outcomes


def _write_index(
    folder: Path,
    found: Contents,
    outcomes: Sequence[Original | str],
    data: recipe.Data,
    target: Target,
) -> None:
    parts = found.parts
    paths = [path for part in parts for path in part.paths]
    spelled = [name for part in parts for name in part.classes]
    names = [class_name(name) for name in spelled]
    classes = {name: number for number, name in enumerate(class_order(list(set(names))))}
    readable = [(row, outcome) for row, outcome in enumerate(outcomes) if isinstance(outcome, Original)]
    rows = np.array([row for row, _ in readable], np.int64)
    originals = [original for _, original in readable]
    modes = sorted({original.mode for original in originals})
    kept = [paths[row] for row in rows.tolist()]
    seen = Originals.of(originals)
    np.savez(
        folder / "index.npz",
        blocks=block_hashes(folder / "pixels.npy"),
        rows=rows,
        labels=np.array([classes[name] for name in names], np.int64)[rows],
        parts=np.repeat(np.arange(len(parts)), [len(part.paths) for part in parts])[rows],
        keys=np.array([identity_key(path) for path in kept], np.uint64),
        contents=np.array([original.content for original in originals], np.uint64),
        pictures=np.array([original.picture for original in originals], np.uint64),
        width=seen.width,
        height=seen.height,
        mode=np.array([modes.index(original.mode) for original in originals], np.int16),
        gray=seen.gray,
        groups=_group_numbers(parts, rows),
        paths=np.frombuffer("\0".join(kept).encode(), np.uint8),
    )
    said = [
        *found.notices,
        *class_notices(spelled),
        *depth_notices(parts),
        *notices(target, kept, seen, data),
    ]
    reading = Reading(target, median_crop(seen, target), tuple(found.left_out), tuple(said))
    about = {
        "classes": list(classes),
        "part_splits": [part.split for part in parts],
        "part_folders": [part.name for part in parts],
        "modes": modes,
        "reading": reading.to_json(),
        "bad_files": [
            {"path": path, "reason": outcome}
            for path, outcome in zip(paths, outcomes, strict=True)
            if not isinstance(outcome, Original)
        ],
    }
    write_json(folder / "pack.json", sealed(about))


def _group_numbers(parts: Sequence[Part], rows: np.ndarray) -> np.ndarray:
    """(N,) the number of each image's group, -1 for none; empty where no part names groups."""
    if not any(part.groups for part in parts):
        return np.empty(0, np.int64)
    names = [name for part in parts for name in (part.groups or [None] * len(part.paths))]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(name for name in names if name))}
    return np.array([numbers[name] if name else -1 for name in names], np.int64)[rows]


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
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)
