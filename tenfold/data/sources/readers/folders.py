"""Class folders, with or without folders of splits above or below them, on the disk or in an archive."""

import re
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.core.text import plural, printable
from tenfold.data.formats import Encoded, ending
from tenfold.data.sources.ambiguity import check_beside, check_classes
from tenfold.data.sources.parts import ALIASES, Part, split_named, splits_named, wrapping
from tenfold.data.sources.reader import PICTURES, Reader
from tenfold.data.sources.tree import Tree

LAYOUT = (
    "Expected one folder for each class (SOURCE/cat/1.png, SOURCE/dog/2.png, ...), or train, validation and test "
    "folders with class folders in them; or name a table of the labels with --labels FILE"
)
# Gives (position, image) of named files.
Contents = Callable[[Sequence[str]], Iterator[tuple[int, Encoded]]]
LABEL_FILES = (".csv", ".tsv", ".jsonl")


@dataclass(frozen=True)
class _Images:
    """Images (names in the tree) of one folder, with the class of each."""

    split: str | None
    folder: str
    names: list[str]
    classes: list[str]


def read_folders(
    tree: Tree, names: list[str], data: recipe.Data, encoded: Contents | None = None
) -> list[Part]:
    """The images of class folders: one part for each split folder, or one without a split.

    `encoded` gives (position, image) of files; without it they are pictures. With `data.nested`, folders below a
    class folder belong to its class whatever they are called. Raises InputError for a layout that does not say the
    class of every image, or can be read in two ways.
    """
    if not names:
        raise InputError(f"{tree.path}: it holds no images{_other_files(tree, '')}. {LAYOUT}.")
    root = wrapping(names)
    parts = _split_parts(tree, names, root, data.nested) or _class_parts(tree, names, root, data.nested)
    return [_part(tree, root, part, encoded or tree.encoded) for part in parts]


def _part(tree: Tree, root: str, part: _Images, encoded: Contents) -> Part:
    paths = [printable(name[len(root) :]) for name in part.names]
    name = printable(part.folder.rstrip("/")) or tree.stem
    if "/" not in part.names[0][len(root) + len(part.folder) :]:
        name += " by the beginnings of its files' names"
    return Part(part.split, name, paths, part.classes, lambda: encoded(part.names))


# Splits above classes ----------------------------------------------------------------------------------------


def _split_parts(tree: Tree, images: list[str], root: str, nested: bool) -> list[_Images]:
    """The parts in the splits' order if the folders below `root` are splits, else []."""
    counts = Counter(name[len(root) : name.find("/", len(root)) + 1] for name in images)
    splits = splits_named([folder.rstrip("/") for folder in counts if folder])
    named = {f"{folder}/": split for folder, split in splits.items()}
    if not _are_splits(images, root, named, counts):
        return []
    for other in sorted(counts.keys() - named.keys() - {""}):
        raise InputError(
            f"{tree.path / root / other}: holds images, but is no split's folder as {', '.join(sorted(named))} are. "
            f"Move or rename it, or name the folders of the splits: {_split_words(tree, root, named)}"
        )
    empty = splits_named(_folders_in(tree, root)).keys() - splits.keys()
    for folder in sorted(empty):
        raise InputError(
            f"{tree.path / root / folder}: the split's folder holds no images. Fill it or remove it."
        )
    _check_labelled(tree, images, root, named)
    order = list(ALIASES)
    ordered = sorted(named.items(), key=lambda item: (order.index(item[1]), len(item[0]), item[0]))
    return [_split_part(tree, images, root, folder, split, nested) for folder, split in ordered]


def _are_splits(images: list[str], root: str, named: dict[str, str], counts: Counter[str]) -> bool:
    """Whether the folders of splits' names are splits: one of training images with classes, or all of them."""
    if any(split == "train" and _has_classes(images, root + folder) for folder, split in named.items()):
        return True
    return len(set(named.values())) > 1 and "train" in named.values() and named.keys() == counts.keys()


def _split_words(tree: Tree, root: str, named: dict[str, str]) -> str:
    """The words of the command line that name the folders of splits."""
    places = {tree.path / root / folder: split for folder, split in named.items()}
    return " ".join(f"--{split} {quote(str(place))}" for place, split in places.items())


def _check_labelled(tree: Tree, images: list[str], root: str, named: dict[str, str]) -> None:
    """Raise InputError where training images have classes, and those of another split none, as in a competition."""
    labelled = {folder: split for folder, split in named.items() if _has_classes(images, root + folder)}
    if "train" not in labelled.values():
        return
    for folder in sorted(named.keys() - labelled.keys()):
        raise InputError(
            f"{tree.path / root / folder}: nothing says the class of its images. {_label_table_hint(tree)}To train "
            f"without them: {_split_words(tree, root, labelled)}; `tenfold predict` says afterwards what is on them."
        )


def _split_part(tree: Tree, images: list[str], root: str, folder: str, split: str, nested: bool) -> _Images:
    above = root + folder
    inside = _below(images, above)
    again = {name[len(above) :].partition("/")[0] for name in inside}
    while len(again) == 1 and split_named(next(iter(again))) == split:  # seg_train/seg_train/CLASS
        above += f"{again.pop()}/"
        again = {name[len(above) :].partition("/")[0] for name in inside}
    classes = _classes(tree, above, inside)
    check_beside(tree, above, set(classes))
    if not nested:
        check_classes(tree, inside, above, split)
    return _Images(split, folder, inside, classes)


# Classes -----------------------------------------------------------------------------------------------------


def _class_parts(tree: Tree, images: list[str], root: str, nested: bool) -> list[_Images]:
    """One part of class folders, or a part for each split where every class folder has folders of splits."""
    classes = _classes(tree, root, images)
    check_beside(tree, root, set(classes))
    if len(set(classes)) == 1 and (hint := _label_table_hint(tree)):
        raise InputError(
            f"{tree.path / root}: all images are of one class by their folder, {classes[0]!r}. {hint}{LAYOUT}."
        )
    splits = [] if nested else _splits_in_classes(images, root)
    if not splits:
        if not nested:
            check_classes(tree, images, root)
        return [_Images(None, "", images, classes)]
    parts = []
    for wanted in ALIASES:
        chosen = [place for place, split in enumerate(splits) if split == wanted]
        if chosen:
            names = [images[place] for place in chosen]
            parts.append(_Images(wanted, wanted, names, [classes[place] for place in chosen]))
    return parts


def _splits_in_classes(images: list[str], root: str) -> list[str]:
    """The split of each image by the folder within its class folder; [] unless all say one, and all classes train."""
    below = [name[len(root) :].split("/") for name in images]
    if any(len(parts) < 3 for parts in below):
        return []
    named = splits_named(sorted({parts[1] for parts in below}))
    splits = [named.get(parts[1], "") for parts in below]
    trained = {parts[0] for parts, split in zip(below, splits, strict=True) if split == "train"}
    complete = "" not in splits and len(set(splits)) > 1 and trained == {parts[0] for parts in below}
    return splits if complete else []


def _classes(tree: Tree, above: str, inside: list[str]) -> list[str]:
    """The class of each image in the class folders directly below `above`, or by the beginnings of files' names."""
    stray = [name for name in inside if "/" not in name[len(above) :]]
    if stray and (prefixes := _prefixes(inside, above)):
        return prefixes
    if stray:
        raise InputError(
            f"{tree.path / above}: it holds {plural(len(stray), 'image')} outside of class folders, for instance "
            f"{printable(stray[0][len(above) :])}, so their class is not known. {_label_table_hint(tree)}{LAYOUT}."
        )
    classes = [printable(name[len(above) : name.index("/", len(above))]) for name in inside]
    for empty in sorted({printable(name) for name in _folders_in(tree, above)} - set(classes)):
        raise InputError(
            f"{tree.path / above / empty}: the class folder holds no images"
            f"{_other_files(tree, f'{above}{empty}/')}. Put images of the class in it, or remove it."
        )
    return classes


_PREFIXED = re.compile(r"(.*[^\W\d_].*?)[-_. ]*\(?\d+\)?\.\w+")
# What cameras, telephones and programs begin names with, which says no class.
_NO_CLASS = re.compile(
    r"(img|image|imagen|dsc[nf]?|pict?|picture|photo|foto|p|mvi|vid|pxl|gopr|frame|scan|screen[-_ ]?shot|sample|"
    r"untitled|whatsapp[-_ ]image|file|fig|figure|crop|patch|tile|slice|rgb|depth|mask|label|copy)s?[-_ .\d]*",
    re.IGNORECASE,
)
FEWEST = 2  # images of each class that the beginnings of names must give, to be taken for classes


def _prefixes(names: list[str], above: str) -> list[str]:
    """The classes that the beginnings of all names below `above` say (`cat.0.png`, `great_dane_12.jpg`), else [].

    They say none where one has no number behind it, is what a camera writes or a split's name, or stands there once.
    """
    found = [_PREFIXED.fullmatch(name[len(above) :]) for name in names]
    classes = [printable(match[1]) for match in found if match and "/" not in match[0]]
    counts = Counter(classes)
    strange = any(_NO_CLASS.fullmatch(name) or split_named(name) for name in counts)
    if len(classes) < len(names) or len(counts) < 2 or min(counts.values()) < FEWEST or strange:
        return []
    return classes


def _label_table_hint(tree: Tree) -> str:
    """A sentence on files that may hold the labels, or ""."""
    files = [name for name in tree.files if ending(name) in LABEL_FILES]
    if not files:
        return ""
    first, last = printable(files[0]), files[0].rpartition("/")[2]
    if last.startswith("metadata."):
        return f"{first} has no column that is called as labels are; data.label_column=NAME says which one it is. "
    if [name.rpartition("/")[2] for name in files].count(last) > 1:
        return (
            f"{first} and {plural(len(files) - 1, 'other table')} may hold the labels: make one table of them, for "
            "--labels, or call each metadata.csv, which is read for the pictures beside it. "
        )
    return (
        f"{first} may hold the labels: --data {quote(str(tree.path))} --labels "
        f"{quote(tree.place(files[0]))} reads them from there. "
    )


def _has_classes(images: list[str], folder: str) -> bool:
    inside = [name for name in images if name.startswith(folder)]
    return any("/" in name[len(folder) :] for name in inside) or bool(_prefixes(inside, folder))


def _below(images: list[str], above: str) -> list[str]:
    return images[bisect_left(images, above) : bisect_left(images, above + chr(sys.maxunicode))]


def _folders_in(tree: Tree, above: str) -> list[str]:
    return [
        name[len(above) :]
        for name in tree.folders
        if name.startswith(above) and "/" not in name[len(above) :]
    ]


def _other_files(tree: Tree, folder: str) -> str:
    """', only N files of other kinds (.txt, ...)' below `folder`, or '' when there are none."""
    endings = Counter(ending(name) or "without ending" for name in tree.files if name.startswith(folder))
    kinds = ", ".join(found for found, _ in endings.most_common(5))
    return f", only {plural(endings.total(), 'file')} of other kinds ({kinds})" if endings else ""


READER = Reader("pictures", PICTURES, lambda tree: tree.pictures, read_folders)
