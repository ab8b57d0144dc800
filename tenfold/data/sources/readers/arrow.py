"""Data sets that the library `datasets` saved to a folder: Arrow files beside a description of them."""

from tenfold import recipe
from tenfold.data.sources.parts import Part
from tenfold.data.sources.reader import BY_NAME, Reader
from tenfold.data.sources.tree import Tree


def _files(tree: Tree) -> list[str]:
    """The data's own files; what maps and filters left beside them is a cache."""
    last = {name: name.rpartition("/")[2] for name in tree.files}
    if "dataset_info.json" not in last.values():
        return []
    return [name for name in tree.files if name.endswith(".arrow") and not last[name].startswith("cache-")]


def _read(tree: Tree, names: list[str], data: recipe.Data) -> list[Part]:
    from tenfold.data.sources.rows import read_rows  # pyarrow is slow to load and seldom needed

    return read_rows(tree, names)


READER = Reader("Arrow files of a data set", BY_NAME, _files, _read)
