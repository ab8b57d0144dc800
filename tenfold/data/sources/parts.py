"""What a source holds before anything is decoded: parts, one for each folder of a split."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tenfold.core.errors import InputError
from tenfold.data.formats import Encoded
from tenfold.data.source import SPLIT_NAMES

# What folders of splits are called, in English and in some other languages, without accents.
ALIASES = {
    "train": (
        *("train", "training", "trainings", "treino", "treinamento", "entrenamiento", "entrainement"),
        *("apprentissage", "addestramento", "trening", "训练", "训练集", "学習", "訓練", "обучение"),
    ),
    "validation": (
        *("validation", "valid", "val", "validate", "dev", "validierung", "validierungs", "validacion"),
        *("validacao", "validazione", "validatie", "验证", "验证集", "検証", "валидация"),
    ),
    "test": (
        *("test", "testing", "tests", "teste", "prueba", "pruebas", "testes", "eval", "evaluation"),
        *("测试", "测试集", "テスト", "тест"),
    ),
}
ENGLISH = ("train", "training", "validation", "valid", "val", "dev", "validate", "test", "testing", "eval")

_BEFORE = r"(?:seg|images?|imgs?|data|dataset|my|the)[-_ ]"
_BEHIND = r"[-_ ]?(?:set|images?|imgs?|pics?|pictures?|photos?|data|daten|split|folder|samples?)"
_NAMES = {
    split: re.compile(rf"(?:{_BEFORE})?(?:{'|'.join(names)})(?:{_BEHIND})?[-_ ]?\d*", re.IGNORECASE)
    for split, names in ALIASES.items()
}
_EVALUATION = re.compile(rf"(?:{_BEFORE})?eval(?:uation)?(?:{_BEHIND})?[-_ ]?\d*", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """The images of one folder or file of a source.

    split: the one that the source puts them in, or None; name: the folder's; paths: each image's identity;
    classes: the name of each image's class; encoded: gives (position, picture) in the cheapest order to read; groups:
    the name of each image's group (None: it has none), where a table of labels has a column of them.
    """

    split: str | None
    name: str
    paths: Sequence[str]
    classes: Sequence[str]
    encoded: Callable[[], Iterator[tuple[int, Encoded]]]
    groups: Sequence[str | None] | None = None


def split_named(name: str) -> str | None:
    """The split that a folder's name stands for (`val`, `Training`, `train_set3`, ...), or None."""
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter)
    )
    for spelling in (plain, unicodedata.normalize("NFKC", name)):
        for split, pattern in _NAMES.items():
            if pattern.fullmatch(spelling.strip()):
                return split
    return None


def splits_named(names: Sequence[str]) -> dict[str, str]:
    """The split for each of those names that stand for one, seen together.

    Folders called `eval` are test images, or validation images beside a folder of test images.
    """
    found = {name: split for name in names if (split := split_named(name))}
    evaluation = {name for name in found if _EVALUATION.fullmatch(name)}
    others = {split for name, split in found.items() if name not in evaluation}
    if "test" in others and "validation" not in others:
        found |= dict.fromkeys(evaluation, "validation")
    return found


def split_of_file(name: str) -> str | None:
    """The split that a file's name or a folder above it says (`data/train-00000-of-00002.parquet`), or None."""
    *folders, file = name.split("/")
    parts = (*folders, re.split(r"[-_.]", file)[0])
    return next((split for part in parts if (split := split_named(part))), None)


def in_split_order(place: Path, names: Sequence[str]) -> list[tuple[str | None, str]]:
    """(split, name) of each file, the splits in their order, each in the order of its names.

    Raises InputError where only some of the names say a split.
    """
    splits = {name: split_of_file(name) for name in names}
    if any(splits.values()) and not all(splits.values()):
        strange = next(name for name, split in splits.items() if not split)
        raise InputError(
            f"{place}: the name of {strange} does not say its split, as the others' do (train-*, validation-*, "
            "test-*, or folders of such names). Rename it or move it elsewhere."
        )
    order = (None, *SPLIT_NAMES)
    return sorted(((splits[name], name) for name in names), key=lambda pair: (order.index(pair[0]), pair[1]))


def wrapping(images: list[str]) -> str:
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
