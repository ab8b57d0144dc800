"""Tables whose rows hold pictures, in the Hugging Face image layout: an image column of {bytes, path} and a label.

They are Parquet files, or Arrow streams as the library `datasets` saves them; everything else is the same.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tenfold.core.errors import InputError
from tenfold.data.formats import Encoded, Unreadable
from tenfold.data.sources.parts import Part, in_split_order
from tenfold.data.sources.tree import Tree

BATCH_ROWS = 256
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target", "category")


@dataclass(frozen=True)
class _Columns:
    image: str
    label: str
    names: list[str] | None  # of the classes, where integers stand for them


@dataclass(frozen=True)
class _Rows:
    """An opened table: its schema, and what gives the values of a column, piece by piece."""

    schema: pa.Schema
    values: Callable[[str], Iterator[pa.Array]]


def read_rows(tree: Tree, names: list[str]) -> list[Part]:
    """The images of tables, a part for each file.

    The split is told by names such as `train-00000-of-00002.parquet` and `train/data-00000-of-00001.arrow`.
    Raises InputError for a file without an image or a label column, or with unlabelled images.
    """
    return [_read_file(tree, name, split) for split, name in in_split_order(tree.path, names)]


def _read_file(tree: Tree, name: str, split: str | None) -> Part:
    where = tree.place(name)
    with _opened(tree, name) as rows:
        columns = _find_columns(where, rows.schema)
        labels = [label for values in rows.values(columns.label) for label in values.to_pylist()]
    numbered = columns.names is not None and not any(isinstance(label, str) for label in labels)
    missing = sum(label is None or (numbered and label < 0) for label in labels)
    if missing:
        raise InputError(
            f"{where}: {missing} of {len(labels)} images have no label in {columns.label!r} (null or -1). "
            "Leave the file or those rows out."
        )
    try:
        classes = [columns.names[label] if numbered and columns.names else str(label) for label in labels]
    except IndexError:
        raise InputError(
            f"{where}: {columns.label!r} reaches up to {max(labels)}, but its metadata name only "
            f"{len(columns.names or [])} classes. Make the file again."
        ) from None
    paths = [f"{name}#{i}" for i in range(len(labels))]
    return Part(split, name, paths, classes, lambda: _images(tree, name, columns.image))


def _images(tree: Tree, name: str, column: str) -> Iterator[tuple[int, Encoded]]:
    position = 0
    with _opened(tree, name) as rows:
        for values in rows.values(column):
            contents = values.field("bytes") if pa.types.is_struct(values.type) else values
            for picture in contents:
                yield position, picture.as_py() or Unreadable("the row holds no picture's bytes")
                position += 1


@contextmanager
def _opened(tree: Tree, name: str) -> Iterator[_Rows]:
    """The table in a file. Raises InputError where it cannot be read, then or later."""
    kind = "Parquet" if name.endswith(".parquet") else "an Arrow stream"
    try:
        with tree.open(name) as stream:
            if kind == "Parquet":
                with pq.ParquetFile(stream) as file:
                    yield _Rows(file.schema_arrow, lambda column: _column(file, column))
            else:
                reader = pa.ipc.open_stream(stream)
                yield _Rows(reader.schema, lambda column: (batch[column] for batch in reader))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{tree.place(name)}: cannot be read as {kind} ({error}). Make it again.") from None


def _column(file: pq.ParquetFile, column: str) -> Iterator[pa.Array]:
    return (batch.column(0) for batch in file.iter_batches(BATCH_ROWS, columns=[column]))


def _find_columns(where: str, schema: pa.Schema) -> _Columns:
    features = _features(schema)
    images = [
        field.name
        for field in schema
        if features.get(field.name, {}).get("_type") == "Image" and _holds_pictures(field.type)
    ]
    images += [field.name for field in schema if _holds_pictures(field.type)]
    if not images:
        raise InputError(
            f"{where}: it has no image column; its columns are {', '.join(schema.names)}. Expected a struct of "
            "bytes and path (the Hugging Face image layout) or binary pictures."
        )
    classes = [
        name
        for name, feature in features.items()
        if feature.get("_type") == "ClassLabel" and name in schema.names
    ]
    plain = [field.name for field in schema if _holds_labels(field.type)]
    preferred = [name for pool in (classes, plain) for name in LABEL_COLUMNS if name in pool]
    label = next(iter([*preferred, *classes, *(plain if len(plain) == 1 else [])]), None)
    if label is None:
        raise InputError(
            f"{where}: it has no label column; its columns are {', '.join(schema.names)}. Expected one called "
            f"{', '.join(LABEL_COLUMNS)}, of integers, truth values or text."
        )
    return _Columns(images[0], label, _class_names(where, features.get(label, {}).get("names")))


def _class_names(where: str, names: Any) -> list[str] | None:
    """The names that the metadata give the classes, or None. Raises InputError for anything but texts."""
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"{where}: its metadata give {names!r:.80} as the classes' names; expected a list of texts. "
            "Make the file again."
        )
    return names


def _holds_labels(kind: pa.DataType) -> bool:
    """Integers, truth values, and text in any of its forms."""
    if pa.types.is_dictionary(kind):
        return _holds_labels(kind.value_type)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return text or pa.types.is_integer(kind) or pa.types.is_boolean(kind)


def _holds_pictures(kind: pa.DataType) -> bool:
    """Binary values only: text would be taken for the path of a file on this machine."""
    if pa.types.is_struct(kind):
        return any(
            kind.field(i).name == "bytes" and _is_binary(kind.field(i).type) for i in range(kind.num_fields)
        )
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _features(schema: pa.Schema) -> dict[str, Any]:
    """The features that the Hugging Face libraries write into the schema's metadata, by column; {} without."""
    text = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(text).get("info", {}).get("features", {})
    except (ValueError, AttributeError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
