import numpy as np
import pytest
from corpus import (
    pets,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from images import class_folders, load, random_pixels, refused, save
from PIL import Image
from small import SMALL

from tenfold.core.errors import InputError
from tenfold.data import Source, Splits
from tenfold.data.pack import identity_key
from tenfold.data.reading import ImageTable
from tenfold.data.splits import make_splits
from tenfold.findings import find, gather
from tenfold.recipe import Data
from tenfold.runs.folder import load_run

COUNTS = st.lists(st.integers(10, 60), min_size=2, max_size=6)
FRACTIONS = st.floats(0.05, 0.4)
SEEDS = st.integers(0, 2**31)


def table(
    counts: list[int], part_splits: tuple[str | None, ...] = (None,), missing: frozenset = frozenset()
) -> ImageTable:
    """Classes c0, c1, ... with `counts` images each, dealt to the parts in turn, without the paths in `missing`."""
    facts = [
        (f"c{label}/{i:03}", label, i % len(part_splits))
        for label, count in enumerate(counts)
        for i in range(count)
    ]
    facts = sorted((fact for fact in facts if fact[0] not in missing), key=lambda fact: fact[2])
    return ImageTable(
        rows=np.arange(len(facts)),
        labels=np.array([label for _, label, _ in facts]),
        parts=np.array([part for _, _, part in facts]),
        keys=np.array([identity_key(path) for path, _, _ in facts], np.uint64),
        pictures=np.arange(len(facts), dtype=np.uint64),
        contents=np.arange(len(facts), dtype=np.uint64),
        paths=[path for path, _, _ in facts],
        classes=tuple(f"c{label}" for label in range(len(counts))),
        part_splits=part_splits,
        part_folders=tuple(f"folder{i}" for i in range(len(part_splits))),
    )


def split(images: ImageTable, **data) -> Splits:
    pixels = np.zeros((int(images.rows.max()) + 1, 4, 4, 1), np.uint8)
    return make_splits(images, pixels, Data(**data), Source("test"))


@given(COUNTS, FRACTIONS, FRACTIONS, SEEDS)
def test_every_image_is_in_exactly_one_split(counts, validation, test, seed):
    images = table(counts)
    splits = split(images, validation_fraction=validation, test_fraction=test, split_seed=seed)
    rows = np.concatenate([part.rows for part in splits])
    assert sorted(rows.tolist()) == images.rows.tolist()
    assert sorted(path for part in splits for path in part.paths) == sorted(images.paths)


@given(COUNTS, FRACTIONS, FRACTIONS, SEEDS)
def test_class_shares_are_kept_within_one_image(counts, validation, test, seed):
    splits = split(table(counts), validation_fraction=validation, test_fraction=test, split_seed=seed)
    for name, fraction in (("validation", validation), ("test", test)):
        drawn = np.bincount(splits[name].labels, minlength=len(counts))
        assert np.all(np.abs(drawn - fraction * np.array(counts)) <= 1)
        assert np.all(drawn >= 1)


@given(COUNTS, SEEDS)
def test_same_seed_same_split_and_another_seed_another(counts, seed):
    images = table(counts)
    one, same, other = (split(images, split_seed=s, test_fraction=0.3) for s in (seed, seed, seed + 1))
    assert one.fingerprint == same.fingerprint
    assert [part.paths for part in one] == [part.paths for part in same]
    assert one.test.paths != other.test.paths or sum(counts) < 40


@given(COUNTS, SEEDS, st.data())
def test_a_new_file_moves_at_most_one_other_in_each_split_and_no_other_class(counts, seed, data):
    label = data.draw(st.integers(0, len(counts) - 1))
    new = f"c{label}/{data.draw(st.integers(0, counts[label] - 1)):03}"
    before, after = (split(table(counts, missing=frozenset(gone)), split_seed=seed) for gone in ({new}, ()))
    for name in ("validation", "test"):
        changed = set(before[name].paths) ^ set(after[name].paths)
        assert len(changed - {new}) <= 1
        assert all(path.startswith(f"c{label}/") for path in changed)


@given(COUNTS, SEEDS)
def test_the_test_split_does_not_depend_on_the_validation_fraction(counts, seed):
    one, other = (split(table(counts), split_seed=seed, validation_fraction=v) for v in (0.1, 0.5))
    assert one.test.paths == other.test.paths


@given(COUNTS, SEEDS)
def test_given_splits_are_kept_and_a_missing_one_comes_from_training(counts, seed):
    for given_split, drawn in (("test", "validation"), ("validation", "test")):
        images = table(counts, ("train", given_split))
        splits = split(images, split_seed=seed)
        named = {path for path, part in zip(images.paths, images.parts, strict=True) if part == 1}
        assert set(splits[given_split].paths) == named
        assert not named & set(splits[drawn].paths)
        assert len(splits[drawn]) >= len(counts)


@given(COUNTS)
def test_folders_count_the_images_of_each_in_order(counts):
    images = table(counts, ("train", "train", "validation", "test"))
    splits = split(images)
    for part in splits:
        assert sum(part.folders) == len(part)
    assert splits.train.folders == tuple(np.bincount(images.parts)[:2])
    assert splits.train.paths[: splits.train.folders[0]] == [
        path for path, part in zip(images.paths, images.parts, strict=True) if part == 0
    ]


@given(st.integers(1, 6), FRACTIONS, FRACTIONS)
def test_a_small_class_is_split_or_refused_but_never_lost(count, validation, test):
    assume(validation + test < 1)
    images = table([count, 50])
    needed = sum(max(1, int(count * fraction + 0.5)) for fraction in (validation, test)) + 1
    if needed > count:
        with pytest.raises(InputError, match=rf"'c0' has {count} images?, too few"):
            split(images, validation_fraction=validation, test_fraction=test)
    else:
        splits = split(images, validation_fraction=validation, test_fraction=test)
        assert all(0 in part.labels for part in splits)


def test_shares_of_ten_thousand_images_are_near_random_in_every_column():
    """The hash that ranks the images is no worse than chance at mixing them: no runs, no favoured places."""
    splits = split(table([10_000, 10]), test_fraction=0.5, validation_fraction=0.1)
    places = np.array([int(path[3:]) for path in splits.test.paths if path.startswith("c0")])
    assert abs(places.mean() - 4999.5) < 4 * 2887 / np.sqrt(5000) / np.sqrt(2)
    assert abs(np.mean(np.diff(places) == 1) - 0.5) < 0.03


def test_describe_says_everything_that_a_run_records(tmp_path):
    splits = load(class_folders(tmp_path, {"cat": 12, "dog": 15}))
    said = splits.describe()
    assert said["class_names"] == ["cat", "dog"]
    assert said["image_shape"] == [8, 8, 3]
    assert said["source"]["data"] == str(tmp_path)
    assert said["splits"]["test"]["classes"] == {"cat": 1, "dog": 2}
    assert said["splits"]["train"]["images"] == 21
    assert len({said["splits"][name]["hash"] for name in ("train", "validation", "test")}) == 3
    assert said["source"] == splits.source.to_json()


def test_splits_are_known_by_name(digits):
    assert digits["validation"] is digits.validation
    assert [part.name for part in digits] == ["train", "validation", "test"]
    with pytest.raises(KeyError, match="'val' is not a split"):
        digits["val"]


def test_images_by_position(digits):
    np.testing.assert_array_equal(
        digits.test.images(np.array([3, 1])), digits.test.images(slice(None))[[3, 1]]
    )


def test_a_part_of_a_split_is_a_split_of_those_images(digits):
    part = digits.test.part(np.array([7, 2, 5]))
    assert len(part) == 3
    assert part.folders == (3,)
    assert part.paths == [digits.test.paths[position] for position in (7, 2, 5)]
    assert np.array_equal(part.labels, digits.test.labels[[7, 2, 5]])
    assert np.array_equal(part.images(slice(None)), digits.test.images(np.array([7, 2, 5])))


@pytest.mark.usefixtures("undrawn")
def test_exact_copies_across_splits_are_said_before_the_first_epoch(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pets(tmp_path / "data" / "train")
    class_folders(tmp_path / "data" / "test", {"cat": 4, "dog": 4}, seed=500)
    for i in range(3):
        # The same pixels in another file.
        Image.open(tmp_path / "data" / "train" / "cat" / f"{i}.png").save(
            tmp_path / "data" / "test" / "cat" / f"copy{i}.bmp"
        )
    splits = load(tmp_path / "data", validation_fraction=0.1)
    assert [splits.test.paths[i] for i in splits.copies("test", "train", "validation")] == [
        f"test/cat/copy{i}.bmp" for i in range(3)
    ]
    copied = [
        notice for notice in splits.notices if "test images (" in notice and "are also in the" in notice
    ]
    assert sum(int(notice.split()[0]) for notice in copied) == 3
    said = command("train", "digits", "--data", "data", *SMALL, "--name", "run")
    assert said.status == 0, said.err
    text = said.out + said.err
    assert copied[0] in text
    assert text.index(copied[0]) < text.index("epoch")
    verdict = [finding.sentence for finding in find(gather(load_run("run"))) if finding.section == "verdict"]
    assert [
        line for line in verdict if line.startswith("3 of 11 test images are also training or validation")
    ]


def test_white_borders_make_no_copies(tmp_path):
    for number, name in enumerate(("cat", "dog")):
        for i in range(10):
            pixels = np.full((40, 40, 3), 255, np.uint8)
            pixels[16:24, 2:6] = random_pixels(100 * number + i, 8, 4)
            save(tmp_path / name / f"{i}.png", pixels)
    splits = load(tmp_path, image_size=8)
    assert splits.notices == ()


def test_training_and_testing_on_the_same_folder_is_said(tmp_path):
    from tenfold.data import Source, read_splits

    pets(tmp_path)
    splits = read_splits(Data(), Source(train=(str(tmp_path),), test=(str(tmp_path),)))
    assert splits.notices[0].startswith("22 of 24 test images (91.7%) are also in the train split")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_class_that_a_split_lacks_is_said(tmp_path, split):
    pets(tmp_path / "train")
    class_folders(tmp_path / split, {"cat": 4}, seed=500)
    assert (
        f"the {split} split has no image of class 'dog': nothing can be said about it there"
        in load(tmp_path).notices
    )


def test_no_images_at_all(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.svg").write_text("<svg/>")
    refused(tmp_path, "it holds no images, only 1 file of other kinds (.svg)")


def test_all_classes_that_are_too_small_are_named_with_what_helps(tmp_path):
    class_folders(tmp_path, {"cat": 12, "cow": 2, "dog": 1})
    refused(tmp_path, "class 'cow' has 2 images", "Too small as well: 'dog'", "at least 3 a class")
    with pytest.raises(InputError) as error:
        load(tmp_path)
    assert "fraction" not in str(error.value), "no fraction helps"
