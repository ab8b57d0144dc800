"""Folders that can be read in two ways, which is for the user to say and never for a program to guess."""

from collections import Counter
from itertools import combinations
from shlex import quote

from tenfold.core.errors import InputError
from tenfold.core.text import natural, plural, printable
from tenfold.data.sources.parts import splits_named
from tenfold.data.sources.tree import Tree

PICTURES = {"images", "image", "imgs", "img", "jpegimages", "pictures", "photos"}
BESIDE = {
    "labels",
    "label",
    "masks",
    "mask",
    "annotations",
    "annotation",
    "segmentation",
    "gt",
    "groundtruth",
}
MIXED_REMEDY = (
    "Give every class folder the same folders of splits, or move the images into SPLIT/CLASS/ folders. If the inner "
    "folders mean nothing and all images of a class may be mixed, say so with data.nested=true."
)
ONCE_MORE_REMEDY = (
    "If they are the same pictures once more, or examples, move that folder elsewhere. If it is a class, say so with "
    "data.nested=true."
)
SHOWN = 6


def check_beside(tree: Tree, root: str, classes: set[str]) -> None:
    """Raise InputError where pictures of masks or annotations lie beside the images: both would become classes."""
    lower = {name.lower(): name for name in classes}
    images, others = lower.keys() & PICTURES, lower.keys() & BESIDE
    if images and others:
        inside, beside = lower[min(images)], lower[min(others)]
        raise InputError(
            f"{tree.path / root}: {beside}/ holds pictures beside {inside}/, as masks for segmentation or detection "
            "do, so the folders say no classes. Give a folder with one folder for each class; "
            f"if {inside}/ has them, --data {quote(str(tree.path / root / inside))}."
        )


def check_classes(tree: Tree, images: list[str], root: str, split: str | None = None) -> None:
    """Raise InputError where the folders below `root` may be splits or sources, and those in them the classes.

    `split`: the one that `root` is the folder of, if any.
    """
    below = [name[len(root) :].split("/") for name in images]
    direct = Counter(parts[0] for parts in below if len(parts) == 2)
    inner: dict[str, Counter[str]] = {}
    for parts in below:
        if len(parts) > 2:
            inner.setdefault(parts[0], Counter())[parts[1]] += 1
    mixed = _some_splits(inner)
    again = mixed or _once_more(direct, inner)
    why = again or _repeated(direct, inner) or _lone(direct, inner)
    if why:
        remedy = _remedy(tree, root, direct, inner, split)
        if again:
            remedy = MIXED_REMEDY if mixed else ONCE_MORE_REMEDY
        raise InputError(
            f"{tree.path / root}: {why}, so the classes are not clear:\n{_sketch(direct, inner)}\n{remedy}"
        )


def _repeated(direct: Counter[str], inner: dict[str, Counter[str]]) -> str:
    """Two folders hold folders of mostly the same names, and no images themselves."""
    nested = {name: set(folders) for name, folders in inner.items() if name not in direct}
    for one, other in combinations(sorted(nested), 2):
        same = nested[one] & nested[other]
        if len(same) > 1 and 2 * len(same) >= len(nested[one] | nested[other]):
            names = ", ".join(printable(name) for name in sorted(same, key=natural)[:4])
            return f"{printable(one)}/ and {printable(other)}/ hold folders of the same names ({names})"
    return ""


def _once_more(direct: Counter[str], inner: dict[str, Counter[str]]) -> str:
    """A folder beside others holds folders of their names: flowers/rose, flowers/tulip beside rose, tulip."""
    upper = direct.keys() | inner.keys()
    for name in sorted(inner):
        same = inner[name].keys() & (upper - {name})
        if len(same) > 1:
            names = ", ".join(printable(other) for other in sorted(same, key=natural)[:4])
            return f"{printable(name)}/ holds folders that are called as those beside it ({names})"
    return ""


def _lone(direct: Counter[str], inner: dict[str, Counter[str]]) -> str:
    """Of two folders one holds only folders of images, and the other only images."""
    if len(direct.keys() | inner.keys()) == 2 and len(direct) == 1 and len(inner) == 1:
        (flat,), (deep,) = direct, inner
        if flat != deep and len(inner[deep]) > 1:
            return f"{printable(deep)}/ holds folders of images, and {printable(flat)}/ only images"
    return ""


def _some_splits(inner: dict[str, Counter[str]]) -> str:
    """Folders of splits lie in class folders, but not in all, or beside others."""
    for name, folders in sorted(inner.items()):
        named = splits_named(sorted(folders))
        if "train" in named.values() and len(set(named.values())) > 1:
            listed = ", ".join(f"{printable(folder)}/" for folder in sorted(named))
            return f"{printable(name)}/ holds folders of splits ({listed}), which not every class folder does"
    return ""


def _sketch(direct: Counter[str], inner: dict[str, Counter[str]]) -> str:
    """The folders and their numbers of images, a line for each of the upper ones."""
    lines = []
    for name in sorted(direct.keys() | inner.keys(), key=natural):
        folders = sorted(inner.get(name, {}).items(), key=lambda item: natural(item[0]))
        parts = [plural(direct[name], "image")] if direct[name] else []
        parts += [f"{printable(folder)}/ ({count:,})" for folder, count in folders[:SHOWN]]
        parts += [f"{len(folders) - SHOWN} more"] if len(folders) > SHOWN else []
        lines.append(f"  {printable(name)}/  {', '.join(parts)}")
    return "\n".join([*lines[:SHOWN], *([f"  {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])])


def _remedy(
    tree: Tree, root: str, direct: Counter[str], inner: dict[str, Counter[str]], split: str | None
) -> str:
    sizes = {name: folders.total() for name, folders in inner.items()}
    first, *others = (
        quote(str(tree.path / root / name)) for name in sorted(sizes, key=lambda name: -sizes[name])
    )
    if split:
        words = [*(f"--{split} {folder}" for folder in (first, *others)), "and the like for other splits"]
    else:
        words = [f"--train {first}", *(f"--test {folder}" for folder in others[:1])]
    names = sorted(direct.keys() | inner.keys(), key=natural)
    upper = ", ".join(f"{printable(name)}" for name in names[:SHOWN])
    return (
        f"If the inner folders are the classes: {' '.join(words)}. If the upper ones are ({upper}), say so with "
        "data.nested=true."
    )
