"""The verbs in Python: what they refuse before any work, and what a source and a recipe become."""

import shutil

import pytest
from served import FIXTURES

import tenfold
from tenfold.core.errors import InputError
from tenfold.data import Source
from tenfold.recipe import Composition
from tenfold.workbench.verbs import choose_recipe, evaluate, load_splits, renew_report, train


def test_splits_are_those_of_the_options():
    splits = load_splits("digits", test_fraction=0.5, image_size=10)
    assert splits.image_shape == (1, 10, 10)
    assert len(splits.test) == pytest.approx(1797 / 2, abs=5)
    with pytest.raises(InputError, match=r"data\.image_sze: .* \(did you mean 'image_size'\?\)"):
        load_splits("digits", image_sze=10)


def test_splits_may_be_named_one_by_one(tmp_path):
    from small import draw_pictures

    for split, count in (("a", 4), ("b", 2)):
        draw_pictures(tmp_path / split, ("cat", "dog"), count)
    splits = load_splits(train=tmp_path / "a", test=[tmp_path / "b"])
    assert (len(splits.train) + len(splits.validation), len(splits.test)) == (8, 4)


def test_a_recipe_that_is_named_is_taken_without_a_look_at_the_source():
    found = choose_recipe(Composition("digits", ["fit.epochs=3"]), Source("/gone"))
    assert (found.name, found.recipe.fit.epochs, found.learned) == ("digits", 3, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"track": "tensorbord"}, "tensorbord"),
        ({"device": "gpu"}, "--device gpu"),
        ({"minutes": 1.0, "folds": 3}, "--folds 3"),
        ({"data": "/gone"}, "/gone: there is no such folder"),
        ({"overrides": ["fit.epochs=x"]}, r"fit\.epochs"),
    ],
)
def test_what_cannot_be_trained_leaves_nothing(options, words, tmp_path):
    with pytest.raises(InputError, match=words):
        train("digits", out=tmp_path / "runs", progress=False, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(FIXTURES / "digits-0.1", tmp_path / "old")


def test_a_runs_own_images_are_read_as_its_recipe_says(run):
    with pytest.raises(InputError, match=r"data\.nested: a run's own images are read as its recipe says"):
        evaluate(run, overrides=["data.nested=true"], progress=False)


def test_pictures_without_labels_are_for_predict(run, tmp_path):
    (tmp_path / "new photos").mkdir()
    (tmp_path / "new photos" / "a.png").write_bytes(
        (FIXTURES.parents[1] / "docs/pictures/seven.png").read_bytes()
    )
    with pytest.raises(
        InputError, match=r"To ask what is on pictures .*`tenfold predict \S+old '\S+new photos'`"
    ):
        evaluate(run, data=tmp_path / "new photos", progress=False)
    assert not (run / "evaluations").exists()


def test_a_report_without_metrics_says_what_makes_them(run):
    (run / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"metrics\.json: there is no such file\. `tenfold evaluate"):
        renew_report(run)


def test_the_public_face_has_the_verbs():
    assert (tenfold.train, tenfold.evaluate, tenfold.load_splits) == (train, evaluate, load_splits)
