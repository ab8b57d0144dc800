"""From a path to the tree of files that lies there."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from tenfold.core.errors import InputError
from tenfold.data.formats import Encoded
from tenfold.data.sources.archives import ARCHIVES, open_archive
from tenfold.data.sources.label_table import is_table
from tenfold.data.sources.registry import file_endings
from tenfold.data.sources.scanning import open_folder
from tenfold.data.sources.tree import Tree


def open_tree(path: Path) -> Tree:
    """The folder, archive or single file at `path`. Raises InputError when there is none or it cannot be read."""
    if path.is_dir():
        return open_folder(path)
    if not path.exists():
        raise InputError(
            f"{path}: there is no such folder or file. Give the path of a folder of class folders, of an archive of "
            f"one, of a file ({', '.join(file_endings())}), or one of the names digits, cifar10 and cifar100."
        )
    if archive := open_archive(path):
        return archive
    if not path.name.lower().endswith(file_endings()):
        raise InputError(
            f"{path}: a file of this kind is no source. Expected a folder, an archive ({', '.join(ARCHIVES)}), "
            f"or a file of images and labels ({', '.join(file_endings())})."
        )
    return _SingleFile(path)


def is_source_name(word: str) -> bool:
    """Whether a word ends as the name of a file that may be a source: an archive, images in a file, or labels."""
    return word.lower().endswith((*ARCHIVES, *file_endings())) or is_table(word)


class _SingleFile(Tree):
    """One file, taken for a folder that holds just it."""

    def skipped(self) -> Iterator[tuple[str, str]]:
        return iter(())

    def _list(self) -> tuple[dict[str, int], set[str]]:
        return {self.path.name: self.path.stat().st_size}, set()

    def open(self, name: str) -> BinaryIO:
        return open(self.path.with_name(name), "rb")

    def encoded(self, names: Sequence[str]) -> Iterator[tuple[int, Encoded]]:
        return ((position, str(self.path.with_name(name))) for position, name in enumerate(names))
