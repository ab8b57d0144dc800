import numpy as np
import pytest
from scipy.stats import fisher_exact

from tenfold.runs.significance import holm, more_than_p, rising_p, same_share_p, two_shares_p


def test_holm_is_between_no_correction_and_bonferroni():
    p_values = np.array([0.01, 0.04, 0.03, 0.5])
    assert holm(p_values) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    more = np.concatenate([p_values, np.ones(20)])
    assert holm(p_values, len(more)) == pytest.approx(holm(more)[: len(p_values)])


def test_a_group_is_held_against_all_the_others():
    right, trials = np.array([3, 9, 18]), np.array([10, 10, 20])
    table = [[3, 7], [27, 3]]
    smaller = min(fisher_exact(table, alternative=side).pvalue for side in ("less", "greater"))
    assert same_share_p(right, trials)[0] == pytest.approx(2 * smaller)


def test_one_right_image_among_ten_wrong_ones_is_no_news():
    assert same_share_p(np.eye(10, dtype=int)[0], np.ones(10, int))[0] == pytest.approx(0.2)


def test_two_shares_need_images_on_both_sides():
    assert two_shares_p((5, 0), (5, 0)) == 1.0
    assert two_shares_p((0.5 * 40, 40), (40, 40)) < 0.001


def test_more_than_each_trial_counts_for():
    assert more_than_p(np.array([3, 0]), np.array([3, 0]), 0.5) == pytest.approx([0.125, 1.0])


def test_a_rise_is_an_order():
    assert rising_p(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(1 / 24)
    assert rising_p(np.array([4.0, 3.0, 2.0])) == 1.0
    assert rising_p(np.array([1.0, 1.0])) == 1.0
