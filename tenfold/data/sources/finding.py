"""From one tree of files to its parts: by the tables of labels in it, or by the reader of its kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.data.formats import ending, is_picture, read_file, why_no_picture
from tenfold.data.limits import LARGEST_FILE, BadPicture
from tenfold.data.sources.label_table import LabelTable, find_columns, is_table, read_columns, read_table
from tenfold.data.sources.labelled import disagreement, read_labelled
from tenfold.data.sources.parts import Part
from tenfold.data.sources.reader import PICTURES
from tenfold.data.sources.readers.folders import read_folders
from tenfold.data.sources.registry import all_readers, file_endings, reader_of
from tenfold.data.sources.tree import Tree
from tenfold.data.sources.trees import open_tree

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # of Hugging Face image folders


@dataclass(frozen=True)
class Found:
    """The parts of one tree, and (name, reason) of every file that gives no image."""

    parts: list[Part]
    unused: list[tuple[str, str]]
    notices: list[str]


def find_parts(tree: Tree, data: recipe.Data) -> Found:
    """What a tree holds, labelled by its tables where it has some, else as its reader understands it.

    Raises InputError for what is not understood, and where tables and class folders say different things.
    """
    reader, names = reader_of(tree)
    if reader.tables is not None:
        return by_tables(tree, reader.tables(tree, names), names)
    described = _described(tree, data) if reader.turn == PICTURES else []
    if not described:
        used = set(names)
        unused = [(name, _why(name, reader.kind)) for name in tree.files if name not in used]
        return Found(reader.read(tree, names, data), [*unused, *tree.skipped()], _missing(tree))
    found = by_tables(tree, _tables(tree, described, data))
    _check_folders(tree, described, names, found.parts, data)
    return found


def table_labels(tree: Tree) -> dict[str, str]:
    """The labels of those pictures of a tree that the tables in it label; empty where none is understood."""
    data = recipe.Data()
    try:
        described = _described(tree, data)
        return read_labelled(tree, _tables(tree, described, data)).labels if described else {}
    except InputError:
        return {}


def _tables(tree: Tree, names: list[str], data: recipe.Data) -> list[tuple[str, LabelTable]]:
    """Each table with the folder that its paths are meant from: its own."""
    tables = [read_table(tree.place(name), name, _read(tree, name), data) for name in names]
    return [
        (name.removesuffix(name.rpartition("/")[2]), table) for name, table in zip(names, tables, strict=True)
    ]


def is_label_table(path: Path) -> bool:
    """Whether a path is that of a table of labels, rather than of a file that holds the images itself."""
    if not path.is_file() or not is_table(path.name):
        return False
    if not path.name.lower().endswith(file_endings()):
        return True
    return _names_pictures(path) if ending(path.name) == ".parquet" else not reader_of(open_tree(path))[1]


def _names_pictures(path: Path) -> bool:
    """Whether a Parquet file begins with the names of pictures that are there: others hold pictures themselves."""
    try:
        columns = read_columns(str(path), path.name, file_contents(path))
    except InputError:
        return False
    names = [value for values in columns.values() for value in values[:20] if value and is_picture(value)]
    return any((path.parent / name).is_file() for name in names)


def by_tables(tree: Tree, tables: list[tuple[str, LabelTable]], lists: Sequence[str] = ()) -> Found:
    """The pictures that tables name; every other file of the tree is left out. `lists`: the files they are from."""
    found = read_labelled(tree, tables)
    unused = [(name, found.reasons[name]) for name in tree.pictures if name in found.reasons]
    reasons = dict.fromkeys(lists, "a list of labels") or {
        name: "the table of labels"
        for name in tree.files
        if tree.place(name) in {table.where for _, table in tables}
    }
    unused += [
        (name, reasons.get(name) or why_no_picture(name)) for name in tree.files if not is_picture(name)
    ]
    return Found(found.parts, [*unused, *tree.skipped()], found.notices)


def metadata(tree: Tree) -> list[str]:
    """The tables that describe the pictures of an image folder, where it is one; found without listing every file."""
    return tree.called(METADATA)


def _described(tree: Tree, data: recipe.Data) -> list[str]:
    return [name for name in metadata(tree) if _says_labels(tree, name, data)]


def _says_labels(tree: Tree, name: str, data: recipe.Data) -> bool:
    """Whether a table has labels: some describe pictures in other ways, and then the folders are the classes."""
    columns = read_columns(tree.place(name), name, _read(tree, name))
    return "label" in find_columns(tree.place(name), columns, data, named=True)


def _check_folders(
    tree: Tree, described: list[str], names: list[str], parts: list[Part], data: recipe.Data
) -> None:
    """Raise InputError where the folders are classes too, but others than the tables say."""
    try:
        by_folders = read_folders(tree, names, data)
    except InputError:
        return  # the folders say no classes
    if found := disagreement(parts, by_folders):
        path, label, folder = found
        table = tree.place(described[0])
        raise InputError(
            f"{table}: it says {label!r} of {path}, which lies in the folder of {folder!r}. If the table is right, "
            f"say so with --labels {quote(table)}; if the folders are, move it elsewhere."
        )


def _missing(tree: Tree) -> list[str]:
    """A sentence for each kind of source that the tree would be with one more file."""
    return [said for reader in all_readers() if reader.missing and (said := reader.missing(tree))]


def _why(name: str, kind: str) -> str:
    return f"a picture beside {kind}" if is_picture(name) else why_no_picture(name)


def _read(tree: Tree, name: str) -> bytes:
    if tree.files[name] > LARGEST_FILE:
        raise InputError(
            f"{tree.place(name)}: it is larger than {LARGEST_FILE >> 20} MiB, which no table of labels is."
        )
    with tree.open(name) as file:
        return file.read()


def file_contents(path: Path) -> bytes:
    """All bytes of a file. Raises InputError where it cannot be read, is no regular file, or far too large."""
    try:
        return read_file(str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    except BadPicture as error:
        raise InputError(f"{path}: cannot be read ({error}).") from None
