"""CIFAR-10 and CIFAR-100 in their original files, python or binary (Krizhevsky 2009)."""

import pickle
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.data.sources.arrays import array_part
from tenfold.data.sources.parts import Part
from tenfold.data.sources.reader import BY_NAME, Reader
from tenfold.data.sources.tree import Tree

# For each form of the original files: the training files, the test file, the file of class names, and the reader.
_CIFAR_FORMS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "CIFAR-10 python": (tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"),
    "CIFAR-100 python": (("train",), "test", "meta"),
    "CIFAR-10 binary": (
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
    ),
    "CIFAR-100 binary": (("train.bin",), "test.bin", "fine_label_names.txt"),
}

# What unpickling, looking up and reshaping raise when a file is not what its name says.
_DAMAGE = (LookupError, ValueError, TypeError, AttributeError, EOFError, OSError, pickle.UnpicklingError)


def _form(tree: Tree) -> str | None:
    """Which form of the CIFAR files the tree holds (a key of _CIFAR_FORMS), or None.

    One file of each kind is enough to recognise them, so that a missing one can be named.
    """
    names = {name.rpartition("/")[2] for name in tree.files}
    for form, (training, test, meta) in _CIFAR_FORMS.items():
        if len(names & {*training, test, meta}) >= 2 and meta in names:
            return form
    return None


def _files(tree: Tree) -> list[str]:
    form = _form(tree)
    if form is None:
        return []
    training, test, meta = _CIFAR_FORMS[form]
    return [name for name in tree.files if name.rpartition("/")[2] in {*training, test, meta}]


def _read(tree: Tree, names: list[str], data: recipe.Data) -> list[Part]:
    """CIFAR's original files: every batch a part, in the order of its number; of CIFAR-100 the 100 fine classes.

    Raises InputError for a file that is missing or damaged.
    """
    form = _form(tree)
    assert form is not None
    training, test, meta = _CIFAR_FORMS[form]
    places = {name.rpartition("/")[2]: name for name in names}
    for name in (*training, test, meta):
        if name not in places:
            raise InputError(
                f"{tree.path}: these are the {form} files, but {name} is missing. Unpack or fetch them again."
            )
    read = _read_python_batch if form.endswith("python") else _read_binary_batch
    class_names = _read_class_names(tree, places[meta], form)
    parts = []
    for name in (*training, test):
        try:
            with tree.open(places[name]) as file:
                images, labels = read(file, form)
            classes = [class_names[label] for label in labels]
        except _DAMAGE as error:
            raise InputError(
                f"{tree.path}: {places[name]} is no intact {form} file ({error}). Fetch the archive again."
            ) from None
        parts.append(array_part("test" if name == test else "train", name, images, classes))
    return parts


def _read_python_batch(file: BinaryIO, form: str) -> tuple[np.ndarray, Sequence[int]]:
    batch = _RestrictedUnpickler(file, encoding="bytes").load()
    labels = batch[b"labels" if form.startswith("CIFAR-10 ") else b"fine_labels"]
    return _planes_to_pixels(np.asarray(batch[b"data"], np.uint8)), labels


def _read_binary_batch(file: BinaryIO, form: str) -> tuple[np.ndarray, Sequence[int]]:
    labels = 1 if form.startswith("CIFAR-10 ") else 2  # CIFAR-100 puts a coarse label before the fine one
    records = np.frombuffer(file.read(), np.uint8).reshape(-1, labels + 3072)
    return _planes_to_pixels(records[:, labels:]), records[:, labels - 1].tolist()


def _planes_to_pixels(planes: np.ndarray) -> np.ndarray:
    """(N, 3072), the red, green and blue planes in turn, to (N, 32, 32, 3)."""
    return planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _read_class_names(tree: Tree, name: str, form: str) -> list[str]:
    with tree.open(name) as file:
        if form.endswith("binary"):
            return file.read().decode().split()
        try:
            meta = _RestrictedUnpickler(file, encoding="bytes").load()
            return [
                text.decode()
                for text in meta[b"label_names" if form.startswith("CIFAR-10 ") else b"fine_label_names"]
            ]
        except _DAMAGE as error:
            raise InputError(
                f"{tree.path}: {name} is no intact {form} file ({error}). Fetch the archive again."
            ) from None


class _RestrictedUnpickler(pickle.Unpickler):
    """Reads plain containers and numpy arrays, and refuses everything that a pickle could run."""

    _ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, which no such file needs")
        return super().find_class(module_name.replace("numpy.core.", "numpy._core."), global_name)


READER = Reader("CIFAR files", BY_NAME, _files, _read)
