"""From what the user named (a path, folders for each split, or a known name) to parts of labelled images."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.core.hub import is_hub_name
from tenfold.core.text import printable
from tenfold.data.formats import ending
from tenfold.data.reading import LeftOut
from tenfold.data.source import Source
from tenfold.data.sources.digits import DIGITS, digits_stamp, read_digits
from tenfold.data.sources.download import DOWNLOADS, check, fetch
from tenfold.data.sources.finding import Found, by_tables, file_contents, find_parts, is_label_table, metadata
from tenfold.data.sources.hub import fetch_data_set, pinned
from tenfold.data.sources.label_table import is_table, read_table
from tenfold.data.sources.parts import Part
from tenfold.data.sources.tree import Tree
from tenfold.data.sources.trees import open_tree

NAMED_SOURCES = (DIGITS, *DOWNLOADS)


@dataclass(frozen=True)
class Contents:
    """What a source holds, before anything is decoded.

    parts: its images, in the splits' order; left_out: the files that no part has, counted by ending and reason, most
    first; notices: what should not be passed over in silence, a sentence each.
    """

    parts: list[Part]
    left_out: list[LeftOut]
    notices: list[str]


@dataclass(frozen=True)
class OpenSource:
    """A source whose files were looked at, but not read: `stamp` changes when one of them does."""

    source: Source

    @cached_property
    def _trees(self) -> list[tuple[str | None, str, Tree]]:
        """(split, prefix of the identities, files) of each place that the source names."""
        if self.source.data is not None:
            path = fetch(self.source.data) if self.source.data in DOWNLOADS else self._folder
            return [(None, "", open_tree(path))]
        folders = [(split, self.source.located(folder)) for split, folder in self.source.folders]
        above = _common_parent([folder for _, folder in folders])
        return [(split, f"{_relative(folder, above)}/", open_tree(folder)) for split, folder in folders]

    @property
    def _folder(self) -> Path:
        """Where the images of `data` are: a table of labels is taken for the folder that it lies in."""
        if self.source.data is not None and is_hub_name(self.source.data):
            return fetch_data_set(self.source.data)
        path = self.source.located(self.source.data or "")
        return path.absolute().parent if is_label_table(path) else path

    @cached_property
    def _labels(self) -> Path | None:
        """The table of labels that the user names, if any."""
        if self.source.labels is not None:
            return self.source.located(self.source.labels)
        path = None if self.source.data is None else self.source.located(self.source.data)
        return path if path is not None and is_label_table(path) else None

    @cached_property
    def _table(self) -> bytes:
        assert self._labels is not None
        return file_contents(self._labels)

    @property
    def tables(self) -> list[str]:
        """The tables that say the labels: the one that is named, or those of image folders, or none."""
        if self._labels is not None:
            return [str(self._labels)]
        if self.source.data in NAMED_SOURCES:
            return []
        return [tree.place(name) for _, _, tree in self._trees for name in metadata(tree)]

    @property
    def folders(self) -> list[Path]:
        """The folders on this machine that it names, if any."""
        if self.source.data in NAMED_SOURCES:
            return []
        return [tree.path for _, _, tree in self._trees if tree.path.is_dir()]

    @property
    def place(self) -> list[str]:
        """What names the source on this machine: resolved paths, or a known name."""
        if self.source.data in NAMED_SOURCES:
            return [self.source.data]
        places = [f"{split}:{prefix}:{tree.path.resolve()}" for split, prefix, tree in self._trees]
        return places if self._labels is None else [*places, f"labels:{self._labels.resolve()}"]

    @property
    def stamp(self) -> str:
        """A text that changes when a file of the source is added, removed or changed (by size or time)."""
        if self.source.data == DIGITS:
            return digits_stamp()
        stamps = [tree.stamp for _, _, tree in self._trees]
        if self._labels is not None:
            stamps.append(hashlib.blake2b(self._table, digest_size=16).hexdigest())
        return " ".join(stamps)

    def contents(self, data: recipe.Data) -> Contents:
        """What the source holds, read as `data` says. Raises InputError for a layout that is not understood."""
        if self.source.data == DIGITS:
            return Contents(read_digits(), [], [])
        if self.source.data in DOWNLOADS:
            check(DOWNLOADS[self.source.data], fetch(self.source.data))
        parts: list[Part] = []
        notices: list[str] = []
        unused: dict[tuple[str, str], list[str]] = {}
        for split, prefix, tree in self._trees:
            found = self._found(tree, data)
            parts += _placed(split, prefix, tree, found.parts)
            notices += found.notices
            for name, reason in () if self.source.data in DOWNLOADS else found.unused:
                unused.setdefault((ending(name), reason), []).append(prefix + name)
        _check_splits(parts, self.source)
        entries = [LeftOut(*key, len(names), printable(min(names))) for key, names in unused.items()]
        entries.sort(key=lambda entry: (-entry.files, entry.ending, entry.reason))
        return Contents(parts, entries, notices)

    def _found(self, tree: Tree, data: recipe.Data) -> Found:
        if self._labels is None:
            return find_parts(tree, data)
        table = read_table(str(self._labels), self._labels.name, self._table, data)
        return by_tables(tree, [(_below(self._labels, tree), table)])


def is_named(data: str | None) -> bool:
    """Whether a source is no path, but the name of a data set: one of those that tenfold knows, or of the hub."""
    return data in NAMED_SOURCES or is_hub_name(data)


def said_source(data: str | Path) -> str:
    """The source that `data` says; a Path is never one of the known names where there is such a file or folder.

    A data set of the hub gets the commit that it is of. Raises InputError for a text that is both.
    """
    text = str(data)
    if isinstance(data, str) and is_hub_name(data):
        return pinned(data)
    if text not in NAMED_SOURCES or not Path(text).exists():
        return text
    beside = f".{os.sep}{text}"
    if isinstance(data, Path):
        return beside
    raise InputError(
        f"{text} is a {'folder' if Path(text).is_dir() else 'file'} here, and the name of a data set that tenfold "
        f"knows. Write {beside} for the one that is here; for the data set, rename it or work in another folder."
    )


def open_source(source: Source) -> OpenSource:
    """Check what `source` says and look at its files. Raises InputError when there is nothing to be read."""
    if source.data is None and not source.train:
        raise InputError(
            "no training images were named: give a source with --data, or folders with --train "
            f"(or one of the names {', '.join(NAMED_SOURCES)})."
        )
    if source.data is not None and not source.data.strip():
        raise InputError("--data is empty: give a folder, an archive, a file, or a source's name.")
    if source.data is not None and "://" in source.data:
        raise InputError(
            f"{source.data}: at an address, only shards that `tenfold pack` made are read, for training and testing; "
            "the command line also fetches a file by http(s). Download it, and give the file or folder."
        )
    if source.data is not None and (source.train or source.validation or source.test):
        raise InputError(
            f"both --data {source.data} and folders for single splits were given: give either "
            "--data, or --train with --validation and --test."
        )
    if source.labels is not None:
        _check_labels(source, source.labels)
    return OpenSource(source)


def _check_labels(source: Source, labels: str) -> None:
    """Raise InputError where a table of labels is none, or there is nothing that it could be of."""
    path = source.located(labels)
    if source.data is None:
        raise InputError(
            f"--labels {labels} goes with --data FOLDER: give the folder that holds all images, and the split of "
            "each in a column of the table (data.split_column)."
        )
    if source.data in NAMED_SOURCES or is_label_table(source.located(source.data)):
        raise InputError(f"--labels {labels}: {source.data} has labels of its own. Give one of the two only.")
    if not path.is_file():
        raise InputError(
            f"{labels}: there is no such file. Give the path of a table of labels with --labels."
        )
    if not is_table(path.name):
        raise InputError(
            f"{labels}: a file of this kind is no table of labels. Expected .csv, .tsv, .jsonl, .parquet, or a list "
            "of `path label` (.txt)."
        )


# Parts -------------------------------------------------------------------------------------------------------


def _placed(split: str | None, prefix: str, tree: Tree, parts: list[Part]) -> Iterator[Part]:
    """The parts of one tree, put into `split` where one is named for it."""
    if split and any(part.split not in {None, split} for part in parts):
        raise InputError(
            f"{tree.path}: it holds a {parts[0].split} split of its own ({parts[0].name}), so it cannot all be "
            f"{split} images. Name the folder inside it with --{split}, or give the whole of it with --data."
        )
    for part in parts:
        paths = [prefix + path for path in part.paths]
        yield replace(part, split=split, name=prefix + part.name, paths=paths) if split else part


def _check_splits(parts: list[Part], source: Source) -> None:
    """Raise InputError where a split is there, but none of its parts has an image."""
    for part in parts:
        if not any(len(other.paths) for other in parts if other.split == part.split):
            said = f"its {part.split} split ({part.name})" if part.split else "it"
            raise InputError(
                f"{', '.join(source.paths)}: {said} holds no images. Put some there, or leave it out."
            )


def _below(path: Path, tree: Tree) -> str:
    """The folder of a table within a tree, ending in "/"; "" for the root and where it lies elsewhere."""
    try:
        inside = path.absolute().parent.relative_to(tree.path.absolute()).as_posix()
    except ValueError:
        return ""
    return "" if inside == "." else f"{inside}/"


# Folders -----------------------------------------------------------------------------------------------------


def _common_parent(folders: list[Path]) -> Path | None:
    try:
        return Path(os.path.commonpath([folder.absolute().parent for folder in folders]))
    except ValueError:  # they lie on different drives
        return None


def _relative(folder: Path, above: Path | None) -> str:
    absolute = folder.absolute()
    return (absolute.relative_to(above) if above else absolute).as_posix()
