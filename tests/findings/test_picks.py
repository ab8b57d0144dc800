"""Which images are worth a look."""

import numpy as np

from tenfold.findings.picks import picks


def test_picks_are_the_surest_mistakes_and_the_least_certain():
    probabilities = np.array([[0.9, 0.1], [0.95, 0.05], [0.6, 0.4], [0.51, 0.49]])
    chosen = picks(np.array([1, 0, 1, 0]), probabilities, 2)
    assert chosen["mistakes"] == [0, 2]
    assert chosen["uncertain"] == [3, 2]
