"""Feeds: what a batch holds, mapped or resident."""

import numpy as np
import torch
from hypothesis import strategies as st
from tiny import split_of

from tenfold.core.world import World
from tenfold.data.feeds import MappedFeed, ResidentFeed, feed
from tenfold.data.orders import epoch_order

CPU = torch.device("cpu")
FOLDERS = st.lists(st.integers(1, 40), min_size=1, max_size=5).map(tuple)


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


def test_mapped_and_resident_feeds_give_the_same(digits):
    order = epoch_order(digits.train, 64, "split", 0, 1)
    kinds = [kind(digits.train, CPU, World(1, 2)) for kind in (MappedFeed, ResidentFeed)]
    for mapped, resident in zip(*(kind.batches(order) for kind in kinds), strict=True):
        assert torch.equal(mapped.images, resident.images)
        assert torch.equal(mapped.labels, resident.labels)
        assert mapped.images.is_contiguous(memory_format=torch.channels_last)
