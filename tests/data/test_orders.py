"""Which images an epoch takes together, and in which order."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import split_of

from tenfold.data.orders import epoch_order, hardest

CPU = torch.device("cpu")
FOLDERS = st.lists(st.integers(1, 40), min_size=1, max_size=5).map(tuple)


@given(
    FOLDERS, st.integers(1, 50), st.sampled_from(["split", "folder"]), st.integers(0, 9), st.integers(1, 9)
)
def test_an_epoch_takes_every_image_once(folders, batch_size, batches, seed, epoch):
    order = epoch_order(split_of(folders), batch_size, batches, seed, epoch)
    assert sorted(np.concatenate(order).tolist()) == list(range(sum(folders)))
    assert max(len(positions) for positions in order) <= batch_size


@given(FOLDERS, st.integers(1, 50))
def test_whole_split_batches_are_full_but_the_last(folders, batch_size):
    order = epoch_order(split_of(folders), batch_size, "split", 0, 1)
    assert all(len(positions) == batch_size for positions in order[:-1])


@given(FOLDERS, st.integers(1, 50))
def test_folder_batches_never_mix_folders_and_leave_one_short_batch_a_folder(folders, batch_size):
    order = epoch_order(split_of(folders), batch_size, "folder", 0, 1)
    ends = np.cumsum(folders)
    owners = [set(np.searchsorted(ends, positions, side="right").tolist()) for positions in order]
    assert all(len(owner) == 1 for owner in owners)
    assert len(order) == sum(-(-count // batch_size) for count in folders)


@given(FOLDERS, st.integers(1, 50), st.sampled_from(["split", "folder"]), st.data())
def test_an_epoch_of_some_images_takes_those_once_in_the_order_of_all(folders, batch_size, batches, data):
    count = sum(folders)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    split = split_of(folders)
    order = epoch_order(split, batch_size, batches, 0, 1, kept)
    taken = np.concatenate([np.empty(0, int), *order])
    assert sorted(taken.tolist()) == np.flatnonzero(kept).tolist()
    assert all(0 < len(positions) <= batch_size for positions in order)
    if batches == "split":
        every = np.concatenate(epoch_order(split, batch_size, batches, 0, 1))
        assert taken.tolist() == every[kept[every]].tolist()


@given(st.lists(st.floats(0, 9) | st.just(np.inf), min_size=1, max_size=60), st.floats(0.01, 1))
def test_the_hardest_images_are_those_of_largest_loss(losses, share):
    losses = np.array(losses)
    kept = hardest(losses, share, 0, 2)
    assert kept.sum() == max(1, round(share * len(losses)))
    assert kept.all() or losses[kept].min() >= losses[~kept].max()


def test_images_that_were_never_seen_come_first_and_by_chance():
    losses = np.array([9.0] * 50 + [np.inf] * 50)
    kept, other = (hardest(losses, 0.2, 0, epoch) for epoch in (1, 2))
    assert kept[50:].sum() == other[50:].sum() == 20
    assert (kept != other).any()
    assert kept[50:75].any(), "of a tie not only the first or last are taken"
    assert kept[75:].any(), "of a tie not only the first or last are taken"


def test_four_folders_of_ten_thousand_make_the_notebooks_628_steps():
    split = split_of((10_000,) * 4)
    order = epoch_order(split, 64, "folder", 0, 1)
    assert len(order) == 628
    assert sorted({len(positions) for positions in order}) == [16, 64]
    assert len(epoch_order(split, 64, "split", 0, 1)) == 625
    first_folders = [int(positions[0]) // 10_000 for positions in order[:40]]
    assert set(first_folders) == {0, 1, 2, 3}, "the batches of the folders must be shuffled together"


def test_the_order_depends_on_seed_and_epoch_alone():
    split = split_of((30, 20))

    def order(seed: int, epoch: int, batches: str = "folder") -> list[list[int]]:
        return [positions.tolist() for positions in epoch_order(split, 8, batches, seed, epoch)]

    first = order(1, 1)
    np.random.default_rng(0).random(3)
    np.random.seed(7)
    torch.manual_seed(7)
    assert order(1, 1) == first
    for other in (order(1, 2), order(2, 1), order(1, 1, "split")):
        assert other != first
