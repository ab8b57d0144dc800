"""Feeds: which images an epoch takes together, and what a batch holds."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tenfold.core.world import World
from tenfold.data.feeds import MappedFeed, ResidentFeed, epoch_order, feed, hardest
from tenfold.data.split import Split

CPU = torch.device("cpu")
FOLDERS = st.lists(st.integers(1, 40), min_size=1, max_size=5).map(tuple)


def split_of(folders: tuple[int, ...]) -> Split:
    """A split of images of one pixel, whose rows lie backwards in the pixels."""
    count = sum(folders)
    pixels = (np.arange(count) % 251).astype(np.uint8).reshape(count, 1, 1, 1)
    return Split(
        name="train",
        pixels=pixels,
        rows=np.arange(count)[::-1].copy(),
        labels=np.arange(count) % 3,
        paths=[str(i) for i in range(count)],
        folders=folders,
        fingerprint="",
    )


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


def test_a_batch_holds_the_images_and_labels_at_its_positions(digits):
    batches = feed(digits.train, CPU)
    positions = np.array([5, 0, 700, 5])
    images, labels = batches.take(positions)
    expected = digits.train.images(positions)
    assert images.dtype == torch.uint8
    assert images.shape == (4, 1, 8, 8)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), expected)
    assert labels.tolist() == digits.train.labels[positions].tolist()


def test_rows_are_followed_into_the_pixels():
    split = split_of((300,))
    images, labels = feed(split, CPU).take(np.array([0, 299]))
    assert images.flatten().tolist() == [299 % 251, 0]
    assert labels.tolist() == [0, 299 % 3]


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


def test_mapped_and_resident_feeds_give_the_same(digits):
    order = epoch_order(digits.train, 64, "split", 0, 1)
    kinds = [kind(digits.train, CPU, World(1, 2)) for kind in (MappedFeed, ResidentFeed)]
    for mapped, resident in zip(*(kind.batches(order) for kind in kinds), strict=True):
        assert torch.equal(mapped.images, resident.images)
        assert torch.equal(mapped.labels, resident.labels)
        assert mapped.images.is_contiguous(memory_format=torch.channels_last)
