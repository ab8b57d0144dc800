"""The numbers that a run's figures are drawn from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logged import NOTEBOOK_01

from tenfold.findings import Evidence
from tenfold.report.draw import CURVE_POINTS, draw_figures, merged, thinned
from tenfold.runs.folder import Run
from tenfold.runs.metrics import exact_interval, measure, reliability
from tenfold.runs.predictions import Predictions


def test_bins_of_few_images_are_joined_and_have_intervals():
    confidence = np.concatenate([np.full(3, 0.55), np.full(40, 0.7), np.full(4, 0.99)])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.zeros(47, int)
    labels[:10] = 1
    table = merged(reliability(labels, probabilities))
    assert table["count"].tolist() == [47]
    assert table["accuracy"] == pytest.approx([37 / 47])
    assert [table["low"][0], table["high"][0]] == pytest.approx([*map(float, exact_interval(37, 47))])


@pytest.mark.parametrize("mistakes", [9, 10])
def test_the_reliability_is_drawn_scaled_only_where_a_temperature_could_be_fitted(mistakes, tmp_path):
    names, truth = ("a", "b"), np.arange(200) % 2
    probabilities = np.where(truth[:, None] == [0, 1], 0.9, 0.1)
    labels = np.where(np.arange(200) < mistakes, 1 - truth, truth)
    answers = Predictions([str(k) for k in range(200)], labels, probabilities, names)
    evidence = Evidence(
        history=NOTEBOOK_01,
        test=measure(labels, probabilities, names),
        counts={"test": {"a": 100, "b": 100}},
        class_names=names,
        predictions=answers,
        validation_predictions=answers,
    )
    draw_figures(Run(tmp_path), evidence)
    drawn = (tmp_path / "figures" / "reliability.svg").read_text(encoding="utf-8")
    assert "as trained: error 0.05" in drawn
    assert ("scaled on validation: error 0.000" in drawn) == (mistakes == 10)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 3000), st.integers(0, 1000))
def test_thinned_curves_keep_their_ends_and_their_course(n, seed):
    random = np.random.default_rng(seed)
    x, y = np.sort(random.random(n)), np.sort(random.random(n))
    thin_x, thin_y = thinned(x, y)
    assert len(thin_x) <= max(CURVE_POINTS, 2)
    assert (thin_x[0], thin_y[0]) == (x[0], y[0])
    assert (thin_x[-1], thin_y[-1]) == (x[-1], y[-1])
    assert np.abs(np.interp(x, thin_x, thin_y) - y).max() < 2.5 / min(n, CURVE_POINTS) + np.diff(y).max(
        initial=0
    )
