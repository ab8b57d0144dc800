"""From what the user named (a path, folders for each split, or a known name) to groups of labelled images."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from tenfold.core.errors import InputError
from tenfold.data.sources.arrays import read_digits, read_npz
from tenfold.data.sources.cifar import find_cifar, read_cifar
from tenfold.data.sources.download import DOWNLOADS, check, fetch
from tenfold.data.sources.folders import is_picture, read_folders
from tenfold.data.sources.groups import Group, split_of_file
from tenfold.data.sources.trees import Tree, open_tree
from tenfold.data.splits import SPLIT_NAMES, Source

NAMED_SOURCES = ("digits", *DOWNLOADS)


@dataclass(frozen=True)
class OpenSource:
    """A source whose files were looked at, but not read: `stamp` changes when one of them does."""

    source: Source

    @cached_property
    def _trees(self) -> list[tuple[str | None, str, Tree]]:
        """(split, prefix of the identities, files) of each place that the source names."""
        if self.source.data is not None:
            path = fetch(self.source.data) if self.source.data in DOWNLOADS else Path(self.source.data)
            return [(None, "", open_tree(path))]
        folders = [(split, Path(folder)) for split in SPLIT_NAMES for folder in getattr(self.source, split)]
        above = _common_parent([folder for _, folder in folders])
        return [(split, f"{_relative(folder, above)}/", open_tree(folder)) for split, folder in folders]

    @property
    def stamp(self) -> str:
        """A text that changes when a file of the source is added, removed or changed (by size or time)."""
        if self.source.data == "digits":
            return f"scikit-learn {version('scikit-learn')}"
        return " ".join(tree.stamp for _, _, tree in self._trees)

    def groups(self) -> list[Group]:
        """Every group of images, in the splits' order. Raises InputError for a layout that is not understood."""
        if self.source.data == "digits":
            return read_digits()
        if self.source.data in DOWNLOADS:
            check(DOWNLOADS[self.source.data], fetch(self.source.data))
        return [group for split, prefix, tree in self._trees for group in _read(split, prefix, tree)]


def open_source(source: Source) -> OpenSource:
    """Check what `source` says and look at its files. Raises InputError when there is nothing to be read."""
    if source.data is None and not source.train:
        raise InputError(
            "no training images were named: give a source with --data, or folders with --train "
            f"(or one of the names {', '.join(NAMED_SOURCES)})."
        )
    if source.data is not None and (source.train or source.validation or source.test):
        raise InputError(
            f"both --data {source.data} and folders for single splits were given: give either "
            "--data, or --train with --validation and --test."
        )
    return OpenSource(source)


def _read(split: str | None, prefix: str, tree: Tree) -> Iterator[Group]:
    """The groups of one tree, put into `split` where one is named for it."""
    for group in _read_tree(tree):
        if split and group.split:
            raise InputError(
                f"{tree.path}: it holds a {group.split} split of its own ({group.name}), so it cannot all be {split} "
                f"images. Name the folder inside it with --{split}, or give the whole of it with --data."
            )
        yield (
            replace(
                group, split=split, name=prefix + group.name, paths=[prefix + path for path in group.paths]
            )
            if split
            else group
        )


def _read_tree(tree: Tree) -> list[Group]:
    """The groups of a folder, archive or file, whatever it turns out to hold."""
    if form := find_cifar(tree):
        return read_cifar(tree, form)
    tables = [name for name in tree.files if name.endswith(".parquet")]
    arrays = [name for name in tree.files if name.endswith(".npz")]
    pictures = any(map(is_picture, tree.files))
    # Beside pictures, a table without a split's name is metadata, and a picture beside splits is decoration.
    if tables and (not pictures or any(map(split_of_file, tables))):
        from tenfold.data.sources.parquet import read_parquet  # pyarrow is slow to load and seldom needed

        return read_parquet(tree, tables)
    if len(arrays) == 1 and not pictures:
        return read_npz(tree, arrays[0])
    return read_folders(tree)


def _common_parent(folders: list[Path]) -> Path | None:
    try:
        return Path(os.path.commonpath([folder.absolute().parent for folder in folders]))
    except ValueError:  # they lie on different drives
        return None


def _relative(folder: Path, above: Path | None) -> str:
    absolute = folder.absolute()
    return (absolute.relative_to(above) if above else absolute).as_posix()
