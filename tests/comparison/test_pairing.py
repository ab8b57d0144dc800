"""Runs on the same test images: pooled by recipe, paired image by image, or refused with the difference."""

import json

import pytest
from constructed import answered_run, rights

from tenfold.comparison import compare, describe_rows
from tenfold.core.errors import InputError
from tenfold.runs.predictions import Predictions


def test_a_clear_difference_is_said_and_ranked(tmp_path):
    plain = rights(3000, 0.7, 0)
    answered_run(tmp_path / "plain", plain)
    answered_run(tmp_path / "better", plain | rights(3000, 0.4, 1), lr=0.02)
    found = compare([tmp_path / "plain", tmp_path / "better"], tmp_path / "out")
    assert [row["name"] for row in found.rows] == ["better", "plain"]
    assert "better is more accurate than plain by" in found.sentences[0]
    assert "Same error distribution, higher accuracy" in found.sentences[0]
    assert found.page.is_file()
    saved = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert saved["pairs"][0]["p_holm"] < 0.001
    assert describe_rows(found.rows)[0][0] == "better"


def test_other_kinds_of_mistakes_are_said(tmp_path):
    plain = rights(3000, 0.6, 0)
    answered_run(tmp_path / "plain", plain)
    answered_run(tmp_path / "better", rights(3000, 0.8, 1), lr=0.02, wrong=2)
    found = compare([tmp_path / "plain", tmp_path / "better"], tmp_path / "out")
    assert "Their mistakes are of different kinds" in found.sentences[0]


def test_a_difference_within_the_noise_is_not_called_one(tmp_path):
    answered_run(tmp_path / "a", rights(300, 0.7, 1))
    answered_run(tmp_path / "b", rights(300, 0.7, 2), lr=0.02)
    found = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert "which may be chance" in found.sentences[0]
    assert "error distribution" not in found.sentences[0]


def test_runs_that_differ_only_in_their_seed_are_pooled(tmp_path):
    for seed in (0, 1, 2):
        answered_run(tmp_path / f"plain-{seed}", rights(600, 0.7, seed), seed=seed)
    answered_run(tmp_path / "other", rights(600, 0.71, 9), lr=0.02)
    found = compare(
        [tmp_path / name for name in ("plain-0", "plain-1", "plain-2", "other")], tmp_path / "out"
    )
    row = next(row for row in found.rows if row["name"] == "plain (3 seeds)")
    assert row["runs"] == ["plain-0", "plain-1", "plain-2"]
    assert row["seeds_deviation"] > 0
    assert found.pairs[0].accuracy.test == "t over images and seeds"


@pytest.mark.parametrize(("seed", "why"), [(0, "one is a copy of the other"), (1, "whatever the seed")])
def test_a_copy_of_a_run_is_no_second_seed(tmp_path, seed, why):
    answered_run(tmp_path / "plain", rights(60, 0.7, 3))
    answered_run(tmp_path / "again", rights(60, 0.7, 3), seed=seed)
    with pytest.raises(InputError, match=why) as error:
        compare([tmp_path / "plain", tmp_path / "again"], tmp_path / "out")
    assert str(tmp_path / "plain") in str(error.value)
    assert "leave one out" in str(error.value)


def test_images_are_matched_by_their_paths_not_their_order(tmp_path):
    correct = rights(300, 0.7, 0)
    answered_run(tmp_path / "a", correct)
    run = answered_run(tmp_path / "b", correct, lr=0.02)
    answers = run.predictions("test")
    turned = Predictions(
        answers.paths[::-1], answers.labels[::-1], answers.probabilities[::-1], answers.class_names
    )
    turned.write(run.path / "predictions" / "test.parquet")
    pair = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "out").pairs[0]
    assert (pair.accuracy.only_a, pair.accuracy.only_b) == (0, 0)


def test_different_test_images_are_refused_with_the_difference(tmp_path):
    answered_run(tmp_path / "a", rights(30, 0.7, 0))
    answered_run(tmp_path / "b", rights(60, 0.7, 0), hash="other")
    with pytest.raises(InputError, match="tested on different images: 30 against 60"):
        compare([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_different_classes_are_refused_with_the_difference(tmp_path):
    answered_run(tmp_path / "a", rights(30, 0.7, 0))
    answered_run(tmp_path / "b", rights(30, 0.7, 0), names=("cat", "dog", "fox"))
    with pytest.raises(InputError, match="only a has owl; only b has fox"):
        compare([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_a_trial_is_named_with_its_sweep(tmp_path):
    for number, sweep in enumerate(("one", "two"), 1):
        answered_run(tmp_path / sweep / "trial-000", rights(60, 0.7, number), lr=0.01 * number)
        (tmp_path / sweep / "sweep.jsonl").touch()
    found = compare([tmp_path / "one" / "trial-000", tmp_path / "two" / "trial-000"], tmp_path / "out")
    assert sorted(row["name"] for row in found.rows) == ["one/trial-000", "two/trial-000"]
