"""WebDataset shards: tar archives in which files of one stem are a sample, its picture and its class (`.cls`)."""

from functools import partial

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.core.text import printable
from tenfold.data.formats import Encoded, ending, is_picture
from tenfold.data.sources.archives import open_archive
from tenfold.data.sources.parts import Part, in_split_order, split_of_file
from tenfold.data.sources.reader import BY_NAME, Reader
from tenfold.data.sources.tree import Tree

CLASS = ".cls"


def _files(tree: Tree) -> list[str]:
    """The samples' files of a shard; of a folder, the shards in it."""
    if tree.path.is_file() and any(ending(name) == CLASS for name in tree.files):
        return [name for name in tree.files if ending(name) == CLASS or is_picture(name)]
    shards = [name for name in tree.files if ending(name) == ".tar"]
    if tree.pictures or not shards or not tree.path.is_dir():
        return []
    return shards if any(ending(name) == CLASS for name in _shard(tree, shards[0]).files) else []


def _shard(tree: Tree, name: str) -> Tree:
    shard = open_archive(tree.path / name)
    assert shard is not None
    return shard


def _read(tree: Tree, names: list[str], data: recipe.Data) -> list[Part]:
    if tree.path.is_file():
        return [_part(tree, split_of_file(tree.path.name), tree.path.name, "")]
    ordered = in_split_order(tree.path, names)
    return [_part(_shard(tree, name), split, name, f"{name}/") for split, name in ordered]


def _part(shard: Tree, split: str | None, name: str, above: str) -> Part:
    pictures = {_key(file): file for file in shard.pictures}
    classes = {_key(file): file for file in shard.files if ending(file) == CLASS}
    alone = sorted(pictures.keys() ^ classes.keys())
    if alone or len(pictures) < len(shard.pictures):
        example = f", for instance {printable(alone[0])}" if alone else ""
        raise InputError(
            f"{shard.path}: not every sample has just one picture and one class ({CLASS}){example}. Make it again."
        )
    keys = list(pictures)
    labels = [""] * len(keys)
    for position, encoded in shard.encoded([classes[key] for key in keys]):
        labels[position] = _label(shard, classes[keys[position]], encoded)
    files = [pictures[key] for key in keys]
    return Part(
        split, name, [printable(above + file) for file in files], labels, partial(shard.encoded, files)
    )


def _key(name: str) -> str:
    """What the files of a sample share: the path up to the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def _label(shard: Tree, name: str, encoded: Encoded) -> str:
    text = encoded.decode("utf-8", "replace").strip() if isinstance(encoded, bytes) else ""
    if not text:
        raise InputError(f"{shard.path}: {name} holds no class. Make the shard again.")
    return printable(text)


READER = Reader("WebDataset shards", BY_NAME, _files, _read)
