"""Data sets whose labels stand in lists of a known form beside their pictures: each form is a reader.

A form is told by the very names of its lists. It gives tables of labels, so that rows are matched with pictures, and
both accounted for, as those of any table.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.core.text import file_lines
from tenfold.data.limits import LARGEST_FILE
from tenfold.data.sources.label_table import LabelTable, text_of
from tenfold.data.sources.labelled import read_labelled
from tenfold.data.sources.parts import Part
from tenfold.data.sources.reader import BY_NAME, Reader, Tables
from tenfold.data.sources.tree import Tree

# (path, label or None, split) of a picture; paths are meant from the data set's folder, and need no ending.
Row = tuple[str, str | None, str]


def list_reader(
    kind: str, files: Callable[[Tree], list[str]], tables: Callable[[Tree, list[str]], Tables]
) -> Reader:
    """The reader of a form: `files` finds its lists in a tree, `tables` reads them."""

    def read(tree: Tree, names: list[str], data: recipe.Data) -> list[Part]:
        return read_labelled(tree, tables(tree, names)).parts

    return Reader(kind, BY_NAME, files, read, tables=tables)


def fixed_reader(kind: str, lists: tuple[str, ...], tables: Callable[[Tree, str], Tables]) -> Reader:
    """The reader of a form whose `lists` are always called so; `tables` reads them, given the data set's folder."""

    def files(tree: Tree) -> list[str]:
        root = root_of(tree, lists)
        return [] if root is None else [f"{root}{name}" for name in lists]

    def missing(tree: Tree) -> str | None:
        if len(lists) == 1 or root_of(tree, lists) is not None:
            return None
        for name in lists:
            others = tuple(other for other in lists if other != name)
            if (root := root_of(tree, others)) is not None:
                return (
                    f"{root}{others[0]} is there, but not {root}{name}: {kind} are read only where all of them are, "
                    "so classes are those of the folders, and splits not the published ones"
                )
        return None

    reader = list_reader(kind, files, lambda tree, names: tables(tree, names[0].removesuffix(lists[0])))
    return replace(reader, missing=missing)


def root_of(tree: Tree, names: tuple[str, ...]) -> str | None:
    """The one folder of a tree, ending in "/" or "", that has files of all those names; None for none or several."""
    last = {name.rpartition("/")[2] for name in names}
    found = set(tree.called(last))
    roots = [name.removesuffix(names[0]) for name in found if f"/{name}".endswith(f"/{names[0]}")]
    whole = [root for root in roots if all(root + name in found for name in names)]
    return whole[0] if len(whole) == 1 else None


def table_of(tree: Tree, name: str, rows: Iterable[Row]) -> LabelTable:
    """The rows of a list `name` as a table of labels. Raises InputError where it has none."""
    found = list(rows)
    if not found:
        raise InputError(f"{tree.place(name)}: it names no picture. Fetch the data set again.")
    paths, labels, splits = ([row[column] for row in found] for column in range(3))
    return LabelTable(tree.place(name), name, (), {}, list(paths), list(labels), list(splits), None)


def lines_of(tree: Tree, name: str) -> Iterator[tuple[str, str]]:
    """(where, line) of every line of a list that is neither empty nor a comment (#)."""
    where = tree.place(name)
    if tree.files[name] > LARGEST_FILE:
        raise InputError(f"{where}: it is larger than {LARGEST_FILE >> 20} MiB, which no list of labels is.")
    with tree.open(name) as file:
        lines = file_lines(text_of(where, file.read()))
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            yield f"{where}: line {number} ({line:.80})", line.strip()


def values_of(tree: Tree, name: str, count: int) -> Iterator[tuple[str, list[str]]]:
    """(where, values) of every line of a list of `count` values between blanks. Raises InputError for others."""
    for where, line in lines_of(tree, name):
        values = line.split()
        if len(values) != count:
            raise InputError(f"{where} has {len(values)} values, expected {count}. Fetch the data set again.")
        yield where, values


def numbered(tree: Tree, name: str) -> dict[str, str]:
    """What a list of `number value` says of each number. Raises InputError where one stands twice."""
    found: dict[str, str] = {}
    for where, (number, value) in values_of(tree, name, 2):
        if number in found:
            raise InputError(f"{where}: {number} stands there twice. Fetch the data set again.")
        found[number] = value
    return found
