"""The contract of a kind of source: how its files are recognised among others, and how they are read."""

from collections.abc import Callable
from dataclasses import dataclass

from tenfold import recipe
from tenfold.data.sources.label_table import LabelTable
from tenfold.data.sources.parts import Part
from tenfold.data.sources.tree import Tree

# When a reader is asked. Files that are known by their very names come before tables and arrays, which are known by
# their endings, and pictures come last: beside a table or an array that is read they are decoration.
BY_NAME, BY_ENDING, PICTURES = range(3)


# Tables of labels, each with the folder that its paths are meant from (ending in "/", or "").
Tables = list[tuple[str, LabelTable]]


@dataclass(frozen=True)
class Reader:
    """One kind of source.

    kind: what messages call its files; turn: when it is asked, among the readers; files: the names of those files of
    a tree that it reads, [] where the tree is of another kind; read: their images, given the tree, those names and
    the recipe's `[data]`, and raising InputError for files that are damaged or do not say every image's class;
    endings: those of files that are such a source by themselves; tables: where `files` are lists of labels of the
    tree's pictures, what they say, from which `read` is made; missing: a sentence on a tree that is of this kind but
    for one file, so that another reader takes it, or None.
    """

    kind: str
    turn: int
    files: Callable[[Tree], list[str]]
    read: Callable[[Tree, list[str], recipe.Data], list[Part]]
    endings: tuple[str, ...] = ()
    tables: Callable[[Tree, list[str]], Tables] | None = None
    missing: Callable[[Tree], str | None] | None = None
