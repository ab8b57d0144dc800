"""Class folders, with or without folders of splits above them, on the disk or in an archive."""

import sys
from bisect import bisect_left
from collections import Counter
from itertools import chain

from tenfold.core.errors import InputError
from tenfold.data.decode import SUFFIXES
from tenfold.data.sources.groups import ALIASES, Group, split_named
from tenfold.data.sources.trees import Tree, printable

LAYOUT = (
    "Expected one folder for each class (SOURCE/cat/1.png, SOURCE/dog/2.png, ...), or train, validation and test "
    "folders with class folders in them"
)


def read_folders(tree: Tree) -> list[Group]:
    """The images of class folders: one group for each split folder, or one without a split.

    Raises InputError for a layout that does not say the class of every image.
    """
    images = [name for name in tree.files if is_picture(name)]
    if not images:
        raise InputError(f"{tree.path}: it holds no images{_other_files(tree, '')}. {LAYOUT}.")
    root = _wrapping(images)
    splits = _split_folders(tree, images, root)
    return [_group(tree, images, root, folder, split) for folder, split in splits] or [
        _group(tree, images, root, "", None)
    ]


def _group(tree: Tree, images: list[str], root: str, folder: str, split: str | None) -> Group:
    """All images of the class folders directly below `root` + `folder`."""
    above = root + folder
    inside = images[bisect_left(images, above) : bisect_left(images, above + chr(sys.maxunicode))]
    stray = [name for name in inside if "/" not in name[len(above) :]]
    if stray:
        raise InputError(
            f"{tree.path / above}: {len(stray)} image(s) lie directly in it, for instance "
            f"{printable(stray[0][len(above) :])}, so their class is not known. {LAYOUT}."
        )
    classes = [printable(name[len(above) : name.index("/", len(above))]) for name in inside]
    for empty in sorted({printable(name) for name in _folders_in(tree, above)} - set(classes)):
        raise InputError(
            f"{tree.path / above / empty}: the class folder holds no images{_other_files(tree, f'{above}{empty}/')}. "
            "Put images of the class in it, or remove it."
        )
    paths = [printable(name[len(root) :]) for name in inside]
    return Group(split, folder.rstrip("/") or tree.stem, paths, classes, lambda: tree.encoded(inside))


def _wrapping(images: list[str]) -> str:
    """The folders, ending in "/", that an archive wraps around everything; "" for none.

    A lone folder that holds images itself is no wrapping but a class, and one called `train` is a split.
    """
    root = ""
    while True:
        folder = images[0][len(root) :].partition("/")[0]
        deeper = f"{root}{folder}/"
        if split_named(folder) or any(
            not name.startswith(deeper) or "/" not in name[len(deeper) :] for name in images
        ):
            return root
        root = deeper


def _split_folders(tree: Tree, images: list[str], root: str) -> list[tuple[str, str]]:
    """(folder ending in "/", split) in the splits' order if the folders below `root` are splits, else []."""
    named = {f"{folder}/": split for folder in _folders_in(tree, root) if (split := split_named(folder))}
    counts = Counter(name[len(root) : name.find("/", len(root)) + 1] for name in images)
    if not any(split == "train" and _has_classes(images, root + folder) for folder, split in named.items()):
        return []
    for other in sorted(counts.keys() - named.keys() - {""}):
        raise InputError(
            f"{tree.path / root / other}: holds images, but is no split's folder as {', '.join(sorted(named))} are "
            f"(their names: {', '.join(chain(*ALIASES.values()))}). Move or rename it, or name the "
            "folders of each split with --train, --validation and --test."
        )
    for empty in sorted(named.keys() - counts.keys()):
        raise InputError(
            f"{tree.path / root / empty}: the split's folder holds no images. Fill it or remove it."
        )
    order = list(ALIASES)
    return sorted(named.items(), key=lambda item: (order.index(item[1]), len(item[0]), item[0]))


def _has_classes(images: list[str], folder: str) -> bool:
    return any(name.startswith(folder) and "/" in name[len(folder) :] for name in images)


def _folders_in(tree: Tree, above: str) -> list[str]:
    return [
        name[len(above) :]
        for name in tree.folders
        if name.startswith(above) and "/" not in name[len(above) :]
    ]


def is_picture(name: str) -> bool:
    """Whether the name ends as a picture's does; whether it is one shows when it is decoded."""
    return _suffix(name) in SUFFIXES


def _suffix(name: str) -> str:
    return name[name.rindex(".") :].lower() if "." in name else ""


def _other_files(tree: Tree, folder: str) -> str:
    """', only N files of other kinds (.txt, ...)' below `folder`, or '' when there are none."""
    endings = Counter(_suffix(name) or "without ending" for name in tree.files if name.startswith(folder))
    kinds = ", ".join(ending for ending, _ in endings.most_common(5))
    return f", only {endings.total()} file(s) of other kinds ({kinds})" if endings else ""
