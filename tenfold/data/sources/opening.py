"""From what the user named (a path, folders for each split, or a known name) to groups of labelled images."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from tenfold.core.errors import InputError
from tenfold.core.text import printable
from tenfold.data.formats import ending, is_picture, why_no_picture
from tenfold.data.reading import LeftOut
from tenfold.data.source import Source
from tenfold.data.sources.arrays import read_digits, read_npz
from tenfold.data.sources.cifar import cifar_files, find_cifar, read_cifar
from tenfold.data.sources.download import DOWNLOADS, check, fetch
from tenfold.data.sources.folders import read_folders
from tenfold.data.sources.groups import Group, split_of_file
from tenfold.data.sources.trees import Tree, open_tree

NAMED_SOURCES = ("digits", *DOWNLOADS)


@dataclass(frozen=True)
class OpenSource:
    """A source whose files were looked at, but not read: `stamp` changes when one of them does."""

    source: Source

    @cached_property
    def _trees(self) -> list[tuple[str | None, str, Tree]]:
        """(split, prefix of the identities, files) of each place that the source names."""
        if self.source.data is not None:
            path = (
                fetch(self.source.data)
                if self.source.data in DOWNLOADS
                else self.source.located(self.source.data)
            )
            return [(None, "", open_tree(path))]
        folders = [(split, self.source.located(folder)) for split, folder in self.source.folders]
        above = _common_parent([folder for _, folder in folders])
        return [(split, f"{_relative(folder, above)}/", open_tree(folder)) for split, folder in folders]

    @property
    def place(self) -> list[str]:
        """What names the source on this machine: resolved paths, or a known name."""
        if self.source.data in NAMED_SOURCES:
            return [self.source.data]
        return [f"{split}:{prefix}:{tree.path.resolve()}" for split, prefix, tree in self._trees]

    @property
    def stamp(self) -> str:
        """A text that changes when a file of the source is added, removed or changed (by size or time)."""
        if self.source.data == "digits":
            return f"scikit-learn {version('scikit-learn')}"
        return " ".join(tree.stamp for _, _, tree in self._trees)

    def groups(self, nested: bool = False) -> list[Group]:
        """Every group of images, in the splits' order. Raises InputError for a layout that is not understood.

        `nested` is as in read_folders.
        """
        if self.source.data == "digits":
            return read_digits()
        if self.source.data in DOWNLOADS:
            check(DOWNLOADS[self.source.data], fetch(self.source.data))
        return [group for split, prefix, tree in self._trees for group in _read(split, prefix, tree, nested)]

    def left_out(self) -> list[LeftOut]:
        """The files that no group has, counted by ending and reason, most first."""
        if self.source.data in NAMED_SOURCES:
            return []
        found: dict[tuple[str, str], list[str]] = {}
        for _, prefix, tree in self._trees:
            for name, reason in _unused(tree):
                found.setdefault((ending(name), reason), []).append(prefix + name)
        entries = [LeftOut(*key, len(names), printable(min(names))) for key, names in found.items()]
        return sorted(entries, key=lambda entry: (-entry.files, entry.ending, entry.reason))


def said_source(data: str | Path) -> str:
    """The source that `data` says; a Path is never one of the known names where there is such a file or folder.

    Raises InputError for a text that is both.
    """
    text = str(data)
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
            f"{source.data}: addresses are not fetched. Download it, and give the file or folder with --data."
        )
    if source.data is not None and (source.train or source.validation or source.test):
        raise InputError(
            f"both --data {source.data} and folders for single splits were given: give either "
            "--data, or --train with --validation and --test."
        )
    return OpenSource(source)


def _read(split: str | None, prefix: str, tree: Tree, nested: bool) -> Iterator[Group]:
    """The groups of one tree, put into `split` where one is named for it."""
    kind, names = _kind(tree)
    groups = _read_kind(tree, kind, names, nested)
    if split and any(group.split not in {None, split} for group in groups):
        raise InputError(
            f"{tree.path}: it holds a {groups[0].split} split of its own ({groups[0].name}), so it cannot all be "
            f"{split} images. Name the folder inside it with --{split}, or give the whole of it with --data."
        )
    for group in groups:
        paths = [prefix + path for path in group.paths]
        yield replace(group, split=split, name=prefix + group.name, paths=paths) if split else group


def _kind(tree: Tree) -> tuple[str, list[str]]:
    """What a folder, archive or file turns out to hold, and the files that are read of it."""
    if form := find_cifar(tree):
        return form, cifar_files(tree, form)
    tables = [name for name in tree.files if name.endswith(".parquet")]
    arrays = [name for name in tree.files if name.endswith(".npz")]
    pictures = tree.pictures
    # Beside pictures, a table without a split's name is metadata, and a picture beside splits is decoration.
    if tables and (not pictures or any(map(split_of_file, tables))):
        return "parquet", tables
    if len(arrays) == 1 and not pictures:
        return "npz", arrays
    return "folders", pictures


def _read_kind(tree: Tree, kind: str, names: list[str], nested: bool) -> list[Group]:
    if kind == "parquet":
        from tenfold.data.sources.parquet import read_parquet  # pyarrow is slow to load and seldom needed

        return read_parquet(tree, names)
    if kind == "npz":
        return read_npz(tree, names[0])
    return read_folders(tree, nested) if kind == "folders" else read_cifar(tree, kind)


def _unused(tree: Tree) -> Iterator[tuple[str, str]]:
    """(name, reason) of every file of a tree that gives no images."""
    kind, names = _kind(tree)
    used = set(names)
    for name in tree.files.keys() - used:
        yield name, f"a picture beside {kind} files" if is_picture(name) else why_no_picture(name)
    yield from tree.skipped()


def _common_parent(folders: list[Path]) -> Path | None:
    try:
        return Path(os.path.commonpath([folder.absolute().parent for folder in folders]))
    except ValueError:  # they lie on different drives
        return None


def _relative(folder: Path, above: Path | None) -> str:
    absolute = folder.absolute()
    return (absolute.relative_to(above) if above else absolute).as_posix()
