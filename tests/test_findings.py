"""All rules together: each sentence has its numbers, and none is said of nothing."""

import numpy as np
from constructed import digits_run
from evidence import NAMES, history
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.findings import Evidence, find, gather
from tenfold.runs.metrics import measure
from tenfold.runs.predictions import Predictions


def test_every_finding_of_a_real_run_has_evidence(tmp_path):
    found = find(gather(digits_run(tmp_path / "run")))
    assert {"accuracy", "best_and_restored", "balance", "calibration", "another_seed"} <= {
        f.rule for f in found
    }
    for finding in found:
        assert finding.numbers, finding.rule
        assert finding.sentence.endswith("."), finding.sentence
        assert "nan" not in finding.sentence


def test_missing_evidence_finds_nothing():
    assert find(Evidence()) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 60))
def test_the_rules_hold_for_any_predictions(seed, classes, n):
    random = np.random.default_rng(seed)
    names = NAMES[:classes]
    probabilities = random.dirichlet(np.ones(classes), n).astype(np.float32)
    labels = random.integers(0, classes, n)
    answers = Predictions([str(k) for k in range(n)], labels, probabilities, names)
    test = measure(labels, probabilities, names)
    evidence = Evidence(
        history=history([1.0, 0.9]),
        test=test,
        validation=test,
        predictions=answers,
        validation_predictions=answers,
    )
    for finding in find(evidence):
        assert "nan" not in finding.sentence
        assert all(0 <= image < n for image in finding.images)
