"""Arrays and tensors that a Python caller gives: kept in the cache as an .npz file named by its contents.

From there they are a source like any other, so a run on them is opened, evaluated and resumed by its path. The same
arrays make the same file; where it is gone from the cache, giving them again brings it back.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.core.errors import InputError
from tenfold.core.files import atomic, cache_folder, explained_write
from tenfold.data.source import SPLIT_NAMES

Pair = tuple[Any, Any]
CHANNELS = (1, 3, 4)


def place_of(data: "str | Path | Pair | Mapping[str, Pair]") -> str | Path:
    """The path or name in `data` as it is, or the path of its arrays, kept in the cache."""
    return data if isinstance(data, str | Path) else keep_arrays(data)


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
