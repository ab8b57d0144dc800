"""Which split each image is in: what the source says, what is drawn, and what cannot be."""

from dataclasses import replace

import numpy as np
import pytest

from tenfold.core.errors import InputError
from tenfold.data.assignment import TooSmallError, assign, assign_folds, given_splits, groups_of, units_of
from tenfold.data.reading import ImageTable
from tenfold.recipe import Data


def table(labels, parts=None, splits=(None,), pictures=None, groups=(), paths=None) -> ImageTable:
    count = len(labels)
    keys = np.random.default_rng(0).permutation(count).astype(np.uint64)
    return ImageTable(
        rows=np.arange(count),
        labels=np.asarray(labels),
        parts=np.zeros(count, int) if parts is None else np.asarray(parts),
        keys=keys,
        contents=keys,
        pictures=keys if pictures is None else np.asarray(pictures),
        paths=paths or [f"p{number // 2}/{number}.png" for number in range(count)],
        classes=tuple("abcdef"[: max(labels) + 1]),
        part_splits=splits,
        part_folders=tuple(map(str, splits)),
        groups=np.asarray(groups, np.int64),
    )


TWO = [0] * 20 + [1] * 20


def test_what_the_source_says_is_kept_and_only_the_rest_is_drawn():
    given = table([0, 1] * 20, parts=[0] * 30 + [1] * 10, splits=("train", "test"))
    assert given_splits(given).tolist() == [0] * 30 + [2] * 10
    found = assign(given, Data(validation_fraction=0.2))
    assert found[30:].tolist() == [2] * 10
    assert np.bincount(found).tolist() == [24, 6, 10]


def test_shares_are_drawn_by_class():
    found = assign(table(TWO), Data(test_fraction=0.1, validation_fraction=0.2))
    for label in (0, 1):
        assert np.bincount(found[np.array(TWO) == label]).tolist() == [14, 4, 2]


def test_copies_stay_together_unless_they_may_be_apart():
    copied = replace(table(TWO), clusters=np.arange(40) // 2)
    found = assign(copied, Data(test_fraction=0.1))
    assert (found[::2] == found[1::2]).all()
    assert len(set(units_of(copied, Data()).tolist())) == 20
    assert len(set(units_of(replace(copied, clusters=np.full(40, -1)), Data()).tolist())) == 40


def test_groups_come_from_the_table_or_from_a_pattern_of_paths():
    assert groups_of(table(TWO), Data()).tolist() == []
    by_path = groups_of(table(TWO), Data(group=r"p(\d+)/"))
    assert by_path.tolist() == (np.arange(40) // 2).tolist()
    of_table = replace(table(TWO), groups=np.array([5] * 39 + [-1]))
    assert groups_of(of_table, Data()).tolist() == [5] * 39 + [-1]
    assert groups_of(of_table, Data(group="")).tolist() == []
    units = units_of(of_table, Data())
    assert len(set(units.tolist())) == 2, "an image without a group is a unit of its own"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "no regular expression"),
        ("patient", "has 0 groups in brackets"),
        ("(zzz)", "matches no image's path"),
    ],
)
def test_patterns_that_name_no_group_are_refused(pattern, words):
    with pytest.raises(InputError, match=words):
        groups_of(table(TWO), Data(group=pattern))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Data(test_fraction=0), r"data\.test_fraction=0 leaves no test images"),
        (Data(test_fraction=0.5, validation_fraction=0.5), "add up to 1, which leaves no training images"),
        (Data(folds=4, fold=5), r"data\.fold=5: there are data\.folds=4"),
    ],
)
def test_shares_that_leave_a_split_empty_are_refused(data, words):
    with pytest.raises(InputError, match=words):
        assign(table(TWO), data)


def test_classes_that_are_too_small_are_all_named_with_what_helps():
    with pytest.raises(TooSmallError, match=r"class 'b' has 2 images.*Too small as well: 'c'.*at least 3"):
        assign(table([0] * 20 + [1] * 2 + [2]), Data())
    assert not isinstance(InputError(), TooSmallError)


def test_groups_that_are_too_few_are_refused():
    with pytest.raises(InputError, match="the images are of too few groups, which leaves none for"):
        assign(replace(table(TWO), groups=np.zeros(40, np.int64)), Data())


def test_every_image_is_in_the_test_of_one_fold_and_chooses_in_one_at_most():
    folds = [assign(table(TWO), Data(folds=4, fold=number)) for number in range(1, 5)]
    assert (sum((fold == 2).astype(int) for fold in folds) == 1).all()
    assert (sum((fold == 1).astype(int) for fold in folds) <= 1).all()
    assert np.bincount(assign(table(TWO), Data(folds=4)), minlength=3)[2] == 0
    assert np.bincount(assign_folds(table(TWO), Data(folds=4))).tolist() == [10] * 4


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (table(TWO, parts=TWO, splits=("train", "test")), "the source has a test split of its own"),
        (table([*TWO, 2]), "class 'c' has one image only"),
        (replace(table(TWO), groups=np.array([*range(20), *[20] * 20])), "class 'b' has one group only"),
    ],
)
def test_folds_that_cannot_be_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        assign_folds(given, Data(folds=4))
