"""What arrays of images, labels and class names may be, and the part of a source that they make."""

from collections.abc import Iterator, Sequence

import numpy as np

from tenfold.core.errors import InputError
from tenfold.data.formats import Encoded
from tenfold.data.sources.parts import Part, split_named

CHANNELS = (1, 3, 4)


def array_part(split: str | None, name: str, images: np.ndarray, classes: Sequence[str]) -> Part:
    """A part of images (N, H, W, C) uint8, known as `name#0`, `name#1`, ..."""

    def encoded() -> Iterator[tuple[int, Encoded]]:
        return enumerate(np.ascontiguousarray(image) for image in images)

    return Part(split, name, [f"{name}#{i}" for i in range(len(images))], classes, encoded)


def array_pairs(keys: Sequence[str]) -> Iterator[tuple[str | None, str, str]]:
    """(split, key of the images, key of the labels) for every pair, training first."""
    found = []
    for images in keys:
        for mark, partner in (("x", "y"), ("images", "labels"), ("X", "Y"), ("X", "y")):
            parts = images.split("_")
            labels = "_".join(partner if part == mark else part for part in parts)
            if mark in parts and labels in keys and labels != images:
                split = split_named("_".join(part for part in parts if part != mark))
                if split or len(parts) == 1:
                    found.append((split, images, labels))
    order = (None, "train", "validation", "test")
    return iter(sorted(found, key=lambda pair: order.index(pair[0])))


def checked_images(where: str, images: np.ndarray) -> np.ndarray:
    """Images as (N, H, W, C) uint8 from what arrays of images usually are, with the channels last or first.

    Raises InputError for other shapes, types and values.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[3] not in CHANNELS and images.shape[1] in CHANNELS:
        images = np.moveaxis(images, 1, -1)
    if images.ndim != 4 or images.shape[3] not in CHANNELS or 0 in images.shape[1:]:
        raise InputError(
            f"{where} has the shape {images.shape}; expected (images, height, width), or also an axis of 1, 3 or 4 "
            "channels, last or behind that of the images."
        )
    if images.dtype == np.uint8 or not images.size:
        return images
    low, high = images.min(), images.max()
    if images.dtype.kind == "u" and images.dtype.itemsize == 2:  # of either byte order
        return np.rint(images / 257).astype(np.uint8)
    if images.dtype.kind in "iub" and low >= 0 and high <= 255:
        return images.astype(np.uint8) * (255 if images.dtype.kind == "b" else 1)
    if images.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(images * 255).astype(np.uint8)
    raise InputError(
        f"{where} has the type {images.dtype} and values from {low} to {high}; expected uint8, or floating-point "
        "values from 0 to 1. Undo any standardising first; x.astype('uint8'), or of a tensor x.byte(), "
        "converts values from 0 to 255."
    )


def checked_names(where: str, names: np.ndarray) -> list[str]:
    """The names of the classes as texts. Raises InputError for anything but a text for each class."""
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


def checked_classes(where: str, labels: np.ndarray, count: int, names: list[str] | None) -> list[str]:
    """The class's name for each of `count` images: its label, or what that says among `names`.

    Raises InputError for labels of another shape or type, and for ones beyond the names.
    """
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else _from_one_hot(labels)
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


def _from_one_hot(labels: np.ndarray) -> np.ndarray:
    """(N,) the places of the ones where each row of (N, K) has one 1 and else zeros; anything else as it is."""
    if labels.ndim != 2 or labels.dtype.kind not in "iufb" or not labels.size:
        return labels
    one = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
    return labels.argmax(axis=1) if one else labels
