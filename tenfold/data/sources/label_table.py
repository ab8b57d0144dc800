"""A table of labels: which image is of which class, and maybe its split and group, as one file says it.

CSV, TSV, JSON lines, Parquet, and plain lists of `path label`. What a column holds is told by its name or by the
user's `[data]` options; what is not clear is refused with the columns and the option that decides.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

from tenfold import recipe
from tenfold.core.errors import InputError, nearest
from tenfold.core.text import file_lines, listed, printable
from tenfold.data.formats import EXTRAS, PLAIN, ending

# A table's columns by name: a text for each row, None where there is none.
Columns = dict[str, list[str | None]]

_NAMES = {
    "path": (
        *("file_name", "filename", "file", "path", "filepath", "file_path", "image_path", "img_path"),
        *("image_file", "image_filename", "image_name", "img_name", "imagepath"),
    ),
    "label": (
        "label",
        "labels",
        "class",
        "class_name",
        "classname",
        "category",
        "category_name",
        "target",
        "y",
    ),
    "split": ("split", "subset", "partition", "set"),
    "group": ("group", "group_id", "groups", "patient", "patient_id", "subject", "subject_id"),
}
# Names that say a path only where none of the names above is there.
_WEAK_PATHS = ("image", "img", "id", "image_id", "img_id", "image_index", "name")
_OPTIONS = {"path": "data.path_column", "label": "data.label_column", "split": "data.split_column"} | {
    "group": "data.group"
}


@dataclass(frozen=True)
class LabelTable:
    """The rows of a table. where: its file, for messages; name: the file's name; used: `columns` of each role.

    A list of a known data set has no columns that could be others, so that `columns` and `used` are empty.
    Each of the lists has an entry for every row; splits and groups are None where the table has no such column.
    """

    where: str
    name: str
    columns: tuple[str, ...]
    used: dict[str, str]
    paths: list[str | None]
    labels: list[str | None]
    splits: list[str | None] | None
    groups: list[str | None] | None

    @property
    def said(self) -> str:
        """The table and its columns, for reading."""
        if not self.used:
            return self.name
        rest = [f"{role} {self.used[role]!r}" for role in ("split", "group") if role in self.used]
        return f"{self.name.rpartition('/')[2]} ({', '.join(['column ' + repr(self.used['label']), *rest])})"


def is_table(name: str) -> bool:
    """Whether a file's name ends as tables of labels do."""
    return ending(name) in _READERS


def read_table(where: str, name: str, contents: bytes, data: recipe.Data) -> LabelTable:
    """The table in a file's `contents`. Raises InputError for what is damaged, or says no paths and labels."""
    columns = read_columns(where, name, contents)
    used = find_columns(where, columns, data)
    if "label" not in used:
        raise InputError(
            f"{where}: which column holds the labels is not clear; its columns are {_quoted(list(columns))}. Say it "
            "with data.label_column=NAME."
        )
    splits, groups = (columns[used[role]] if role in used else None for role in ("split", "group"))
    return LabelTable(
        where, name, tuple(columns), used, columns[used["path"]], columns[used["label"]], splits, groups
    )


def read_columns(where: str, name: str, contents: bytes) -> Columns:
    """All columns of a table in their order. Raises InputError for a damaged one, and for one without rows."""
    columns = _READERS[ending(name)](where, contents)
    if not columns or not any(columns.values()):
        raise InputError(f"{where}: it has no rows. Expected a path and a label in each.")
    return columns


# Columns -----------------------------------------------------------------------------------------------------


def find_columns(where: str, columns: Columns, data: recipe.Data, *, named: bool = False) -> dict[str, str]:
    """The column of each role that the table has: "path" always, "label", "split" and "group" maybe.

    The only column that is left holds the labels, unless just those that are `named` so are wanted.

    Raises InputError where a name that the user says is not there, or several columns could be meant.
    """
    said = {"path": data.path_column, "label": data.label_column, "split": data.split_column}
    if data.group is None or "(" not in data.group or data.group in columns:  # else a pattern for the path
        said["group"] = data.group
    used: dict[str, str] = {}
    for role, name in said.items():
        found = _said(where, columns, role, name) if name is not None else _recognised(where, columns, role)
        if found:
            used[role] = found
    if "path" not in used:
        raise InputError(
            f"{where}: which column names the images' files is not clear; its columns are {_quoted(list(columns))}. "
            "Say it with data.path_column=NAME."
        )
    others = [name for name in columns if name not in used.values()]
    if "label" not in used and len(others) == 1 and not named:
        used["label"] = others[0]
    return used


def _said(where: str, columns: Columns, role: str, name: str) -> str | None:
    """The column that the user names; None for an empty name, which says that there is no such column."""
    if name and name not in columns:
        raise InputError(
            f"{where}: {_OPTIONS[role]}={name}: there is no such column{nearest(name, list(columns))}; its columns "
            f"are {_quoted(list(columns))}."
        )
    return name or None


def _recognised(where: str, columns: Columns, role: str) -> str | None:
    plain = {name: re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in columns}
    found = [name for name in columns if plain[name] in _NAMES[role]]
    if role == "path" and not found:
        found = [name for name in columns if plain[name] in _WEAK_PATHS]
    if role == "path" and not found:
        found = [name for name, values in columns.items() if all(_is_picture_name(v) for v in values[:100])]
    if len(found) > 1:
        raise InputError(
            f"{where}: several columns could hold the {role} ({_quoted(found)}). Say which one with "
            f"{_OPTIONS[role]}={found[0]} (or another)."
        )
    return found[0] if found else None


def _is_picture_name(value: str | None) -> bool:
    found = ending(value or "")
    return found in PLAIN or found in EXTRAS


def _quoted(names: Sequence[str]) -> str:
    return listed([printable(name) for name in names], 20)


# Files -------------------------------------------------------------------------------------------------------


def _read_delimited(where: str, contents: bytes, tabs: bool = False) -> Columns:
    text = text_of(where, contents)
    first = text.lstrip().partition("\n")[0]
    delimiter = "\t" if tabs else max(",;\t|", key=first.count)
    rows: list[list[str]] = []
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        for row in reader:
            if any(row):
                rows.append(row)
                if len(row) != len(rows[0]):
                    raise InputError(
                        f"{where}: line {reader.line_num} has {len(row)} values, but the first one {len(rows[0])}. "
                        "Mend it; a value that holds the separator itself belongs in quotes."
                    )
    except csv.Error as error:
        raise InputError(f"{where}: line {reader.line_num} cannot be read ({error}). Mend it.") from None
    return _columns(where, rows)


def _read_list(where: str, contents: bytes) -> Columns:
    """Lines of `path label` (ImageNet's lists), with blanks or a tab between; a path may hold blanks."""
    rows: list[list[str]] = []
    for number, line in enumerate(file_lines(text_of(where, contents)), 1):
        row = line.split("\t") if "\t" in line else line.rsplit(maxsplit=1)
        if row and len(row) != 2:
            raise InputError(
                f"{where}: line {number} ({line:.80}) is no path and a label with a blank or a tab between. "
                "A text file is read as a table of labels; correct it, or name a folder or pictures instead."
            )
        rows += [row] if row else []
    return _columns(where, [["path", "label"], *rows])


def _columns(where: str, rows: list[list[str]]) -> Columns:
    """Columns from rows, of which the first is the header, unless it names a picture already."""
    if not rows:
        return {}
    if any(_is_picture_name(value.strip()) for value in rows[0]):
        names = [f"column {number}" for number in range(1, len(rows[0]) + 1)]
    else:
        names = [value.strip() for value in rows.pop(0)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{where}: several columns are called {_quoted(twice)}. Rename all but one.")
    values = zip(*rows, strict=True) if rows else ([] for _ in names)
    return {
        name: [value.strip() or None for value in column] for name, column in zip(names, values, strict=True)
    }


def text_of(where: str, contents: bytes) -> str:
    """A file's `contents` as text, UTF-8 or UTF-16 with a mark. Raises InputError where they are none."""
    wide = contents[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return contents.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: it is no UTF-8 text ({error}). Save it as UTF-8.") from None


def _read_json_lines(where: str, contents: bytes) -> Columns:
    columns: Columns = {}
    count = 0
    for number, line in enumerate(file_lines(text_of(where, contents)), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{where}: line {number} is no JSON ({error}). Expected an object a line."
            ) from None
        if not isinstance(row, dict):
            raise InputError(f"{where}: line {number} is no JSON object. Expected one a line.")
        for name, value in row.items():
            columns.setdefault(name, [None] * count).append(plain_value(value))
        count += 1
        for name in columns.keys() - row.keys():
            columns[name].append(None)
    return columns


def _read_parquet(where: str, contents: bytes) -> Columns:
    import pyarrow as pa  # slow to load and seldom needed
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(BytesIO(contents))
        return {
            name: [plain_value(value) for value in table[name].to_pylist()] for name in table.column_names
        }
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{where}: cannot be read as Parquet ({error}). Fetch or make it again.") from None


def plain_value(value: Any) -> str | None:
    """A value as text: whole numbers without a point; None for nothing, or for what is no single value."""
    if value is None or isinstance(value, list | dict | bytes):
        return None
    if isinstance(value, float):
        if value != value:  # not a number: how missing values are kept beside numbers
            return None
        value = int(value) if value.is_integer() else value
    return str(value).strip() or None


_READERS: dict[str, Callable[[str, bytes], Columns]] = {
    ".csv": _read_delimited,
    ".tsv": lambda where, contents: _read_delimited(where, contents, tabs=True),
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
    ".txt": _read_list,
    ".lst": _read_list,
}


def rows_of(table: LabelTable) -> Iterator[tuple[str, str | None, str | None, str | None]]:
    """(path, label, split, group) of every row that names a path."""
    nothing: list[str | None] = [None] * len(table.paths)
    columns = (table.paths, table.labels, table.splits or nothing, table.groups or nothing)
    for path, label, split, group in zip(*columns, strict=True):
        if path is not None:
            yield path, label, split, group
