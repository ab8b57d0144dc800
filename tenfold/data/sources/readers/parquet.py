"""Parquet files in the Hugging Face image layout."""

from tenfold import recipe
from tenfold.data.sources.parts import Part, split_of_file
from tenfold.data.sources.reader import BY_ENDING, Reader
from tenfold.data.sources.tree import Tree


def _files(tree: Tree) -> list[str]:
    """Beside pictures, a table without a split's name is metadata."""
    tables = [name for name in tree.files if name.endswith(".parquet")]
    return tables if not tree.pictures or any(map(split_of_file, tables)) else []


def _read(tree: Tree, names: list[str], data: recipe.Data) -> list[Part]:
    from tenfold.data.sources.rows import read_rows  # pyarrow is slow to load and seldom needed

    return read_rows(tree, names)


READER = Reader("Parquet files", BY_ENDING, _files, _read, (".parquet",))
