"""From a source of packed shards to its images, without decoding: by what the index says of them."""

import math
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tenfold import recipe
from tenfold.core.checksums import hash_of
from tenfold.core.errors import InputError
from tenfold.core.files import cache_folder, explained_write, put_folder, whole_folder
from tenfold.core.machine import machine_memory
from tenfold.core.text import gib
from tenfold.data.decode import Target
from tenfold.data.pack import Pack
from tenfold.data.reading import ImageTable, Reading
from tenfold.data.shaping import class_notices, median_crop, notices, target_of
from tenfold.data.shards.index import INDEX, SAMPLES, ShardIndex, read_index
from tenfold.data.shards.pixels import ShardPixels
from tenfold.data.shards.places import LocalPlaces, Places, Remote, RemotePlaces
from tenfold.data.source import Source


@dataclass(frozen=True, eq=False)
class Shards:
    """Packed shards that were found: their index, and where they lie."""

    index: ShardIndex
    places: Places
    folder: Path  # of the index
    remote: bool = False

    def target(self, data: recipe.Data) -> Target:
        """What decoding all images as `data` says would bring them to."""
        index = self.index
        if not len(index):
            raise InputError(f"{self.places.where}: the shards hold no images. Pack a source that has some.")
        offset, size = (int(index.column(name)[0]) for name in ("offset", "size"))
        wide = index.column("mode")[index.originals.wide].tolist()
        kinds = ["real" if index.modes[mode] == "F" else "whole" for mode in wide]
        shard = int(index.column("shard")[0])
        return target_of(
            index.originals, lambda: iter([(0, self.places.read(shard, [(offset, size)])[0])]), kinds, data
        )

    def opened(self, data: recipe.Data, target: Target | None = None) -> Pack:
        """The images as a pack whose pixels are decoded when they are wanted; `target`: a run's."""
        index = self.index
        target = target or self.target(data)
        said = [
            *class_notices(index.classes),
            *notices(target, index.paths, index.originals, data),
        ]
        columns = {name: index.column(name) for name in ("width", "height", "mode", "gray")}
        return Pack(
            folder=self.folder,
            pixels=ShardPixels(index, self.places, target, data.shuffle_buffer),
            table=self._table,
            originals=columns,
            modes=index.modes,
            bad_files=index.bad_files,
            reading=Reading(target, median_crop(index.originals, target), (), tuple(said)),
        )

    @cached_property
    def _table(self) -> ImageTable:
        index = self.index
        names: list[str | None] = index.groups or []
        numbers = {name: number for number, name in enumerate(dict.fromkeys(filter(None, names)))}
        return ImageTable(
            rows=np.arange(len(index)),
            labels=index.column("label").astype(np.int64),
            parts=index.column("shard"),
            keys=index.column("key"),
            contents=index.column("content"),
            pictures=index.column("picture"),
            paths=index.paths,
            classes=index.classes,
            part_splits=tuple(shard.split for shard in index.shards),
            part_folders=tuple(shard.name for shard in index.shards),
            groups=np.array([numbers[name] if name else -1 for name in names], np.int64),
        )

    def streams(self, data: recipe.Data, target: Target | None = None) -> tuple[bool, str]:
        """Whether the images are streamed, by `data.streaming`; and why, in words."""
        if self.remote:
            if data.streaming is False:
                raise InputError(
                    f"data.streaming=false: {self.places.where} is not on this machine. Copy the shards here and "
                    "give their folder, or leave data.streaming out."
                )
            return True, "they are at an address"
        target = target or self.target(data)
        needed = math.prod((len(self.index), target.height, target.width, target.channels))
        takes = f"decoded they take {gib(needed)}"
        if data.streaming != "auto":
            return bool(data.streaming), f"data.streaming={str(data.streaming).lower()}; {takes}"
        place = cache_folder()
        place.mkdir(parents=True, exist_ok=True)
        for what, room in (("memory", machine_memory()), ("disk's free room", shutil.disk_usage(place).free)):
            if needed > room / 2:
                return True, f"{takes}, more than half of the {what} of {gib(room)}"
        return False, f"{takes}, at most half of the memory and of the disk's free room"


# Stores that fsspec opens, by how their addresses begin.
STORES = {"s3", "gs", "gcs", "az", "abfs", "hf", "memory"}


def is_address(place: str | None) -> bool:
    """Whether a source's place is an address of shards: of any kind but a file that http(s) gives."""
    kind, _, rest = (place or "").partition("://")
    return kind.lower() in STORES or (kind.lower() in {"http", "https"} and rest.endswith(("/", f"/{INDEX}")))


def find_shards(source: Source) -> Shards | None:
    """The packed shards that a source is; None where it is something else. Raises as `read_index`."""
    if source.data is None or source.labels is not None:
        return None
    if is_address(source.data):
        return _remote_shards(source.data.removesuffix(INDEX))
    folder = source.located(source.data)
    if not (folder / INDEX).is_file() or not (folder / SAMPLES).is_file():
        return None
    index = read_index(folder)
    for shard in index.shards:
        path = folder / shard.name
        if not path.is_file() or path.stat().st_size != shard.bytes:
            raise InputError(
                f"{path}: it is not the shard of {shard.bytes:,} bytes that {INDEX} names. Copy it again from where "
                f"it was made, pack the source again, or remove {INDEX} and {SAMPLES} to read what is there."
            )
    return Shards(index, LocalPlaces(str(folder.absolute()), index.shards), folder)


def _remote_shards(where: str) -> Shards:
    """The index is kept in the cache, as long as the one at the address is the same."""
    remote = Remote(where)
    above = cache_folder() / "indexes"
    with explained_write(above):
        above.mkdir(parents=True, exist_ok=True)
        with whole_folder(above / hash_of(where.encode())) as partial:
            remote.fetch(INDEX, partial / INDEX)
            folder = above / hash_of(where.encode() + (partial / INDEX).read_bytes())
            if not folder.is_dir():
                remote.fetch(SAMPLES, partial / SAMPLES)
                read_index(partial, where)
                put_folder(partial, folder)
    index = read_index(folder, where)
    return Shards(index, RemotePlaces(where, index.shards), folder, remote=True)
