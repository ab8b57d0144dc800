"""What lies beside tar shards: `index.json` (shards and classes) and `samples.arrow` (a row for each image).

The rows say where in which shard an image's bytes are, and all that decoding it found out. They are mapped from the
file, so an index of millions of images takes no memory until it is used.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.core.checksums import sealed, unsealed
from tenfold.core.errors import InputError
from tenfold.core.files import atomic, write_json
from tenfold.data.names import Names
from tenfold.data.originals import Originals
from tenfold.data.reading import BadFile

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
INDEX, SAMPLES = "index.json", "samples.arrow"
# The columns and their Arrow types: shard, offset and size of the picture's bytes; class; identity; hashes; and the
# facts of `Original`. Arrow is imported where shards are used: a training on other sources does without.
COLUMNS = {
    **{"shard": "int32", "offset": "int64", "size": "int32", "label": "int32"},
    **{"path": "large_string", "group": "large_string"},
    **{"key": "uint64", "content": "uint64", "picture": "uint64"},
    **{"width": "int32", "height": "int32", "mode": "int16", "gray": "bool"},
    **{"low": "float64", "high": "float64", "more_frames": "bool"},
}


@dataclass(frozen=True)
class Shard:
    """A tar file: its name, the split of its images (None: none is said), how many, bytes, and their SHA-256."""

    name: str
    split: str | None
    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """The shards in their order, and their samples, sorted by shard and place; `modes` are Pillow's, by number."""

    shards: tuple[Shard, ...]
    classes: tuple[str, ...]
    modes: tuple[str, ...]
    bad_files: tuple[BadFile, ...]
    samples: "pa.Table"

    def __len__(self) -> int:
        return len(self.samples)

    def column(self, name: str) -> np.ndarray:
        """A column (N,) of numbers; not copied where it lies in one piece, as in the file."""
        return self.samples[name].combine_chunks().to_numpy(zero_copy_only=False)

    @cached_property
    def paths(self) -> Names:
        """The identity of each image: its path in the source that was packed."""
        column = self.samples["path"].combine_chunks()
        _, bounds, texts = column.buffers()
        places = np.frombuffer(bounds, np.int64)[column.offset :][: len(column) + 1]
        return Names(np.frombuffer(texts, np.uint8), places)

    @cached_property
    def groups(self) -> list[str | None] | None:
        """The name of each image's group; None where no table of labels names groups."""
        column = self.samples["group"]
        return None if column.null_count == len(column) else column.to_pylist()

    @cached_property
    def originals(self) -> Originals:
        """What the images were."""
        names = ("width", "height", "gray", "low", "high", "more_frames")
        return Originals(*(self.column(name) for name in names))

    @cached_property
    def starts(self) -> np.ndarray:
        """(shards + 1,) the row of each shard's first sample, and the number of all."""
        return np.cumsum([0, *(shard.images for shard in self.shards)])

    def write(self, folder: Path) -> None:
        """Put both files into `folder`, `index.json` last: where it is, the shards are whole."""
        write_samples(folder / SAMPLES, self.samples)
        about = {
            "version": VERSION,
            "images": len(self),
            "classes": list(self.classes),
            "counts": np.bincount(self.column("label"), minlength=len(self.classes)).tolist(),
            "modes": list(self.modes),
            "bad_files": [asdict(bad) for bad in self.bad_files],
            "shards": [asdict(shard) for shard in self.shards],
        }
        write_json(folder / INDEX, sealed(about))


def read_index(folder: Path, where: str = "") -> ShardIndex:
    """The index in `folder`, which came from `where`. Raises InputError where it is damaged or of another version."""
    place = where or str(folder)
    try:
        about = unsealed(json.loads((folder / INDEX).read_text(encoding="utf-8")))
        if about["version"] != VERSION:
            raise InputError(
                f"{place}: {INDEX} is of version {about['version']}, this tenfold reads {VERSION}. Pack the source "
                "again, or remove the file to read the shards without it."
            )
        index = ShardIndex(
            tuple(Shard(**shard) for shard in about["shards"]),
            tuple(about["classes"]),
            tuple(about["modes"]),
            tuple(BadFile(**bad) for bad in about["bad_files"]),
            read_samples(folder / SAMPLES),
        )
        if not len(index) == about["images"] == index.starts[-1] or index.samples.schema != schema():
            raise ValueError(f"{SAMPLES} is not the one that belongs to it")
        return index
    except (OSError, ValueError, LookupError, TypeError) as error:  # Arrow's own are kinds of these
        raise InputError(
            f"{place}: the index of the shards ({INDEX}, {SAMPLES}) cannot be read: {error}. Pack the source again, "
            "or remove both files to read the shards without them."
        ) from None


def write_samples(path: Path, samples: "pa.Table", about: dict[str, Any] | None = None) -> None:
    """Write rows of `schema` as one batch, so that their columns are mapped in one piece; `about` goes with them."""
    import pyarrow as pa

    described = schema().with_metadata({"about": json.dumps(about)} if about else None)
    rows = samples.combine_chunks().cast(described)
    with (
        atomic(path) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_file(file, described) as writer,
    ):
        writer.write_table(rows)


def read_samples(path: Path) -> "pa.Table":
    """Rows that were written, mapped from their file. Raises OSError and Arrow's errors."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def about_samples(samples: "pa.Table") -> dict[str, Any]:
    """What was written with the rows."""
    return json.loads((samples.schema.metadata or {}).get(b"about", b"{}"))


def samples_of(columns: dict[str, Sequence[Any] | np.ndarray]) -> "pa.Table":
    """Rows from their columns, by the names of COLUMNS."""
    import pyarrow as pa

    return pa.table([pa.array(columns[field.name], field.type) for field in schema()], schema=schema())


def schema() -> "pa.Schema":
    """Arrow's, of COLUMNS."""
    import pyarrow as pa

    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()])
