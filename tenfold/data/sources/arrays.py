"""Sources whose pixels are arrays already: the bundled digits and .npz files."""

import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tenfold.core.errors import InputError
from tenfold.data.formats import Encoded
from tenfold.data.sources.groups import Group, split_named
from tenfold.data.sources.trees import Tree


def array_group(split: str | None, name: str, images: np.ndarray, classes: Sequence[str]) -> Group:
    """A group of images (N, H, W, C) uint8, known as `name#0`, `name#1`, ..."""

    def encoded() -> Iterator[tuple[int, Encoded]]:
        return enumerate(np.ascontiguousarray(image) for image in images)

    return Group(split, name, [f"{name}#{i}" for i in range(len(images))], classes, encoded)


def read_digits() -> list[Group]:
    """The 1,797 handwritten digits (8x8, gray) that come with scikit-learn, from the UCI repository's test set."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    return [array_group(None, "digits", images, [str(label) for label in digits.target])]


def read_npz(tree: Tree, name: str) -> list[Group]:
    """Arrays of an .npz file: `x_train` and `y_train`, `train_images` and `train_labels`, or `images` and `labels`.

    Integer labels index `class_names`, where there is such an array.

    Raises InputError naming the array that has the wrong shape or type.
    """
    where = str(tree.path if tree.path.is_file() else tree.path / name)
    try:
        with tree.open(name) as file, np.load(BytesIO(file.read()), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except MemoryError as error:
        raise InputError(
            f"{where}: an array of it does not fit in memory ({error}). "
            "Save fewer images, or pictures in class folders."
        ) from None
    except (
        ValueError,
        OSError,
        EOFError,
        BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        why = "it holds Python objects" if "allow_pickle" in str(error) else error
        raise InputError(
            f"{where}: cannot be read as .npz ({why}). Save it with numpy.savez: images as uint8, labels as integers "
            "or text."
        ) from None
    pairs = list(_pairs(arrays))
    if not pairs:
        raise InputError(
            f"{where}: it holds the arrays {', '.join(arrays) or '(none)'}; expected pairs: x_train and "
            "y_train (and x_test, y_test, x_val, y_val), train_images and train_labels, or images and labels."
        )
    names = _checked_names(where, arrays["class_names"]) if "class_names" in arrays else None
    stem = PurePosixPath(name).name
    return [
        array_group(
            split,
            f"{stem}:{images}" if split else stem,
            _checked_images(f"{where}: {images}", arrays[images]),
            _checked_classes(f"{where}: {labels}", arrays[labels], len(arrays[images]), names),
        )
        for split, images, labels in pairs
    ]


def _pairs(arrays: dict[str, np.ndarray]) -> Iterator[tuple[str | None, str, str]]:
    """(split, key of the images, key of the labels) for every pair, training first."""
    found = []
    for images in arrays:
        for mark, partner in (("x", "y"), ("images", "labels"), ("X", "Y"), ("X", "y")):
            parts = images.split("_")
            labels = "_".join(partner if part == mark else part for part in parts)
            if mark in parts and labels in arrays and labels != images:
                split = split_named("_".join(part for part in parts if part != mark))
                if split or len(parts) == 1:
                    found.append((split, images, labels))
    order = (None, "train", "validation", "test")
    return iter(sorted(found, key=lambda pair: order.index(pair[0])))


def _checked_images(where: str, images: np.ndarray) -> np.ndarray:
    """Images as (N, H, W, C) uint8 from what arrays of images usually are."""
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in {1, 3, 4}:
        first = " Move the channels last, with numpy.moveaxis(x, 1, -1)." if images.ndim == 4 else ""
        raise InputError(
            f"{where} has the shape {images.shape}; expected (images, height, width) or (images, height, width, "
            f"channels) with 1, 3 or 4 channels.{first}"
        )
    if images.dtype == np.uint8 or not images.size:
        return images
    low, high = images.min(), images.max()
    if images.dtype == np.uint16:
        return np.rint(images / 257).astype(np.uint8)
    if images.dtype.kind in "iub" and low >= 0 and high <= 255:
        return images.astype(np.uint8) * (255 if images.dtype.kind == "b" else 1)
    if images.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(images * 255).astype(np.uint8)
    raise InputError(
        f"{where} has the type {images.dtype} and values from {low} to {high}; expected uint8, or floating-point "
        "values from 0 to 1. Convert it before saving, for instance with x.astype('uint8')."
    )


def _checked_names(where: str, names: np.ndarray) -> list[str]:
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise InputError(
            f"{where}: class_names has the shape {names.shape} and the type {names.dtype}; expected a text for each "
            "class."
        )
    return [str(name) for name in _decoded(f"{where}: class_names", names).tolist()]


def _decoded(where: str, texts: np.ndarray) -> np.ndarray:
    """Bytes as text; text as it is."""
    if texts.dtype.kind != "S":
        return texts
    try:
        return np.char.decode(texts, "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where} has bytes that are no UTF-8 ({error}). Save the labels as text.") from None


def _checked_classes(where: str, labels: np.ndarray, count: int, names: list[str] | None) -> list[str]:
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.shape != (count,) or labels.dtype.kind not in "iubUS":
        raise InputError(
            f"{where} has the shape {labels.shape} and the type {labels.dtype}; expected one integer or "
            f"text for each of the {count} images."
        )
    labels = _decoded(where, labels)
    if names is None or labels.dtype.kind == "U":
        return [str(label) for label in labels.tolist()]
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= len(names):
        raise InputError(
            f"{where} reaches from {labels.min()} to {labels.max()}, but class_names has {len(names)} names. "
            "Labels count from 0."
        )
    return [names[label] for label in labels.tolist()]
