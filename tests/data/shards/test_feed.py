"""The feed of streamed images: the batches of its order, and what it refuses."""

import numpy as np
import pytest
import torch

from tenfold.core.errors import InputError
from tenfold.core.world import World
from tenfold.data import Source, read_splits
from tenfold.data.feeds import feed
from tenfold.data.shards.feed import StreamedFeed
from tenfold.recipe import Data, Fit

CPU = torch.device("cpu")
STREAMED = Data(streaming=True, shuffle_buffer=64)


@pytest.mark.parametrize("rank", [World(), World(0, 2), World(1, 3)])
def test_a_streamed_feed_gives_the_batches_of_its_order(digits_shards, rank):
    splits = read_splits(STREAMED, Source(str(digits_shards)))
    source = feed(splits.train, CPU, rank)
    assert isinstance(source, StreamedFeed)
    order = source.order(Fit(batch_size=64, seed=2), 1)
    pixels, labels = splits.train.images(slice(None)), splits.train.labels
    batches = list(source.batches(order))
    assert len(batches) == len(order)
    for batch in batches:
        np.testing.assert_array_equal(batch.images.permute(0, 2, 3, 1).numpy(), pixels[batch.places])
        np.testing.assert_array_equal(batch.labels.numpy(), labels[batch.places])
    # What is left of an epoch is what was left of it.
    for whole, left in zip(batches[11:], source.batches(order[11:]), strict=True):
        assert torch.equal(whole.images, left.images)


def test_what_cannot_be_streamed_is_refused(digits_shards):
    source = feed(read_splits(STREAMED, Source(str(digits_shards))).train, CPU)
    for fit, words in ((Fit(sampler="balanced"), "class_weights"), (Fit(batches="folder"), "fit.batches")):
        with pytest.raises(InputError, match=words):
            source.check(fit)
    source.check(Fit(hardest=(1.0, 0.5)))
