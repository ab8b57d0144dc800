"""Arrays in .npy files: pairs such as x_train.npy and y_train.npy, or one image a file in class folders."""

from collections.abc import Iterator, Sequence
from io import BytesIO

import numpy as np

from tenfold import recipe
from tenfold.core.arrays import NO_ARRAYS
from tenfold.core.errors import InputError
from tenfold.data.formats import Encoded, Unreadable
from tenfold.data.sources.arrays import array_pairs, array_part, checked_classes, checked_images
from tenfold.data.sources.parts import Part
from tenfold.data.sources.reader import BY_ENDING, Reader
from tenfold.data.sources.readers.folders import read_folders
from tenfold.data.sources.tree import Tree


def _files(tree: Tree) -> list[str]:
    return [] if tree.pictures else [name for name in tree.files if name.endswith(".npy")]


def _read(tree: Tree, names: list[str], data: recipe.Data) -> list[Part]:
    stems = {name.removesuffix(".npy").rpartition("/")[2]: name for name in names}
    pairs = list(array_pairs(list(stems))) if len(stems) == len(names) else []
    if not pairs:
        return read_folders(tree, names, data, lambda names: _images(tree, names))
    return [_of_pair(tree, split, stems[images], stems[labels]) for split, images, labels in pairs]


def _of_pair(tree: Tree, split: str | None, images: str, labels: str) -> Part:
    pixels = checked_images(tree.place(images), _load(tree, images))
    classes = checked_classes(tree.place(labels), _load(tree, labels), len(pixels), None)
    return array_part(split, images, pixels, classes)


def _images(tree: Tree, names: Sequence[str]) -> Iterator[tuple[int, Encoded]]:
    """The image in each file; one that is damaged is unreadable by itself."""
    for position, name in enumerate(names):
        try:
            image = _load(tree, name)
            yield position, np.ascontiguousarray(checked_images(tree.place(name), image[None])[0])
        except InputError as error:
            yield position, Unreadable(str(error))


def _load(tree: Tree, name: str) -> np.ndarray:
    try:
        with tree.open(name) as file:
            return np.load(BytesIO(file.read()), allow_pickle=False)
    except (*NO_ARRAYS, OSError) as error:
        why = "it holds Python objects" if "allow_pickle" in str(error) else error
        raise InputError(
            f"{tree.place(name)}: cannot be read as .npy ({why}). Save it with numpy.save."
        ) from None


READER = Reader("npy files", BY_ENDING, _files, _read)
