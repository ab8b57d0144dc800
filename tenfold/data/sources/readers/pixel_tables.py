"""CSV files of pixels: a row for each image, its label and then its values, as MNIST is often passed on."""

import csv
import re
from collections.abc import Sequence
from io import StringIO
from math import isqrt

import numpy as np

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.core.text import file_lines
from tenfold.data.sources.arrays import array_part
from tenfold.data.sources.label_table import text_of
from tenfold.data.sources.parts import Part, split_named
from tenfold.data.sources.reader import BY_ENDING, Reader
from tenfold.data.sources.tree import Tree

SMALLEST = 16  # values: below, a table of numbers is more likely to be something else
HEAD = 1 << 18  # bytes that hold the first row
_PIXEL = re.compile(r"(pixel|px|p|pix)?[-_ ]?\d+([-_x]\d+)?", re.IGNORECASE)
_NUMBERS = re.compile(r"[\d.,\s]+")


def _files(tree: Tree) -> list[str]:
    if tree.pictures:
        return []
    return [name for name in tree.files if name.lower().endswith(".csv") and _shape(_first_row(tree, name))]


def _first_row(tree: Tree, name: str) -> list[str]:
    with tree.open(name) as file:
        line = file.read(HEAD).partition(b"\n")[0]
    return next(csv.reader(StringIO(line.decode("utf-8-sig", "replace").strip())), [])


def _shape(row: Sequence[str]) -> tuple[int, int, int] | None:
    """(H, W, C) of the images whose table begins with that row; None where it holds no pixels."""
    values = len(row) - 1
    if values < SMALLEST or not all(_PIXEL.fullmatch(value.strip()) for value in row[1:]):
        return None
    for channels in (1, 3):
        side = isqrt(values // channels)
        if side * side * channels == values:
            return side, side, channels
    return None


def _read(tree: Tree, names: list[str], data: recipe.Data) -> list[Part]:
    splits = {name: _split(name) for name in names}
    strange = [name for name, split in splits.items() if split is None]
    if len(names) > 1 and strange:
        raise InputError(
            f"{tree.path}: it holds {len(names)} tables of pixels, and the name of {strange[0]} says no split. Call "
            "them train.csv and test.csv, or give one of them with --data."
        )
    order = (None, "train", "validation", "test")
    ordered = sorted(names, key=lambda name: order.index(splits[name]))
    return [_part(tree, name, splits[name]) for name in ordered]


def _split(name: str) -> str | None:
    """The split that a word of the file's name says: `mnist_train.csv`, `sign-mnist-test.csv`."""
    words = re.split(r"[-_. /]", name.lower().removesuffix(".csv"))
    return next((split for word in words if word and (split := split_named(word))), None)


def _part(tree: Tree, name: str, split: str | None) -> Part:
    first = _first_row(tree, name)
    shape = _shape(first)
    assert shape is not None
    header = int(not all(_NUMBERS.fullmatch(value) for value in first))
    with tree.open(name) as file:
        lines = file_lines(text_of(tree.place(name), file.read()))
    labels: list[str] = []
    rows: list[np.ndarray] = []
    for number, line in enumerate(lines[header:], 1 + header):
        if line.strip():
            label, _, values = line.partition(",")
            labels.append(label.strip())
            rows.append(_row(f"{tree.place(name)}: line {number}", values, len(first) - 1))
    if not rows or not all(labels):
        raise InputError(f"{tree.place(name)}: expected a label and {len(first) - 1} values in each row.")
    return array_part(split, name, np.stack(rows).reshape(-1, *shape), labels)


def _row(where: str, text: str, count: int) -> np.ndarray:
    """(count,) uint8 values of a line."""
    try:
        values = np.array(text.split(","), np.float64)
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.all((values >= 0) & (values <= 255)):
        raise InputError(f"{where} is no label and {count} values from 0 to 255. Mend it, or leave it out.")
    return values.astype(np.uint8)


READER = Reader("tables of pixels", BY_ENDING, _files, _read, (".csv",))
