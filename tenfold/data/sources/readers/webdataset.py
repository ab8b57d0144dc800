"""WebDataset shards: tar archives in which files of one stem are a sample, its picture and its class (`.cls`).

Where `tenfold pack` made them, its index says what each holds: identities are those of the source that was packed, so
splits are drawn as from the source itself, and the archives need not be gone through.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.core.text import printable
from tenfold.data.formats import Encoded, ending, is_picture
from tenfold.data.shards.index import INDEX, SAMPLES, ShardIndex, read_index
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
    if shards and INDEX in tree.files and tree.path.is_dir():
        return [*shards, INDEX, SAMPLES]
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
    if INDEX in names:
        return _indexed(tree, names, read_index(tree.path))
    ordered = in_split_order(tree.path, names)
    return [_part(_shard(tree, name), split, name, f"{name}/") for split, name in ordered]


def _indexed(tree: Tree, names: list[str], index: ShardIndex) -> list[Part]:
    """The parts by the index. Raises InputError where the shards are not those that it is of."""
    sizes = {shard.name: shard.bytes for shard in index.shards}
    for name in sorted(sizes.keys() ^ {name for name in names if ending(name) == ".tar"}):
        where = "in the folder, but not in the index" if name not in sizes else "in the index, but not there"
        raise InputError(f"{tree.path}: {name} is {where} ({INDEX}). {_REMEDY}")
    for name, size in sizes.items():
        if tree.files[name] != size:
            raise InputError(
                f"{tree.place(name)}: {tree.files[name]:,} bytes, {INDEX} says {size:,}. {_REMEDY}"
            )
    return [_indexed_part(tree, index, number) for number in range(len(index.shards))]


_REMEDY = f"Pack the source again, or remove {INDEX} and {SAMPLES} to read the shards without them."


def _indexed_part(tree: Tree, index: ShardIndex, number: int) -> Part:
    shard = index.shards[number]
    start, stop = index.starts[number : number + 2].tolist()
    labels = [index.classes[label] for label in index.column("label")[start:stop].tolist()]
    return Part(
        shard.split,
        shard.name,
        list(index.paths[start:stop]),
        labels,
        partial(_pieces, tree.path / shard.name, index, start, stop),
        None if index.groups is None else index.groups[start:stop],
    )


def _pieces(path: Path, index: ShardIndex, start: int, stop: int) -> Iterator[tuple[int, Encoded]]:
    """(position, picture) of a shard's samples, by where the index says that they are."""
    offsets, sizes = (index.column(name)[start:stop].tolist() for name in ("offset", "size"))
    with path.open("rb") as file:
        for position, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
            file.seek(offset)
            yield position, file.read(size)


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
