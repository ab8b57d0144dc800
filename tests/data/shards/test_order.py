"""Which images an epoch takes from which shards, and when."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.core.world import World
from tenfold.data.shards.order import LANES, shard_order

SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=30)


@given(SIZES, st.integers(1, 40), st.integers(1, 300), st.integers(0, 5), st.integers(1, 5))
def test_an_epoch_takes_every_image_once_in_full_batches(sizes, batch_size, buffer, seed, epoch):
    bounds = np.cumsum([0, *sizes])
    order = shard_order(bounds, batch_size, buffer, seed, epoch)
    assert sorted(np.concatenate(order).tolist()) == list(range(bounds[-1]))
    assert all(len(batch) == batch_size for batch in order[:-1])
    again = shard_order(bounds, batch_size, buffer, seed, epoch)
    assert all(np.array_equal(one, other) for one, other in zip(order, again, strict=True))


@given(SIZES, st.data())
def test_an_epoch_of_some_images_takes_those_once(sizes, data):
    bounds = np.cumsum([0, *sizes])
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=int(bounds[-1]), max_size=int(bounds[-1]))))
    order = shard_order(bounds, 7, 40, 0, 1, kept)
    assert sorted(np.concatenate([np.empty(0, int), *order]).tolist()) == np.flatnonzero(kept).tolist()


@pytest.mark.slow
def test_few_shards_are_read_at_a_time_and_each_for_a_short_while():
    bounds = np.arange(0, 40_001, 100)
    order = shard_order(bounds, 64, 1600, 3, 1)
    spans = np.zeros((400, 2), int)
    for shard in range(400):
        batches = [at for at, batch in enumerate(order) if np.any(batch // 100 == shard)]
        spans[shard] = batches[0], batches[-1]
    alive = [np.sum((spans[:, 0] <= at) & (spans[:, 1] >= at)) for at in range(len(order))]
    # A lane's part of the buffer is two shards; a batch may take from the end of one window and the next.
    assert max(alive) <= LANES * 2 * 2
    assert np.mean(alive) < LANES * 2 * 1.3
    # Epochs differ, and a batch has images of all lanes.
    other = shard_order(bounds, 64, 1600, 3, 2)
    assert not np.array_equal(order[0], other[0])
    assert all(len(np.unique(batch // 100)) >= LANES for batch in order)


def test_a_rank_reads_the_shards_of_some_lanes_only():
    bounds = np.arange(0, 16_001, 100)
    order = shard_order(bounds, 64, 800, 0, 1)
    from tenfold.data.batches import share

    for size, most in ((2, 0.6), (4, 0.36), (8, 0.27)):
        for rank in range(size):
            mine = [batch[share(len(batch), World(rank, size))[0]] for batch in order]
            assert len(np.unique(np.concatenate(mine) // 100)) <= most * 160, (rank, size)
