"""Arrays of images and labels in one .npz file."""

from io import BytesIO
from pathlib import PurePosixPath

import numpy as np

from tenfold import recipe
from tenfold.core.arrays import NO_ARRAYS
from tenfold.core.errors import InputError
from tenfold.data.sources.arrays import (
    array_pairs,
    array_part,
    checked_classes,
    checked_images,
    checked_names,
)
from tenfold.data.sources.parts import Part
from tenfold.data.sources.reader import BY_ENDING, Reader
from tenfold.data.sources.tree import Tree


def _files(tree: Tree) -> list[str]:
    arrays = [name for name in tree.files if name.endswith(".npz")]
    return arrays if len(arrays) == 1 and not tree.pictures else []


def _read(tree: Tree, names: list[str], data: recipe.Data) -> list[Part]:
    """Arrays of an .npz file: `x_train` and `y_train`, `train_images` and `train_labels`, or `images` and `labels`.

    Integer labels index `class_names`, where there is such an array.

    Raises InputError naming the array that has the wrong shape or type.
    """
    (name,) = names
    where = tree.place(name)
    try:
        with tree.open(name) as file, np.load(BytesIO(file.read()), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except MemoryError as error:
        raise InputError(
            f"{where}: an array of it does not fit in memory ({error}). "
            "Save fewer images, or pictures in class folders."
        ) from None
    except (*NO_ARRAYS, OSError) as error:
        why = "it holds Python objects" if "allow_pickle" in str(error) else error
        raise InputError(
            f"{where}: cannot be read as .npz ({why}). Save it with numpy.savez: images as uint8, labels as integers "
            "or text."
        ) from None
    pairs = list(array_pairs(list(arrays)))
    if not pairs:
        raise InputError(
            f"{where}: it holds the arrays {', '.join(arrays) or '(none)'}; expected pairs: x_train and "
            "y_train (and x_test, y_test, x_val, y_val), train_images and train_labels, or images and labels."
        )
    class_names = checked_names(where, arrays["class_names"]) if "class_names" in arrays else None
    stem = PurePosixPath(name).name
    return [
        array_part(
            split,
            f"{stem}:{images}" if split else stem,
            checked_images(f"{where}: {images}", arrays[images]),
            checked_classes(f"{where}: {labels}", arrays[labels], len(arrays[images]), class_names),
        )
        for split, images, labels in pairs
    ]


READER = Reader("npz files", BY_ENDING, _files, _read, (".npz",))
