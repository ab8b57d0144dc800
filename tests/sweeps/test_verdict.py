"""What a sweep's verdict says of noise, edges, failures."""

import numpy as np
import pytest
from ledgers import begun, ended, plan, scored
from scipy import stats

from tenfold.sweeps.ledger import Ledger
from tenfold.sweeps.verdict import judge, noise_of


def sentences(ledger: Ledger) -> str:
    return "\n".join(finding.sentence for finding in judge(ledger, {}))


def test_the_margin_is_tukeys():
    scores = [[0.70, 0.71, 0.69], [0.72, 0.73, 0.74], [0.60, 0.61, 0.62]]
    noise = noise_of(scores)
    assert noise is not None
    differences = np.abs(np.subtract.outer(np.mean(scores, axis=1), np.mean(scores, axis=1)))
    assert ((differences > noise.margin) == (stats.tukey_hsd(*scores).pvalue < 0.05)).all()
    assert noise.deviation == pytest.approx(0.01)
    assert noise_of([[0.5], [0.6]]) is None


def test_noise_alone_seldom_names_a_difference():
    scores = np.random.default_rng(0).normal(0.7, 0.01, (200, 5, 3))
    noises = [noise_of(each.tolist()) for each in scores]
    wrong = sum(
        noise is not None and np.ptp(each.mean(axis=1)) > noise.margin
        for each, noise in zip(scores, noises, strict=True)
    )
    assert wrong <= 20  # 5% are expected; 20 of 200 would be beyond 0.999 of the binomial's mass.


def test_differences_within_the_noise_mean_that_there_is_no_ideal_size():
    text = sentences(scored([[0.70, 0.72, 0.69], [0.71, 0.70, 0.72], [0.69, 0.72, 0.71]]))
    assert (
        "There is no ideal value of model.dense among those tried: none of the 3 candidates differs" in text
    )
    assert "model.dense=4 cannot be told from it and is smaller: 100 parameters instead of 200" in text


def test_differences_beyond_the_noise_are_named_and_so_is_the_edge():
    text = sentences(scored([[0.60, 0.61, 0.60], [0.70, 0.71, 0.70], [0.80, 0.81, 0.80]]))
    assert (
        "model.dense=16 wins with a validation accuracy of 80.3% (standard deviation 0.6 points over 3"
        in text
    )
    assert "better than model.dense=8 and model.dense=4 by more than the noise between seeds explains" in text
    assert "16 is the largest value of model.dense tried, so that a larger one may be better still" in text
    assert "is smaller" not in text
    text = sentences(scored([[0.80, 0.81, 0.80], [0.70, 0.71, 0.70], [0.60, 0.61, 0.60]]))
    assert "4 is the smallest value of model.dense tried, so that a smaller one" in text


def test_one_seed_tells_nothing_about_noise():
    assert "With one seed each, the differences (at most 10.0 points) cannot be told" in sentences(
        scored([[0.6], [0.7]])
    )


def test_failures_and_those_left_behind_are_told():
    ledger = Ledger(begun(plan(prune=True)))
    for number in range(4):
        ledger.apply(ended(number, 0.1 * number, state="paused"))
    ledger.apply(
        {"event": "ended", "trial": 4, "rung": 0, "state": "failed", "outcome": {"error": "no room"}}
    )
    ledger.apply(ledger.next_cut() or {})
    text = sentences(ledger)
    assert "No winner is named yet: 0 candidates are trained to the end." in text
    assert (
        "3 of 5 candidates were left behind by successive halving, which compared them after epoch 1 and 4"
        in text
    )
    assert "1 of 5 trials failed" in text
    assert "trial-0004 (model.dense=64): no room" in text
