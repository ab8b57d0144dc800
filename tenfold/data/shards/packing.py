"""`tenfold pack`: a source's pictures in tar shards, shuffled once, with an index of all that is known of them.

The order is drawn by hashes of the identities, as splits are: the same source gives the same bytes, and each shard
is a random sample of its split. Every picture is decoded once, to see that it can be. A shard is written whole under
its name, then its rows as a hidden file beside it: with both it is finished, and kept when packing goes on after a
kill.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from tenfold import recipe
from tenfold.core.checksums import hash_of
from tenfold.core.errors import InputError
from tenfold.core.files import explained_write, remove_leftovers, write_json
from tenfold.core.progress import Progress
from tenfold.core.text import class_name
from tenfold.data.classes import class_order
from tenfold.data.dealing import ranks
from tenfold.data.decode import Original, content_hash
from tenfold.data.decode_pool import chunks, look
from tenfold.data.formats import Encoded
from tenfold.data.loading import check_bad_files
from tenfold.data.originals import Originals
from tenfold.data.pack import identity_key
from tenfold.data.reading import BadFile
from tenfold.data.shards.index import (
    COLUMNS,
    INDEX,
    Shard,
    ShardIndex,
    about_samples,
    read_samples,
    samples_of,
    schema,
    write_samples,
)
from tenfold.data.shards.tar import Sample, sample_of, sha256, write_shard
from tenfold.data.source import SPLIT_NAMES, Source
from tenfold.data.sources.opening import OpenSource, open_source
from tenfold.data.sources.parts import Part

IMAGES = 1000  # in a shard, where nothing else is said
# Shards whose pictures are gathered in one pass over the source; those in archives and tables are in memory then.
ROUND = 4
PLAN, LOCK = ".packing.json", ".packing.lock"
UNNAMED = "images"  # what shards of a source without splits are called


@dataclass(frozen=True)
class _Planned:
    """A shard to be: its name, its split, and which images of the source (n,) it gets, in their order."""

    name: str
    split: str | None
    images: np.ndarray


class _Listing:
    """Every image of a source by its number: identities, classes, splits and groups."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.paths = [path for part in parts for path in part.paths]
        self.labels = [class_name(name) for part in parts for name in part.classes]
        self.groups = [name for part in parts for name in (part.groups or [None] * len(part.paths))]
        self.splits = np.repeat(
            np.array([SPLIT_NAMES.index(part.split) if part.split else -1 for part in parts], np.int8),
            [len(part.paths) for part in parts],
        )
        self.keys = np.array([identity_key(path) for path in self.paths], np.uint64)
        self.classes = tuple(class_order(list(set(self.labels))))

    def planned(self, images: int) -> list[_Planned]:
        """The shards of each split, of at most so many images and of nearly equal numbers."""
        order, found = ranks(self.keys, 0), []
        for number in np.unique(self.splits).tolist():
            split = SPLIT_NAMES[number] if number >= 0 else None
            members = np.flatnonzero(self.splits == number)
            members = members[np.lexsort((members, order[members]))]
            for place, part in enumerate(np.array_split(members, -(-len(members) // images))):
                found.append(_Planned(f"{split or UNNAMED}-{place:05}.tar", split, part))
        return found

    def encoded(self, wanted: np.ndarray) -> Iterator[tuple[int, Encoded]]:
        """(number, picture) of those images (n,), in the cheapest order to read."""
        chosen = np.zeros(len(self.paths), bool)
        chosen[wanted] = True
        start = 0
        for part in self.parts:
            stop = start + len(part.paths)
            if chosen[start:stop].any():
                yield from ((start + at, found) for at, found in part.encoded() if chosen[start + at])
            start = stop


def pack_shards(
    source: Source,
    out: Path,
    data: recipe.Data | None = None,
    images: int = IMAGES,
    progress: Progress | None = None,
) -> ShardIndex:
    """Write the pictures of `source`, read as `data` says, into shards of at most `images` in the folder `out`.

    What is there of the same packing is kept, if its bytes are whole. `progress` is called with (images packed,
    images in all). Raises InputError where the source cannot be used or `out` holds something else, and TenfoldError
    where it cannot be written.
    """
    data, opened = data or recipe.Data(), open_source(source)
    _check_apart(opened, out)
    stamp = opened.stamp
    listing = _Listing(opened.contents(data).parts)
    plan = listing.planned(images)
    with explained_write(out):
        out.mkdir(parents=True, exist_ok=True)
        with _alone(out):
            _begin(out, opened, listing, stamp, images)
            index = _packed(out, listing, plan, data, progress or (lambda done, total: None))
            if open_source(source).stamp != stamp:
                raise InputError(
                    f"{source.paths[0]}: its files changed while they were packed. Remove {out} and pack again."
                )
            index.write(out)
            for shard in plan:
                _rows_of(out, shard.name).unlink()
            (out / PLAN).unlink()
    (out / LOCK).unlink(missing_ok=True)
    return index


def _check_apart(opened: OpenSource, out: Path) -> None:
    """Raise InputError where the shards would lie in their own source."""
    for place in opened.folders:
        if out.resolve().is_relative_to(place.resolve()):
            raise InputError(f"--shards {out}: it lies in the source {place}. Choose a folder elsewhere.")


def _alone(out: Path) -> FileLock:
    lock = FileLock(out / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"--shards {out}: another process packs into it. Wait for it, or end it.") from None
    return lock


def _begin(out: Path, opened: OpenSource, listing: _Listing, stamp: str, images: int) -> None:
    """Note what is packed, or see that it is what was begun. Raises InputError where it is not."""
    names = "\0".join([*listing.paths, *listing.labels, *map(str, listing.groups)])
    plan = {
        "listing": hash_of(names.encode("utf-8", "surrogateescape"), 16),
        "files": hash_of(stamp.encode("utf-8", "surrogateescape"), 16),
        "images": images,
    }
    remedy = f"Remove {out}, or choose another folder with --shards."
    if (out / INDEX).exists():
        raise InputError(f"--shards {out}: there are shards already. {remedy}")
    if (out / PLAN).exists():
        if json.loads((out / PLAN).read_text(encoding="utf-8")) != plan:
            raise InputError(
                f"--shards {out}: the packing that was begun there is of another source, or of another number of "
                f"images a shard, or the source's files have changed since. {remedy}"
            )
        remove_leftovers(out)
        return
    if any(path.name != LOCK for path in out.iterdir()):
        raise InputError(
            f"--shards {out}: it holds other files. Choose an empty or a new folder with --shards."
        )
    write_json(out / PLAN, plan)


def _packed(
    out: Path, listing: _Listing, plan: Sequence[_Planned], data: recipe.Data, progress: Progress
) -> ShardIndex:
    """Write the shards that are not finished; the index of all."""
    missing = [shard for shard in plan if not _is_finished(out, shard)]
    total = len(listing.paths)
    done = total - sum(len(shard.images) for shard in missing)
    for start in range(0, len(missing), ROUND):
        now = missing[start : start + ROUND]
        wanted = np.concatenate([shard.images for shard in now])
        pictures = dict(listing.encoded(wanted))
        seen: dict[int, Original | str] = {}
        for outcomes in look(chunks(pictures.items())):
            seen.update(outcomes)
            progress(done + len(seen), total)
        for shard in now:
            _write(out, shard, listing, pictures, seen)
        done += len(wanted)
        progress(done, total)
    return _index(out, listing, plan, data)


def _rows_of(out: Path, name: str) -> Path:
    return out / f".{name}.arrow"


def _is_finished(out: Path, shard: _Planned) -> bool:
    """Whether a shard and its rows are there, and its bytes those that were written."""
    try:
        about = about_samples(read_samples(_rows_of(out, shard.name)))
        return sha256(out / shard.name) == about["sha256"]
    except (OSError, ValueError, LookupError):  # Arrow's own are kinds of these
        return False


def _write(
    out: Path,
    shard: _Planned,
    listing: _Listing,
    pictures: dict[int, Encoded],
    seen: dict[int, Original | str],
) -> None:
    """Write a shard, then its rows; pictures that cannot be read are noted with these, and are in no shard."""
    good, bad = [], []
    for number in shard.images.tolist():
        found = seen.get(number, "not in the source any more")
        (good if isinstance(found, Original) else bad).append((number, found))
    samples = [
        sample_of(f"{place:08}", listing.paths[number], pictures.pop(number), listing.labels[number])
        for place, (number, _) in enumerate(good)
    ]
    offsets, digest = write_shard(out / shard.name, samples)
    facts = {
        "sha256": digest,
        "modes": [original.mode for _, original in good],
        "bad_files": [[listing.paths[number], reason] for number, reason in bad],
    }
    rows = _rows(listing, [number for number, _ in good], samples, offsets, [one for _, one in good])
    write_samples(_rows_of(out, shard.name), rows, facts)


def _rows(
    listing: _Listing,
    numbers: Sequence[int],
    samples: Sequence[Sample],
    offsets: Sequence[int],
    originals: Sequence[Original],
) -> pa.Table:
    """The rows of a shard; its number, and those of the modes, come with the whole index."""
    classes = {name: number for number, name in enumerate(listing.classes)}
    zeros = np.zeros(len(numbers), np.int16)
    return samples_of(
        {
            "shard": zeros,
            "offset": offsets,
            "size": [len(sample.contents) for sample in samples],
            "label": [classes[sample.label] for sample in samples],
            "path": [listing.paths[number] for number in numbers],
            "group": [listing.groups[number] for number in numbers],
            "key": listing.keys[list(numbers)],
            "content": np.array([content_hash(sample.contents) for sample in samples], np.uint64),
            "picture": np.array([one.picture for one in originals], np.uint64),
            **asdict(Originals.of(originals)),
            "mode": zeros,
        }
    )


def _index(out: Path, listing: _Listing, plan: Sequence[_Planned], data: recipe.Data) -> ShardIndex:
    """The index of all shards that were written. Raises InputError where too many pictures cannot be read."""
    tables = [read_samples(_rows_of(out, shard.name)) for shard in plan]
    facts = [about_samples(table) for table in tables]
    modes = tuple(sorted({mode for fact in facts for mode in fact["modes"]}))
    bad = tuple(BadFile(*entry) for fact in facts for entry in fact["bad_files"])
    check_bad_files(bad, len(listing.paths), data.bad_files_limit)
    numbered = [
        _numbered(table, number, [modes.index(mode) for mode in fact["modes"]])
        for number, (table, fact) in enumerate(zip(tables, facts, strict=True))
    ]
    shards = tuple(
        Shard(shard.name, shard.split, len(table), (out / shard.name).stat().st_size, fact["sha256"])
        for shard, table, fact in zip(plan, tables, facts, strict=True)
    )
    samples = pa.concat_tables(numbered).combine_chunks()
    return ShardIndex(shards, listing.classes, modes, bad, samples)


def _numbered(table: pa.Table, shard: int, modes: Iterable[int]) -> pa.Table:
    """The rows of a shard with its number and those of their modes, without what was written with them."""
    columns = {name: table[name] for name in COLUMNS}
    columns["shard"] = pa.chunked_array([pa.array(np.full(len(table), shard), pa.int32())])
    columns["mode"] = pa.chunked_array([pa.array(list(modes), pa.int16())])
    return pa.table(columns, schema=schema())
