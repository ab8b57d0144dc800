"""IDX files: MNIST and the sets in its form (Fashion, Kuzushiji, EMNIST), each packed by gzip or not.

The format is LeCun's: http://yann.lecun.com/exdb/mnist/ (two zero bytes, the type, the number of axes, their sizes).
"""

import gzip
import re
import struct
import zlib

import numpy as np

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.data.sources.arrays import array_part, checked_classes
from tenfold.data.sources.parts import Part
from tenfold.data.sources.reader import BY_NAME, Reader
from tenfold.data.sources.tree import Tree

_IMAGES = re.compile(r"(.*?)(train|t10k|test)-images[-.]idx3-ubyte(\.gz)?", re.IGNORECASE)
_UNSIGNED_BYTES = 8


def _files(tree: Tree) -> list[str]:
    """Images, and what is called like their labels."""
    found = []
    for name in tree.files:
        if _IMAGES.fullmatch(name):
            found += [name, *([labels] if (labels := _labels_of(tree, name)) else [])]
    return found


def _label_name(images: str) -> str:
    return images.replace("images", "labels").replace("idx3", "idx1")


def _labels_of(tree: Tree, images: str) -> str | None:
    stem = re.sub(r"\.gz$", "", _label_name(images))
    return next((name for name in (stem, f"{stem}.gz") if name in tree.files), None)


def _read(tree: Tree, names: list[str], data: recipe.Data) -> list[Part]:
    parts: dict[str, Part] = {}
    for name in names:
        if not (found := _IMAGES.fullmatch(name)):
            continue
        split = "train" if found[2].lower() == "train" else "test"
        if split in parts:
            raise InputError(
                f"{tree.path}: {name} and {parts[split].name} are both {split} images of the MNIST form. Keep one "
                "data set in a folder."
            )
        labels = _labels_of(tree, name)
        if labels is None:
            raise InputError(f"{tree.place(name)}: its labels ({_label_name(name)}) are missing.")
        images = _array(tree, name, 3)
        classes = checked_classes(tree.place(labels), _array(tree, labels, 1), len(images), None)
        parts[split] = array_part(split, name, images[..., None], classes)
    return [parts[split] for split in ("train", "test") if split in parts]


def _array(tree: Tree, name: str, axes: int) -> np.ndarray:
    """The array of an IDX file. Raises InputError where it is damaged, or of another form."""
    try:
        with tree.open(name) as file:
            contents = file.read()
        if contents[:2] == b"\x1f\x8b":
            contents = gzip.decompress(contents)
        form = struct.unpack_from(">HBB", contents)
        shape = struct.unpack_from(f">{axes}I", contents, 4)
        values = np.frombuffer(contents, np.uint8, offset=4 * (1 + axes))
        if form != (0, _UNSIGNED_BYTES, axes):
            raise ValueError("it does not begin as such files do")
        return values.reshape(shape)
    except (struct.error, ValueError, OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{tree.place(name)}: is no intact IDX file of {axes} ax{'i' if axes == 1 else 'e'}s of bytes ({error}). "
            "Fetch it again."
        ) from None


READER = Reader("IDX files", BY_NAME, _files, _read)
