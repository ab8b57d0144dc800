"""MATLAB files (versions up to 7.2) with an array of images and one of labels, as SVHN's."""

import zlib
from io import BytesIO
from typing import Any

import numpy as np

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.data.sources.arrays import array_part, checked_classes, checked_images
from tenfold.data.sources.parts import Part, split_of_file
from tenfold.data.sources.reader import BY_ENDING, Reader
from tenfold.data.sources.tree import Tree

_SAVE = "Save the images as uint8 and a label for each with save('data.mat', 'X', 'y', '-v7')."


def _files(tree: Tree) -> list[str]:
    return [] if tree.pictures else [name for name in tree.files if name.endswith(".mat")]


def _read(tree: Tree, names: list[str], data: recipe.Data) -> list[Part]:
    return [_part(tree, name, split_of_file(name)) for name in names]


def _part(tree: Tree, name: str, split: str | None) -> Part:
    where = tree.place(name)
    arrays = read_arrays(tree, name)
    images = {key: array for key, array in arrays.items() if array.ndim in (3, 4)}
    labels = {
        key: array.ravel() for key, array in arrays.items() if max(array.shape, default=0) == array.size > 1
    }
    if len(images) != 1 or len(labels) != 1:
        shapes = ", ".join(f"{key} {array.shape}" for key, array in arrays.items()) or "none"
        raise InputError(
            f"{where}: its arrays are {shapes}; expected one of images with 3 or 4 axes, and one of labels. {_SAVE}"
        )
    ((pixels, stack),), ((targets, values),) = images.items(), labels.items()
    axes = [axis for axis, size in enumerate(stack.shape) if size == len(values)]
    if len(axes) != 1:
        raise InputError(
            f"{where}: {pixels} has the shape {stack.shape}, and {targets} {len(values)} values: which axis counts "
            f"the images is not clear. {_SAVE}"
        )
    ordered = checked_images(f"{where}: {pixels}", np.moveaxis(stack, axes[0], 0))
    classes = checked_classes(f"{where}: {targets}", _texts(values), len(ordered), None)
    return array_part(split, name, ordered, classes)


def read_arrays(tree: Tree, name: str) -> dict[str, np.ndarray]:
    """All arrays of a MATLAB file by name. Raises InputError where it cannot be read."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        with tree.open(name) as file:
            found: dict[str, Any] = loadmat(BytesIO(file.read()))
    except NotImplementedError:
        raise InputError(f"{tree.place(name)}: files of MATLAB 7.3 (HDF5) are not read. {_SAVE}") from None
    except (
        ValueError,
        TypeError,
        KeyError,
        OSError,
        EOFError,
        IndexError,
        zlib.error,
        MatReadError,
    ) as error:
        raise InputError(
            f"{tree.place(name)}: cannot be read as a MATLAB file ({error}). Fetch it again."
        ) from None
    return {key: value for key, value in found.items() if isinstance(value, np.ndarray)}


def _texts(values: np.ndarray) -> np.ndarray:
    """Labels as they are named: whole numbers without a point (MATLAB keeps numbers as floating-point ones)."""
    if values.dtype.kind == "f" and np.all(values == np.rint(values)):
        return values.astype(np.int64)
    if values.dtype.kind == "O":  # a cell array of texts
        return np.array([str(np.squeeze(value)) for value in values])
    return values


READER = Reader("MATLAB files", BY_ENDING, _files, _read, (".mat",))
