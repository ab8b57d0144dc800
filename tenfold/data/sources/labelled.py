"""Pictures whose labels stand in tables: rows are matched with files, and both are accounted for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tenfold.core.errors import InputError
from tenfold.core.text import listed, plural, printable
from tenfold.data.source import SPLIT_NAMES
from tenfold.data.sources.label_table import LabelTable, rows_of
from tenfold.data.sources.parts import Part, split_named, splits_named, wrapping
from tenfold.data.sources.tree import Tree


@dataclass(frozen=True)
class Labelled:
    """What tables of labels make of a tree.

    parts: its images; labels: the label of each picture that has one; reasons: why other pictures are left out;
    notices: what should be said.
    """

    parts: list[Part]
    labels: dict[str, str]
    reasons: dict[str, str]
    notices: list[str]


@dataclass
class _Matched:
    """The rows so far.

    rows: (label, split, group) of each picture that has one; reasons: why other pictures are left out; missing: the
    paths that name no picture, by table; disagreeing: pictures whose rows differ; repeated: rows that repeat.
    """

    rows: dict[str, tuple[str, str | None, str | None]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    disagreeing: list[str] = field(default_factory=list)
    repeated: int = 0


def read_labelled(tree: Tree, tables: Sequence[tuple[str, LabelTable]]) -> Labelled:
    """The pictures of a tree with the labels of `tables`.

    Beside each table is the folder of the tree that its paths are meant from (ending in "/", or ""). A row's path is
    one below that folder or the root, with or without the file's ending, or the end of exactly one picture's path.
    Raises InputError where a path could be several pictures', no row names a picture, or rows say no split, or an
    unknown one, where others say one.
    """
    files = _Files(tree)
    matched = _Matched()
    for folder, table in tables:
        for path, *row in rows_of(table):
            name = files.named(path, folder, table.where)
            if name is None:
                matched.missing.setdefault(table.name, []).append(path)
            else:
                _note(matched, table.name, name, *row)
    _check_any(tree, tables, matched)
    names = " and ".join(dict.fromkeys(table.name for _, table in tables))
    for name in tree.pictures:
        if name not in matched.rows:
            matched.reasons.setdefault(name, f"no row of {names} names it")
    labels = {name: label for name, (label, _, _) in matched.rows.items()}
    return Labelled(_parts(tree, tables, matched), labels, matched.reasons, list(_notices(tables, matched)))


def _notices(tables: Sequence[tuple[str, LabelTable]], matched: _Matched) -> Iterator[str]:
    for _, table in tables:
        if missing := matched.missing.get(table.name):
            rows, name = ("1 row", "names") if len(missing) == 1 else (f"{len(missing):,} rows", "name")
            yield (
                f"{rows} of {table.name} ({len(table.paths):,} in all) {name} no picture that is there, for instance "
                f"{printable(missing[0])}"
            )
    if matched.disagreeing:
        have, are = ("has", "is") if len(matched.disagreeing) == 1 else ("have", "are")
        yield (
            f"{plural(len(matched.disagreeing), 'picture')} {have} rows that say different things and {are} left "
            f"out, for instance {printable(matched.disagreeing[0])}"
        )
    if matched.repeated:
        yield f"rows that only repeat another one of the labels: {matched.repeated:,}"


def _note(
    matched: _Matched, table: str, name: str, label: str | None, split: str | None, group: str | None
) -> None:
    """Add a row, unless it gives no label or another one than before; then the picture is left out."""
    known = matched.rows.get(name)
    if name in matched.disagreeing:
        return
    if label is None:
        if known is None:
            matched.reasons[name] = f"without a label in {table}"
    elif known is None:
        matched.rows[name] = (label, split, group)
        matched.reasons.pop(name, None)
    elif known == (label, split, group):
        matched.repeated += 1
    else:
        what = "labels" if known[0] != label else "splits or groups"
        matched.disagreeing.append(name)
        matched.reasons[name] = f"rows of {table} give it different {what}"
        del matched.rows[name]


def _check_any(tree: Tree, tables: Sequence[tuple[str, LabelTable]], matched: _Matched) -> None:
    if not matched.rows:
        table = tables[0][1]
        example = printable(next((path for path, *_ in rows_of(table)), "(none)"))
        picture = f"; one of the pictures is {printable(tree.pictures[0])}" if tree.pictures else ""
        column = f" of its column {table.used['path']!r}" if table.used else ""
        why = "no row has a label" if matched.reasons else f"no path{column} is there"
        help = (
            "Paths are meant from the table's folder or the source's; name another column with data.path_column or "
            "data.label_column, or the folder with --data."
            if table.used
            else "Put the pictures beside their lists as the data set has them."
        )
        raise InputError(f"{table.where}: {why} below {tree.path} (the first is {example}{picture}). {help}")


# Files -------------------------------------------------------------------------------------------------------


class _Files:
    """The pictures of a tree, found by what a row says of their path."""

    def __init__(self, tree: Tree) -> None:
        self._above = f"{Path(tree.path).absolute().as_posix()}/"
        self._pictures = frozenset(tree.pictures)
        self._root = wrapping(tree.pictures) if tree.pictures else ""

    @cached_property
    def _ends(self) -> dict[str, list[str]]:
        """The pictures by the last parts of their paths, with and without ending."""
        ends: dict[str, list[str]] = {}
        for name in self._pictures:
            last = name.rpartition("/")[2]
            ends.setdefault(last, []).append(name)
            if (stem := last.rpartition(".")[0]) != last:
                ends.setdefault(stem, []).append(name)
        return {last: sorted(names) for last, names in ends.items()}

    def named(self, path: str, folder: str, where: str) -> str | None:
        """The picture that a row's path names, None for none. Raises InputError where it could be several."""
        plain = "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))
        if path.startswith(self._above):
            plain = path[len(self._above) :]
        for above in dict.fromkeys((folder, "", self._root)):
            if above + plain in self._pictures:
                return above + plain
        ends = self._ends.get(plain.rpartition("/")[2], [])
        found = [name for name in ends if _same_end(name, plain)]
        for above in dict.fromkeys((folder, "", self._root)):
            exact = [name for name in found if name.rpartition(".")[0] == above + plain]
            if len(exact) == 1:
                return exact[0]
        if len(found) > 1:
            raise InputError(
                f"{where}: {printable(path)} could be {listed([printable(name) for name in found], 3)}. Write paths "
                "from the source's folder, or name the folder that holds just these pictures with --data."
            )
        return found[0] if found else None


def _same_end(name: str, path: str) -> bool:
    """Whether one of two paths is the end of the other, with or without the picture's ending."""
    for whole in (name, name.rpartition(".")[0]):
        if whole == path or whole.endswith(f"/{path}") or path.endswith(f"/{whole}"):
            return True
    return False


# Parts -------------------------------------------------------------------------------------------------------


def _parts(tree: Tree, tables: Sequence[tuple[str, LabelTable]], matched: _Matched) -> list[Part]:
    names = [name for name in tree.pictures if name in matched.rows]
    root = wrapping(tree.pictures)
    splits = _splits(tables, matched, names, root)
    said = " and ".join(dict.fromkeys(table.said for _, table in tables))
    grouped = any(table.groups is not None for _, table in tables)
    parts = []
    for split in (None, *SPLIT_NAMES):
        chosen = [name for name, own in zip(names, splits, strict=True) if own == split]
        if chosen:
            parts.append(_part(tree, split, said, chosen, root, matched, grouped))
    return parts


def _part(
    tree: Tree, split: str | None, said: str, names: list[str], root: str, matched: _Matched, grouped: bool
) -> Part:
    rows = [matched.rows[name] for name in names]
    return Part(
        split,
        f"{tree.stem} by {said}",
        [printable(name[len(root) :]) for name in names],
        [printable(label) for label, _, _ in rows],
        lambda: tree.encoded(names),
        [group for _, _, group in rows] if grouped else None,
    )


def _splits(
    tables: Sequence[tuple[str, LabelTable]], matched: _Matched, names: list[str], root: str
) -> list[str | None]:
    """The split of each picture: by the tables' column, else by folders of splits that hold all of them, or none."""
    where = tables[0][1].where
    if not any(table.splits is not None for _, table in tables):
        return list(_folder_splits(names, root))
    said = [matched.rows[name][1] for name in names]
    without = said.count(None)
    known = {text: split_named(text) for text in set(said) if text is not None}
    strange = sorted(text for text, split in known.items() if split is None)
    if without or strange:
        fault = f"says {listed(strange, 4)}" if strange else f"is empty for {plural(without, 'picture')}"
        raise InputError(
            f"{where}: the column {tables[0][1].used['split']!r} {fault}; expected train, validation or test. Mend "
            "it, name another one with data.split_column, or none with data.split_column=''."
        )
    return [known[text] if text is not None else None for text in said]


def _folder_splits(names: list[str], root: str) -> Iterator[str | None]:
    folders = [name[len(root) :].partition("/")[0] if "/" in name[len(root) :] else "" for name in names]
    splits = splits_named(sorted(set(folders)))
    whole = set(splits) == set(folders) and "train" in splits.values()
    return (splits[folder] if whole else None for folder in folders)


def disagreement(parts: Sequence[Part], folders: Sequence[Part]) -> tuple[str, str, str] | None:
    """(path, label, folder's class) of a picture of which a table and the class folders say different things."""
    by_folder = {path: name for part in folders for path, name in zip(part.paths, part.classes, strict=True)}
    if len(Counter(by_folder.values())) < 2:
        return None
    for part in parts:
        for path, label in zip(part.paths, part.classes, strict=True):
            if by_folder.get(path, label) != label:
                return path, label, by_folder[path]
    return None
