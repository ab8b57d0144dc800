"""Copies are kept in one split, told where they are not, and a run's splits do not depend on finding them again."""

import numpy as np
import pytest
from changed import CHANGES, jittered
from images import load, save, scene

import tenfold.data.copies as module
from tenfold.core.errors import InputError
from tenfold.data import Source, fold_splits, reload_splits
from tenfold.data.copies import numbered
from tenfold.recipe import Data


def picture_of(path: str) -> str:
    return path.rpartition("/")[2].split("_")[0]


@pytest.fixture
def brightened(tmp_path):
    """Two classes of 60 pictures; half of each with a brightened copy under a name that says nothing."""
    for number in range(120):
        folder = tmp_path / "data" / ("cat", "dog")[number % 2]
        save(folder / f"p{number}_a.png", scene(number))
        if number < 60:
            save(folder / f"p{number}_b.png", CHANGES["brightened by 30 %"](scene(number)))
    return tmp_path / "data"


def crossing(splits) -> set[str]:
    pictures = [set(map(picture_of, split.paths)) for split in splits]
    return (pictures[0] & pictures[1]) | (pictures[0] & pictures[2]) | (pictures[1] & pictures[2])


def test_near_copies_are_kept_together(brightened):
    splits = load(brightened)
    assert not crossing(splits)
    assert [len(split) for split in splits] == [144, 18, 18]
    assert splits.notices == (
        "120 images are near copies of others, or named as such, in 60 clusters: intervals are by cluster, and each "
        "cluster is in one split",
    )
    assert crossing(load(brightened, copies="exact"))
    assert crossing(load(brightened, copies="apart"))


def test_folds_keep_them_together(brightened):
    for splits in fold_splits(Data(), Source(str(brightened)), 3):
        assert not crossing(splits)
    assert len(load(brightened, folds=3).near_copies("test", "train", "validation")) == 0


def test_siblings_by_name_are_kept_together_whatever_was_done_to_them(tmp_path):
    for number in range(80):
        for name in ("", "_flip", "_rot90", "_aug_3"):
            save(tmp_path / "ab"[number % 2] / f"{number:04}{name}.png", scene(4 * number + len(name)))
    splits = load(tmp_path)
    assert not crossing([split.part(np.arange(len(split))) for split in splits]) & {".png"}
    stems = [{path.rpartition("/")[2][:4] for path in split.paths} for split in splits]
    assert sum(map(len, stems)) == 80


def test_given_splits_that_share_pictures_are_told(tmp_path):
    for number in range(40):
        save(tmp_path / "train" / "ab"[number % 2] / f"{number}.png", scene(number))
        save(tmp_path / "val" / "ab"[number % 2] / f"{number}.png", scene(1000 + number))
        copy = CHANGES["rotated by 5 degrees"](scene(number)) if number < 30 else scene(2000 + number)
        save(tmp_path / "test" / "ab"[number % 2] / f"x{number}.png", copy)
    splits = load(tmp_path)
    assert splits.notices[0].startswith(
        "30 of 40 test images (75.0%) are near copies of images in the train split, for instance test/a/x0.png of "
        "train/a/0.png"
    )
    assert splits.notices[1].endswith("in 30 clusters: intervals are by cluster")
    assert splits.describe()["near_copies"]["test"] == splits.near_copies("test", "train").tolist()
    assert len(splits.near_copies("test", "train")) == 30
    assert len(splits.copies("test", "train")) == 0


def test_a_run_has_its_splits_again_whatever_is_found_now(brightened, monkeypatch):
    splits = load(brightened)
    facts = splits.describe()
    assert sorted(map(len, facts["clusters"])) == [2] * 60
    monkeypatch.setattr(module, "near_copies", lambda *_: pytest.fail("they are in data.json"))
    monkeypatch.setattr(module, "VERSION", 99)
    assert reload_splits(Data(), facts).fingerprint == splits.fingerprint
    del facts["clusters"]
    exact = load(brightened, copies="exact")
    assert reload_splits(Data(), exact.describe() | {"clusters": []}).fingerprint == exact.fingerprint
    assert reload_splits(Data(), facts).fingerprint == exact.fingerprint  # a run of before


def test_they_are_looked_for_once(brightened, monkeypatch):
    first = load(brightened)
    monkeypatch.setattr(module, "near_copies", lambda *_: pytest.fail("looked again"))
    assert load(brightened).fingerprint == first.fingerprint


def test_beyond_a_number_they_are_looked_for_when_asked(brightened, monkeypatch):
    monkeypatch.setattr(module, "QUICK", 100)
    splits = load(brightened)
    assert crossing(splits)
    assert splits.notices == (
        "training does not look for near copies: there are more than 100 images; data.copies=near looks for them "
        "among any number",
    )
    assert not crossing(load(brightened, copies="near"))


@pytest.mark.slow
def test_frames_of_few_pictures_are_one_piece_of_evidence_each(tmp_path):
    """Forty pictures in 25 frames each with a label drawn at random: nothing can be learned of them."""
    labels = np.random.default_rng(0).integers(0, 2, 40)
    for number in range(1000):
        picture = number // 25
        save(
            tmp_path / "ab"[labels[picture]] / f"p{picture}_{number}.png",
            jittered(scene(picture), number),
        )
    splits = load(tmp_path)
    assert not crossing(splits)
    for split in splits:
        pictures = set(map(picture_of, split.paths))
        assert len(np.unique(split.evidence)) == len(pictures)
        assert split.evidence.min() >= 0


def test_images_without_copies_are_evidence_of_their_own(brightened):
    whole = load(brightened, copies="exact")
    assert all(len(split.evidence) == 0 for split in whole)


def test_clusters_are_numbered_by_their_first_images():
    assert numbered(np.array([7, -1, 3, 7, 3, -1])).tolist() == [0, -1, 1, 0, 1, -1]
    assert numbered(np.array([5, 5])).tolist() == [0, 0]
    assert numbered(np.array([-1])).tolist() == [-1]
    assert numbered(np.empty(0, np.int64)).tolist() == []


def test_a_class_of_copies_of_one_picture_cannot_be_in_two_folds(tmp_path):
    for number in range(20):
        save(tmp_path / "a" / f"{number}.png", jittered(scene(0), number))
        save(tmp_path / "b" / f"{number}.png", scene(100 + number))
    with pytest.raises(InputError, match="class 'a' has one group only"):
        load(tmp_path, folds=4)
