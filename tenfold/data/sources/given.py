"""Arrays, tensors and DataFrames that a Python caller gives: kept in the cache as files named by their contents.

From there they are a source like any other, so a run on them is opened, evaluated and resumed by its path. The same
arrays make the same file; where it is gone from the cache, giving them again brings it back.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tenfold.core.errors import InputError
from tenfold.core.files import atomic, cache_folder, explained_write
from tenfold.data.source import SPLIT_NAMES
from tenfold.data.sources.label_table import plain_value

Pair = tuple[Any, Any]


@runtime_checkable
class Frame(Protocol):
    """What is asked of a table of labels in Python: pandas' DataFrame, or another one like it."""

    @property
    def columns(self) -> Iterable[Any]:
        """The columns' names."""
        ...

    def __getitem__(self, name: Any, /) -> Any: ...


CHANNELS = (1, 3, 4)


def place_of(data: Any, labels: Any = None) -> tuple[str | Path | None, str | None]:
    """The path or name in `data` as it is, or the path of its arrays; and the path of the table of labels, if any.

    A DataFrame, as `data` or as `labels`, is kept in the cache as a table. As `data`, its paths are meant from the
    working directory, and the folder that they have in common is the source. Raises InputError for what is neither.
    """
    if isinstance(data, Frame):
        if labels is not None:
            raise InputError("data and labels: both are tables of labels. Give the images' folder as data.")
        return _keep_located(data)
    table = labels if labels is None or isinstance(labels, str) else str(_keep_frame(labels))
    return data if data is None or isinstance(data, str | Path) else keep_arrays(data), table


def _keep_frame(frame: "Frame | Path") -> Path:
    """The file of a DataFrame's columns; a path as it is. Raises InputError for anything else."""
    if isinstance(frame, Path):
        return frame
    if not isinstance(frame, Frame):
        raise InputError(f"labels: expected a path or a DataFrame, got {type(frame).__name__}.")
    return _keep_columns(_columns_of(frame))


def _keep_located(frame: Frame) -> tuple[str, str]:
    """The folder that all files of a DataFrame have in common, and the table, whose paths are whole then."""
    columns = _columns_of(frame)
    for name, values in columns.items():
        first = next(filter(None, values), None)
        if first is not None and Path(first).is_file():
            columns[name] = [value and os.path.abspath(value) for value in values]  # noqa: PTH100 (links stay)
            above = os.path.commonpath([Path(value).parent for value in columns[name] if value])
            return above, str(_keep_columns(columns))
    raise InputError(
        f"data: none of the DataFrame's columns ({', '.join(columns)}) begins with a file that is there, seen from "
        f"{Path.cwd()}. Give the images' folder as data and the DataFrame as labels."
    )


def _columns_of(frame: Frame) -> dict[str, list[str | None]]:
    return {str(name): [plain_value(value) for value in frame[name]] for name in frame.columns}


def _keep_columns(columns: dict[str, list[str | None]]) -> Path:
    rows = zip(*columns.values(), strict=True)
    text = "".join(f"{json.dumps(dict(zip(columns, row, strict=True)))}\n" for row in rows)
    path = cache_folder() / "labels" / f"{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}.jsonl"
    if not path.is_file():
        with explained_write(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    return path


def keep_arrays(data: "Pair | Mapping[str, Pair]") -> Path:
    """The file of `(images, labels)`, or of such a pair for each split: `{"train": ..., "test": ...}`.

    images: uint8 arrays or tensors, (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels. labels: (N,)
    integers or texts. Raises InputError for anything else, with what would help.
    """
    pairs = dict(data) if isinstance(data, Mapping) else {"": data}
    strange = [name for name in pairs if name not in ("", *SPLIT_NAMES)]
    if strange or not pairs:
        raise InputError(
            f"data: expected pairs for {', '.join(SPLIT_NAMES)}, got {', '.join(map(repr, strange))}."
        )
    arrays: dict[str, np.ndarray] = {}
    for name, pair in pairs.items():
        images, labels = _checked(f"data[{name!r}]" if name else "data", pair)
        end = f"_{name}" if name else ""
        arrays |= {f"images{end}": images, f"labels{end}": labels}
    path = cache_folder() / "arrays" / f"{_digest(arrays)}.npz"
    if not path.is_file():
        with explained_write(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    return path


def _checked(where: str, pair: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(f"{where}: expected a path or a pair (images, labels), got {type(pair).__name__}.")
    images, labels = (np.asarray(part) for part in pair)
    if images.dtype != np.uint8:
        raise InputError(
            f"{where}: images are {images.dtype}; expected uint8 on 0..255. Convert them: "
            "(images * 255).round().astype('uint8') where they are from 0 to 1, and without any standardising."
        )
    if labels.shape != (len(images),) or labels.dtype.kind not in "iuU":
        raise InputError(
            f"{where}: labels are {labels.dtype} of shape {labels.shape}; expected an integer or a text for each of "
            f"the {len(images)} images. One-hot labels: labels.argmax(1)."
        )
    return _channels_last(where, images), labels


def _channels_last(where: str, images: np.ndarray) -> np.ndarray:
    if images.ndim == 3:
        return images[..., None]
    last = images.ndim == 4 and images.shape[3] in CHANNELS
    first = images.ndim == 4 and images.shape[1] in CHANNELS
    if last == first:
        doubt = "both could be" if last else "neither is"
        raise InputError(
            f"{where}: images of shape {images.shape}; expected (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 "
            f"or 4 channels, and of the second and the last axis {doubt} the channels'. Write them as class folders "
            "or as an .npz file with the channels last."
        )
    return images if last else np.ascontiguousarray(np.moveaxis(images, 1, -1))


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
