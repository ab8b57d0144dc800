"""Random rows are those of numpy's own table, whichever of them are drawn, in whatever order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.core.randomness import Rows, seed_for


@given(st.integers(0, 2**63 - 1), st.integers(1, 13), st.integers(1, 3000), st.data())
def test_any_rows_are_those_of_numpys_table(seed, draws, count, data):
    table = np.random.default_rng(seed).random((count, draws), dtype=np.float32)
    rows = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=40)), np.int64)
    found = Rows(seed, draws)(rows)
    assert found.dtype == np.float32
    assert np.array_equal(found, table[rows])


@pytest.mark.parametrize("draws", [1, 2, 5])
def test_the_whole_table_and_rows_far_away(draws):
    seed = seed_for(3, "augment", 7, 0)
    rows = Rows(seed, draws)
    table = np.random.default_rng(seed).random((70_000, draws), dtype=np.float32)
    assert np.array_equal(rows(np.arange(70_000)), table)
    generator, far = np.random.PCG64(seed), 2 * 10**7
    generator.advance(far * draws // 2)
    expected = np.random.Generator(generator).random((3, draws), dtype=np.float32)
    assert np.array_equal(rows(far + np.arange(3)), expected)


def test_no_rows_and_no_draws():
    assert Rows(1, 3)(np.empty(0, np.int64)).shape == (0, 3)
    assert Rows(1, 0)(np.arange(4)).shape == (4, 0)
