"""Batches of a split: in order, and shared by the ranks of a world."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import split_of

from tenfold.core.world import World
from tenfold.data.feeds import feed
from tenfold.data.orders import epoch_order

CPU = torch.device("cpu")
FOLDERS = st.lists(st.integers(1, 40), min_size=1, max_size=5).map(tuple)


def test_in_order_covers_the_split_first_to_last(digits):
    batches = feed(digits.test, CPU)
    parts = batches.in_order(100)
    assert np.concatenate(parts).tolist() == list(range(len(digits.test)))
    assert [len(part) for part in parts[:-1]] == [100] * (len(parts) - 1)


@given(FOLDERS, st.integers(1, 50), st.integers(1, 6), st.sampled_from(["split", "folder"]), st.booleans())
def test_the_ranks_of_a_world_share_each_batch_of_one_order(folders, batch_size, size, batches, whole):
    split = split_of(folders)
    order = epoch_order(split, batch_size, batches, 0, 1)
    ranks = [list(feed(split, CPU, World(rank, size)).batches(order, whole)) for rank in range(size)]
    assert {len(taken) for taken in ranks} == {len(order)}, "every rank takes as many steps"
    for number, positions in enumerate(order):
        parts = [taken[number] for taken in ranks]
        mine = [part.places[part.mine] for part in parts]
        if len(positions) < size:
            assert all(np.array_equal(places, positions) for places in mine), "all of a small batch"
        else:
            assert np.array_equal(np.concatenate(mine), positions)
            assert max(map(len, mine)) - min(map(len, mine)) <= 1
        assert sum(part.weight * len(places) for part, places in zip(parts, mine, strict=True)) == (
            pytest.approx(len(positions))
        )
        assert sum(part.share for part in parts) == pytest.approx(1)
        for part in parts:
            assert part.size == len(positions)
            assert not whole or np.array_equal(part.places, positions)
            assert np.array_equal(part.positions.numpy(), part.places)
            assert np.array_equal(part.labels.numpy(), split.labels[part.places])
            assert np.array_equal(part.images.permute(0, 2, 3, 1).numpy(), split.images(part.places))
