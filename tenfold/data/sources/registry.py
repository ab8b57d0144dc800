"""All readers: each module of `readers/` declares one as `READER`. A new file there is a new kind of source."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from tenfold.core.errors import InputError
from tenfold.data.sources import readers
from tenfold.data.sources.reader import Reader
from tenfold.data.sources.tree import Tree


@cache
def all_readers() -> tuple[Reader, ...]:
    """Every reader, in the order in which they are asked; those of one turn by their modules' names."""
    names = sorted(module.name for module in iter_modules(readers.__path__))
    found: list[Reader] = [import_module(f"{readers.__name__}.{name}").READER for name in names]
    return tuple(sorted(found, key=lambda reader: reader.turn))


def reader_of(tree: Tree) -> tuple[Reader, list[str]]:
    """The first reader that takes the tree, and the files that it reads; the last one where there is nothing to read.

    Raises InputError where two readers of the same turn would read different files of it.
    """
    readers = all_readers()
    takers = [(reader, names) for reader in readers if (names := reader.files(tree))]
    if not takers:
        return readers[-1], []
    first, names = takers[0]
    for other, others in takers[1:]:
        if other.turn == first.turn:
            raise InputError(
                f"{tree.path}: it holds {first.kind} ({names[0]}) and {other.kind} ({others[0]}), so which of them "
                "are the images is not clear. Give the one or the other with --data, or move one away."
            )
    return first, names


def file_endings() -> tuple[str, ...]:
    """The endings of files that are a source by themselves, archives apart."""
    return tuple(ending for reader in all_readers() for ending in reader.endings)
