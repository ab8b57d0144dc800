"""Which pictures to answer about: from words on the command line, names on standard input, or Python objects.

Nothing is decoded here, and nothing is kept: pictures come one after the other, with a name and, where a folder
says it, a label.
"""

import glob
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.core.text import class_name, plural, printable
from tenfold.data.decode import to_rgb
from tenfold.data.formats import Encoded, Unreadable, is_picture
from tenfold.data.limits import LARGEST_FILE
from tenfold.data.sources.archives import ARCHIVES
from tenfold.data.sources.finding import is_label_table, table_labels
from tenfold.data.sources.registry import file_endings, reader_of
from tenfold.data.sources.tree import Tree
from tenfold.data.sources.trees import open_tree

STDIN = "-"
_ADDRESSES = ("http://", "https://")
TIMEOUT = 30  # seconds without an answer
# Bytes that names do not hold, and binary pictures do at once: control characters but those that end lines.
_BINARY = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f]")
# How a picture begins that may hold none of them for long: a JPEG file, a JPEG 2000 stream, a GIF, a PNM file.
_TEXT_LIKE = re.compile(
    rb"\xff\xd8\xff|\xff\x4f\xff\x51|GIF8[79]a|P[1-7f]\s+(#[^\n]*\n\s*)*(\d+\s+\d+|WIDTH )"
)


class Picture(NamedTuple):
    """One picture to answer about: its name, what to decode, and the class that its folder says."""

    name: str
    encoded: Encoded
    label: str | None = None


@dataclass(frozen=True)
class Pictures:
    """Pictures in order; `count` of them, or None where that shows only at the end."""

    each: Callable[[], Iterator[Picture]]
    count: int | None

    def __iter__(self) -> Iterator[Picture]:
        return self.each()


def pictures_of(words: Sequence[str], class_names: Sequence[str], *, by_hand: bool = True) -> Pictures:
    """The pictures that `words` name: files, folders, globs, archives, tables, named sources.

    By hand, that is on the command line, `-` stands for standard input and an http(s) address for what lies there.
    Raises InputError for a word that names nothing. Of several words, one that is there but holds no pictures (a
    text among the files of `*`, an empty folder) counts as a picture that cannot be read.
    """
    if not all(word.strip() for word in words):
        raise InputError("an empty word names no pictures. Give a file, a folder or a source.")
    classes = frozenset(class_names)
    parts = [(_named if len(words) == 1 else _one_of_many)(word, classes, by_hand) for word in words]
    counts = [part.count for part in parts]
    total = None if None in counts else sum(count for count in counts if count is not None)
    return Pictures(lambda: chain.from_iterable(parts), total)


def _named(word: str, classes: frozenset[str], by_hand: bool) -> Pictures:
    if word.startswith(_ADDRESSES):
        if not by_hand:
            raise InputError(
                f"{word}: addresses are fetched on the command line only. Give the picture's bytes."
            )
        return Pictures(lambda: iter([Picture(word, _fetch(word))]), 1)
    if word == STDIN and by_hand:
        return Pictures(lambda: _standard_input(sys.stdin.buffer, classes), None)
    path = Path(word)
    if is_label_table(path):
        return _in_source(word, classes, None)
    if path.is_dir() or (path.is_file() and word.lower().endswith((*ARCHIVES, *file_endings()))):
        return _in_tree(word, classes)
    if path.exists():
        return Pictures(lambda: iter([Picture(printable(word), word)]), 1)
    if found := sorted(glob.glob(word, recursive=True)):  # noqa: PTH207 (absolute patterns too)
        return pictures_of(found, tuple(classes), by_hand=False)
    return _in_named_source(word, classes)


def _one_of_many(word: str, classes: frozenset[str], by_hand: bool) -> Pictures:
    try:
        return _named(word, classes, by_hand)
    except InputError as error:
        if not Path(word).exists():
            raise
        picture = Picture(printable(word), Unreadable(_without(word, str(error))))
        return Pictures(lambda: iter([picture]), 1)


def _without(word: str, reason: str) -> str:
    """The reason without the name that is said before it anyway."""
    return reason.removeprefix(f"{word}: ")


def _in_tree(word: str, classes: frozenset[str]) -> Pictures:
    tree = open_tree(Path(word))
    names = [name for name in tree.files if is_picture(name)]
    if not names:
        return _in_source(word, classes, tree)
    return Pictures(lambda: _from_tree(tree, names, classes), len(names))


def _from_tree(tree: Tree, names: Sequence[str], classes: frozenset[str]) -> Iterator[Picture]:
    """Each picture is of the class that a table beside it says, or of the nearest folder that is named after one."""
    above = f"{tree.path}/"
    said = table_labels(tree)
    outermost = _label(tree.path.resolve().name, classes)
    for position, encoded in tree.encoded(names):
        name = names[position]
        folders = [] if said else reversed(name.split("/")[:-1])
        labels = (_label(part, classes) for part in ([said[name]] if name in said else folders))
        yield Picture(
            printable(above + name), encoded, next(filter(None, labels), None if said else outermost)
        )


def _label(name: str, classes: frozenset[str]) -> str | None:
    """The class that a folder's name stands for, spelled as the model spells it; None if it has no such class."""
    spelled = class_name(printable(name))
    return spelled if spelled in classes else None


def _in_named_source(word: str, classes: frozenset[str]) -> Pictures:
    from tenfold.data.sources.opening import NAMED_SOURCES

    if word in NAMED_SOURCES:
        return _in_source(word, classes, None)
    raise InputError(
        f"{word}: there is no such file or folder, and nothing matches it. Give pictures, folders, archives, tables "
        f"({', '.join(file_endings())}), one of the names {', '.join(NAMED_SOURCES)}, or - for standard input."
    )


def _in_source(word: str, classes: frozenset[str], tree: Tree | None) -> Pictures:
    """The labelled images of a source without picture files: tables, arrays, CIFAR's own files."""
    from tenfold.data.source import Source
    from tenfold.data.sources.opening import open_source

    if tree is not None and not reader_of(tree)[1]:
        others = f"only {plural(len(tree.files), 'file')} of other kinds" if tree.files else "it is empty"
        raise InputError(f"{word}: there are no pictures in it; {others}.")
    parts = open_source(Source(data=word)).contents(recipe.Data()).parts

    def each() -> Iterator[Picture]:
        for part in parts:
            for position, encoded in part.encoded():
                label = _label(part.classes[position], classes)
                yield Picture(f"{word}/{part.paths[position]}", encoded, label)

    return Pictures(each, sum(len(part.paths) for part in parts))


# Standard input and addresses --------------------------------------------------------------------------------


def _standard_input(stream: BinaryIO, classes: frozenset[str]) -> Iterator[Picture]:
    """One picture's bytes, or names of files and folders, one a line (or NUL-separated, as `find -print0` gives)."""
    head = stream.read(4096)
    if _BINARY.search(head) or _TEXT_LIKE.match(head):
        contents = head + stream.read(LARGEST_FILE + 1 - len(head))
        yield Picture(STDIN, _limited(contents))
        return
    for line in _lines(head, stream):
        name = os.fsdecode(line)
        if name:
            yield from _listed(name, classes)


def _lines(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    end = b"\0" if b"\0" in head else b"\n"
    rest = head
    while rest:
        *whole, rest = rest.split(end)
        yield from (line.removesuffix(b"\r") if end == b"\n" else line for line in whole)
        more = stream.read(4096)
        if not more:
            yield rest.removesuffix(b"\r") if end == b"\n" else rest
        rest = rest + more if more else b""
        if not rest and more == b"":
            return


def _listed(name: str, classes: frozenset[str]) -> Iterator[Picture]:
    """What a name on standard input stands for; one that stands for nothing is unreadable, and the rest goes on."""
    if name.startswith(_ADDRESSES):
        yield Picture(name, Unreadable("an address is fetched only where it is given on the command line"))
    elif not Path(name).exists():
        yield Picture(printable(name), Unreadable("there is no such file"))
    else:
        try:
            yield from _named(name, classes, by_hand=False)
        except InputError as error:
            yield Picture(printable(name), Unreadable(_without(name, str(error))))


def _fetch(address: str) -> Encoded:
    """What lies at an http(s) address, or why it cannot be had."""
    from http.client import HTTPException
    from urllib import request  # slow to load, and seldom needed
    from urllib.error import URLError

    from tenfold.data.sources.download import open_address

    try:
        with open_address(request.Request(address, headers={"User-Agent": "tenfold"}), TIMEOUT) as answer:
            contents = answer.read(LARGEST_FILE + 1)
            if (
                len(contents) <= LARGEST_FILE and answer.length
            ):  # what is missing of the length that was stated
                return Unreadable(f"cannot be fetched (it ends {answer.length:,} bytes too early)")
            return _limited(contents)
    # URLError, HTTPError, time-outs, addresses that are none, and answers that are no HTTP
    except (OSError, ValueError, HTTPException) as error:
        return Unreadable(f"cannot be fetched ({error.reason if type(error) is URLError else error})")


def _limited(contents: bytes) -> Encoded:
    if len(contents) > LARGEST_FILE:
        return Unreadable(f"it is larger than {LARGEST_FILE >> 20} MiB")
    return contents


# Python objects ----------------------------------------------------------------------------------------------


def pictures_from(images: Any, class_names: Sequence[str]) -> Pictures:
    """The pictures that Python objects stand for: paths, PIL images, bytes, uint8 arrays, and lists of them.

    Arrays are (H, W), (H, W, C) or (N, H, W, C) uint8 on 0..255. Raises InputError, with the remedy, for every other
    array: what a floating-point array means is never guessed.
    """
    if isinstance(images, str | os.PathLike):
        return pictures_of([os.fspath(images)], class_names, by_hand=False)
    if isinstance(images, bytes | bytearray | memoryview | Image.Image | np.ndarray):
        found = list(_from_object(images, "image"))
        return Pictures(lambda: iter(found), len(found))
    if not isinstance(images, Iterable) or isinstance(images, io.IOBase | Mapping):
        raise InputError(_refusal(images))
    parts = [_from_item(item, number, class_names) for number, item in enumerate(images)]
    counts = [part.count or 0 for part in parts]
    return Pictures(lambda: chain.from_iterable(parts), sum(counts))


def _from_item(item: Any, number: int, class_names: Sequence[str]) -> Pictures:
    if isinstance(item, str | os.PathLike):
        return pictures_of([os.fspath(item)], class_names, by_hand=False)
    found = list(_from_object(item, f"image {number}"))
    return Pictures(lambda: iter(found), len(found))


def _from_object(item: Any, name: str) -> Iterator[Picture]:
    if isinstance(item, bytes | bytearray | memoryview):
        yield Picture(name, bytes(item))
    elif isinstance(item, Image.Image):
        yield Picture(name, _encoded(item))
    elif isinstance(item, np.ndarray):
        images = _checked(item, name)
        for number, image in enumerate(images):
            yield Picture(name if len(images) == 1 else f"{name} {number}", np.ascontiguousarray(image))
    else:
        raise InputError(_refusal(item))


def _encoded(image: Image.Image) -> Encoded:
    """A PIL image as what is decoded like its file: one of more than 8 bits waits for the model's range."""
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode != "F" and not upright.mode.startswith("I"):
            return np.asarray(to_rgb(upright))
        file = io.BytesIO()
        upright.save(file, "TIFF")
        return file.getvalue()
    except Exception as error:  # PIL reads the file only now: it may be damaged, or closed by its owner
        return Unreadable(str(error) or "its file was closed before it was read")


def _checked(array: np.ndarray, name: str) -> np.ndarray:
    """An array as (N, H, W, C) uint8."""
    if array.dtype != np.uint8:
        raise InputError(f"{name}: {_type_fault(array)}")
    if array.ndim == 2:
        array = array[..., None]
    images = array if array.ndim == 4 else array[None]
    if images.ndim != 4 or images.shape[3] not in {1, 3, 4} or not images[0:1].size:
        first = " Move the channels last, with numpy.moveaxis(x, -3, -1)." if 3 in array.shape[-3:-1] else ""
        raise InputError(
            f"{name}: an array of shape {array.shape}; expected (height, width), (height, width, channels) or "
            f"(images, height, width, channels) with 1, 3 or 4 channels.{first}"
        )
    return images


def _type_fault(array: np.ndarray) -> str:
    expected = "expected uint8 on 0..255, as a decoder gives it; the model scales it itself."
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        return (
            f"values of type {array.dtype} from 0 to 1; {expected} Give numpy.rint(255 * x).astype('uint8')."
        )
    if array.dtype.kind in "fiu" and array.size and array.min() >= 0 and array.max() <= 255:
        return f"values of type {array.dtype}; {expected} Give numpy.rint(x).astype('uint8')."
    return f"values of type {array.dtype}; {expected} Undo what was done to them, or give the files."


def _refusal(item: Any) -> str:
    if isinstance(item, io.IOBase):
        return (
            f"{type(item).__name__}: an open file is not read here. Give its path, or its bytes: file.read()."
        )
    return (
        f"{type(item).__name__}: cannot be taken for pictures. Give a path, a PIL image, the bytes of a file, a "
        "uint8 array (height, width, channels), or a list of such."
    )
