"""Arrays, tensors and DataFrames that a Python caller gives: kept in the cache as files named by their contents.

From there they are a source like any other, so a run on them is opened, evaluated and resumed by its path. The same
arrays make the same file; where it is gone from the cache, giving them again brings it back.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tenfold.core.errors import InputError, first_line
from tenfold.core.files import atomic, cache_folder, explained_write
from tenfold.data.source import SPLIT_NAMES
from tenfold.data.sources.arrays import CHANNELS, checked_classes, checked_images
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

    images: arrays or tensors, (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels, of the types and
    values that arrays in files may have (`checked_images`). labels: (N,) or (N, 1) integers or texts, or one-hot rows
    (N, K). Raises InputError for anything else, with what would help.
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
        raise InputError(f"{where}: expected a path or a pair (images, labels), got {_said(pair)}.")
    images, labels = _array(f"{where}: images", pair[0]), _array(f"{where}: labels", pair[1])
    if not images.size:
        raise InputError(f"{where}: images of shape {images.shape} hold no pixels. Give at least one image.")
    pixels = checked_images(f"{where}: images", _told_apart(where, images))
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.flat):
        labels = labels.astype(np.str_)  # as pandas keeps texts
    if labels.shape == (len(images),) and labels.dtype.kind in "iuU":
        return pixels, labels
    return pixels, np.asarray(checked_classes(f"{where}: labels", labels, len(images), None))


def _said(pair: Any) -> str:
    return f"{type(pair).__name__}{f' of {len(pair)}' if isinstance(pair, tuple | list) else ''}"


def _array(where: str, part: Any) -> np.ndarray:
    """An array of what a caller gave, a tensor of any device and type too. Raises InputError for what is none."""
    torch = sys.modules.get("torch")  # whoever has a tensor has imported it
    try:
        if torch is not None and isinstance(part, torch.Tensor):
            part = part.detach().cpu()
            return (part.float() if part.dtype == torch.bfloat16 else part).numpy()
        return np.asarray(part)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{where} make no array ({first_line(error)}). Give one array or tensor; images of several sizes go into "
            "class folders."
        ) from None


def _told_apart(where: str, images: np.ndarray) -> np.ndarray:
    """The images. Raises InputError where both the second and the last axis could be the channels'."""
    if images.ndim == 4 and images.shape[1] in CHANNELS and images.shape[3] in CHANNELS:
        raise InputError(
            f"{where}: images of shape {images.shape}; both the second and the last axis could be the channels'. "
            "Write them as class folders or as an .npz file with the channels last."
        )
    return images


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
