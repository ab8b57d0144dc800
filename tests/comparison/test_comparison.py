import json

import numpy as np
import pytest
from constructed import answered_run, digits_run, rights
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tenfold.comparison import compare, describe_rows
from tenfold.comparison.statistics import compare_correct, error_distribution_p, mcnemar_mid_p, mean_interval
from tenfold.core.errors import InputError
from tenfold.runs.predictions import Predictions

# Statistics ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(0, 60))
def test_mid_p_lies_below_the_exact_p_and_is_symmetric(b, c):
    value = mcnemar_mid_p(b, c)
    assert value == pytest.approx(mcnemar_mid_p(c, b))
    assert 0 <= value <= 1
    if b != c:
        assert value <= binomtest(min(b, c), b + c).pvalue


def test_mid_p_of_a_published_example():
    # Fagerland et al. 2013, table 4: one and seven discordant pairs give a mid-p value of 0.0391.
    assert mcnemar_mid_p(1, 7) == pytest.approx(0.0391, abs=5e-5)


def test_the_paired_interval_is_narrower_than_the_unpaired():
    both = rights(2000, 0.7, 0)
    better = both | rights(2000, 0.1, 1)
    found = compare_correct(both[None], better[None])
    low, high = found.ci95
    assert low <= found.difference <= high
    assert high - low < 0.03 < 2 * 1.96 * np.sqrt(2 * 0.7 * 0.3 / 2000)
    assert (found.only_a, found.only_b) == (0, int((better & ~both).sum()))
    assert found.p_value < 1e-10


def test_the_interval_covers_as_often_as_it_says():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        shared = random.random(300) < 0.6
        a, b = shared & (random.random(300) < 0.9), shared | (random.random(300) < 0.2)
        low, high = compare_correct(a[None], b[None]).ci95
        covered += low <= (0.6 + 0.4 * 0.2) - 0.6 * 0.9 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_seeds_widen_the_interval():
    one = rights(1000, 0.7, 0)
    seeds = np.stack([rights(1000, share, k) for k, share in enumerate((0.5, 0.7, 0.9))])
    narrow, wide = mean_interval(one[None]), mean_interval(seeds)
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


def answers(random, labels, shared, own, kinds):
    """Answers of two models: they fail together on `shared` of the images, and each alone on its share of `own`."""
    fails = random.random((2, len(labels))) < np.array(own)[:, None]
    fails |= random.random(len(labels)) < shared
    together = np.array([random.choice(len(kind), p=kind) for kind in np.array(kinds[0])[labels]])
    predicted = []
    for failed, kind in zip(fails, kinds, strict=True):
        alone = np.array([random.choice(len(row), p=row) for row in np.array(kind)[labels]])
        same = fails.all(axis=0) if kind is kinds[0] or kinds[0] == kinds[1] else np.zeros(len(labels), bool)
        predicted.append(np.where(failed, np.where(same, together, alone), labels))
    return predicted


ONE_KIND = [[0, 0.5, 0.3, 0.2], [0.6, 0, 0.2, 0.2], [0.1, 0.1, 0, 0.8], [0.3, 0.3, 0.4, 0]]
OTHER_KIND = [[0, 0.3, 0.5, 0.2], [0.2, 0, 0.6, 0.2], [0.5, 0.4, 0, 0.1], [0.3, 0.3, 0.4, 0]]


def test_equal_kinds_of_mistakes_are_called_different_as_seldom_as_promised():
    random = np.random.default_rng(0)
    labels = np.arange(2000) % 4
    called = [
        error_distribution_p(labels, *answers(random, labels, 0.15, (0.1, 0.02), (ONE_KIND, ONE_KIND))) < 0.05
        for _ in range(60)
    ]
    assert np.mean(called) <= 0.12


def test_other_kinds_of_mistakes_are_found_although_many_are_shared():
    random = np.random.default_rng(0)
    labels = np.arange(4000) % 4
    shared = answers(random, labels, 0.2, (0.0, 0.0), (ONE_KIND, ONE_KIND))[0]
    also = answers(random, labels, 0.0, (0.1, 0.1), (OTHER_KIND, OTHER_KIND))[0]
    both = np.where(also != labels, also, shared)
    assert error_distribution_p(labels, shared, both) < 0.01
    assert error_distribution_p(labels, labels, both) == 1.0
    assert error_distribution_p(labels, both, both) == 1.0


# Runs ----------------------------------------------------------------------------------------------------------


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


def test_seeds_of_one_recipe_make_a_page_without_pairs(tmp_path):
    for seed in (0, 1):
        answered_run(tmp_path / f"plain-{seed}", rights(60, 0.7, seed), seed=seed)
    found = compare([tmp_path / "plain-0", tmp_path / "plain-1"], tmp_path / "out")
    assert found.sentences == []
    assert "All runs repeat one recipe" in found.page.read_text()


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


def test_one_run_is_not_a_comparison(tmp_path):
    answered_run(tmp_path / "a", rights(30, 0.7, 0))
    with pytest.raises(InputError, match="two different runs"):
        compare([tmp_path / "a", tmp_path / "a"], tmp_path / "out")


def test_the_images_of_real_runs_are_in_the_page(tmp_path):
    digits_run(tmp_path / "weak", strength=0.003)
    strong = digits_run(tmp_path / "strong", strength=3, seed=1)
    text = (strong.path / "recipe.toml").read_text()
    (strong.path / "recipe.toml").write_text(text.replace("epochs = 20", "epochs = 21"))
    page = compare([tmp_path / "weak", tmp_path / "strong"], tmp_path / "out").page.read_text()
    assert "image/webp" in page
    assert "strong right, weak wrong" in page


def test_a_trial_is_named_with_its_sweep(tmp_path):
    for number, sweep in enumerate(("one", "two"), 1):
        answered_run(tmp_path / sweep / "trial-000", rights(60, 0.7, number), lr=0.01 * number)
        (tmp_path / sweep / "sweep.jsonl").touch()
    found = compare([tmp_path / "one" / "trial-000", tmp_path / "two" / "trial-000"], tmp_path / "out")
    assert sorted(row["name"] for row in found.rows) == ["one/trial-000", "two/trial-000"]


def test_several_seeds_widen_less_the_more_images_agree():
    same = np.tile(rights(1000, 0.9, 0), (3, 1))
    apart = np.stack([rights(1000, share, k) for k, share in enumerate((0.88, 0.9, 0.92))])
    near, far = (mean_interval(correct) for correct in (same, apart))
    assert far[1] - far[0] > near[1] - near[0]
    assert near == pytest.approx(mean_interval(same[:1]))


def test_three_seeds_that_agree_on_one_image_prove_nothing():
    a, b = np.zeros((3, 1), bool), np.ones((3, 1), bool)
    assert compare_correct(a, b).p_value > 0.05
