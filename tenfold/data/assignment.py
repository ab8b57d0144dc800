"""Which split each image of a source belongs to: what the source says, and what is drawn where it says nothing."""

import re
from collections.abc import Sequence

import numpy as np

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.core.text import listed, plural
from tenfold.data.dealing import deal, fold_quotas, ranks, split_quotas
from tenfold.data.reading import ImageTable
from tenfold.data.source import SPLIT_NAMES


class TooSmallError(InputError):
    """A class has too few images to be dealt to the splits."""


def assign(table: ImageTable, data: recipe.Data) -> np.ndarray:
    """(N,) numbers of SPLIT_NAMES: what the source says, else drawn by class, in whole groups.

    With `data.folds`, the test images are those of fold `data.fold`; without one there are none, and the rest is the
    final model's. Raises TooSmallError where a class has too few images for that, and InputError for what else
    cannot be drawn.
    """
    assigned = given_splits(table)
    wanted = {"test": data.test_fraction, "validation": data.validation_fraction}
    if data.folds is not None:
        return _fold(table, data)
    shares = {name: share for name, share in wanted.items() if name not in table.part_splits}
    _check_shares(shares)
    if shares:
        _draw(assigned, table, data, shares)
    return assigned


def given_splits(table: ImageTable) -> np.ndarray:
    """(N,) numbers of SPLIT_NAMES: what the source says, and training where it says nothing."""
    given = [split or "train" for split in table.part_splits]
    return np.array([SPLIT_NAMES.index(split) for split in given], np.int8)[table.parts]


def assign_folds(table: ImageTable, data: recipe.Data) -> np.ndarray:
    """(N,) the fold of each image, from 0 to `data.folds` - 1: stratified by class, and no group in two folds.

    Raises InputError where the source has splits of its own, or a class cannot be in two folds.
    """
    folds = data.folds or 0
    own = [split for split in table.part_splits if split not in (None, "train")]
    if own:
        raise InputError(
            f"data.folds={folds}: every image is tested once, but the source has a {own[0]} split of its own. Give "
            "the training images alone, with --train FOLDER in place of --data, and test the result on the others: "
            "`tenfold evaluate RUN --data FOLDER`."
        )
    counts = np.bincount(table.labels, minlength=len(table.classes))
    order = ranks(table.keys, data.split_seed)
    found = deal(table.labels, units_of(table, data), order, fold_quotas(counts, folds))
    for label in np.flatnonzero(counts).tolist():
        if len(set(found[table.labels == label].tolist())) < 2:
            unit = "image" if counts[label] == 1 else "group"
            raise InputError(
                f"class {table.classes[label]!r} has one {unit} only: the fold that tests it leaves nothing to "
                f"learn it from. Add images of another {unit}, or remove the class."
            )
    return found


def _fold(table: ImageTable, data: recipe.Data) -> np.ndarray:
    """(N,) numbers of SPLIT_NAMES in one fold, or for the final model.

    The images that choose a fold's epoch are drawn from the next fold alone, so that no image does so in two folds.
    The final model has those of the first fold.
    """
    folds, number = data.folds or 0, data.fold or 1
    if number > folds:
        raise InputError(f"data.fold={number}: there are data.folds={folds}, counted from 1.")
    _check_shares({"validation": data.validation_fraction})
    found = assign_folds(table, data)
    assigned = np.zeros(len(found), np.int8)
    if data.fold is not None:
        assigned[found == number - 1] = SPLIT_NAMES.index("test")
    pool = np.flatnonzero(found == number % folds)
    counts = np.bincount(table.labels[pool], minlength=len(table.classes))
    share = min(1.0, data.validation_fraction * (folds - 1))
    wanted = np.minimum(counts, np.where(counts > 0, np.maximum(1, (counts * share + 0.5).astype(int)), 0))
    units, order = units_of(table, data)[pool], ranks(table.keys[pool], data.split_seed)
    judging = deal(table.labels[pool], units, order, np.stack([counts - wanted, wanted]), 1) == 1
    assigned[pool[judging]] = SPLIT_NAMES.index("validation")
    _keep_training(assigned, table)
    return assigned


def _keep_training(assigned: np.ndarray, table: ImageTable) -> None:
    """Give back the validation images of classes that training would lack. Raises InputError where that is none."""
    classes = set(table.labels.tolist())
    lacking = classes - set(table.labels[assigned == 0].tolist())
    assigned[np.isin(table.labels, list(lacking)) & (assigned == SPLIT_NAMES.index("validation"))] = 0
    small = classes - set(table.labels[assigned == 0].tolist())
    if small:
        counts = np.bincount(table.labels)
        _refuse_small({table.classes[label]: int(counts[label]) for label in sorted(small)}, ["test"])


def _draw(assigned: np.ndarray, table: ImageTable, data: recipe.Data, shares: dict[str, float]) -> None:
    """Move the `shares` of the training images to the other splits."""
    pool = np.flatnonzero(assigned == 0)
    labels = table.labels[pool]
    counts = np.bincount(labels, minlength=len(table.classes))
    rows = dict(zip(("train", *shares), split_quotas(counts, list(shares.values())), strict=True))
    small = {table.classes[i]: int(counts[i]) for i in np.flatnonzero((rows["train"] < 1) & (counts > 0))}
    if small:
        _refuse_small(small, [name for name in SPLIT_NAMES[1:] if name in shares])
    bins = [name for name in ("test", "train", "validation") if name in rows]
    quotas = np.stack([rows[name] for name in bins])
    order = ranks(table.keys[pool], data.split_seed)
    found = deal(labels, units_of(table, data)[pool], order, quotas, bins.index("train"))
    empty = [name for number, name in enumerate(bins) if not np.any(found == number)]
    if empty and len(groups_of(table, data)):
        said = f"data.group={data.group}" if data.group else "the table's groups (data.group='' ignores them)"
        raise InputError(
            f"{said}: the images are of too few groups, which leaves none for {' and '.join(empty)}. Name smaller "
            "groups, add images of others, or give the splits (--train, --validation, --test)."
        )
    if empty:  # nearly all are copies of so few pictures that they cannot stay together
        found = deal(labels, np.arange(len(pool)), order, quotas)
    assigned[pool] = np.array([SPLIT_NAMES.index(name) for name in bins])[found]


def _check_shares(shares: dict[str, float]) -> None:
    for name, share in shares.items():
        if share == 0:
            raise InputError(
                f"data.{name}_fraction=0 leaves no {name} images, and the source has no {name} folder: "
                f"set data.{name}_fraction=0.1, or give a folder with --{name}."
            )
    if sum(shares.values()) >= 1:
        raise InputError(
            f"data.validation_fraction and data.test_fraction add up to {sum(shares.values()):g}, which leaves "
            "no training images: choose smaller fractions, for instance 0.1 each."
        )


def _refuse_small(small: dict[str, int], splits: Sequence[str]) -> None:
    """Raise TooSmallError for classes (with their numbers of images) that are too small to be dealt."""
    name, count = next(iter(small.items()))
    others = list(small)[1:]
    likewise = f" Too small as well: {listed(others)}." if others else ""
    fractions = " and ".join(f"data.{split}_fraction" for split in splits)
    smaller = f", or choose smaller {fractions}" if count > len(splits) else ""
    raise TooSmallError(
        f"class {name!r} has {plural(count, 'image')}, too few to give {' and '.join(splits)} their share and keep "
        f"one for training.{likewise} Add images (at least {len(splits) + 1} a class){',' if smaller else ' or'} "
        f"remove the class{'es' if others else ''}{smaller}."
    )


# Units and groups --------------------------------------------------------------------------------------------


def units_of(table: ImageTable, data: recipe.Data) -> np.ndarray:
    """(N,) equal numbers for images that must stay in one split: of one group, or else copies of one picture.

    An image without either is a unit of its own.
    """
    alone = np.arange(len(table.rows))
    groups = groups_of(table, data)
    together = groups if len(groups) else table.clusters
    return np.where(together < 0, alone + together.max(initial=0) + 1, together) if len(together) else alone


def groups_of(table: ImageTable, data: recipe.Data) -> np.ndarray:
    """(N,) the group of each image by the table of labels or `data.group`, -1 for none; empty where none are named.

    Raises InputError for a pattern that is none, or that no path matches.
    """
    if len(table.groups) or not data.group:
        return table.groups if data.group != "" else np.empty(0, np.int64)
    pattern = _pattern(data.group)
    found = [match[1] if (match := pattern.search(path)) else None for path in table.paths]
    if not any(found):
        raise InputError(
            f"data.group={data.group}: it matches no image's path, for instance {table.paths[0]}. Expected a "
            r"regular expression with the group's name in brackets, such as 'patient_(\d+)'."
        )
    numbers = {name: number for number, name in enumerate(dict.fromkeys(filter(None, found)))}
    return np.array([numbers[name] if name else -1 for name in found], np.int64)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"data.group={text}: it is no regular expression ({error}).") from None
    if pattern.groups != 1:
        raise InputError(
            f"data.group={text}: it has {pattern.groups} groups in brackets, expected one: the part of the path that "
            r"names an image's group, such as 'patient_(\d+)'. A column's name goes with a table of labels, which is "
            "not here."
        )
    return pattern
