"""Pixels that are decoded when they are wanted: those of a pack, or an error that names the shard."""

import shutil

import numpy as np
import pytest
import torch

from tenfold.core.errors import TenfoldError
from tenfold.data import Source, read_splits
from tenfold.data.feeds import feed
from tenfold.recipe import Data, Fit

CPU = torch.device("cpu")
STREAMED = Data(streaming=True, shuffle_buffer=64)


def test_streamed_images_are_the_packed_ones(digits_shards):
    packed = read_splits(Data(streaming=False), Source(str(digits_shards)))
    streamed = read_splits(STREAMED, Source(str(digits_shards)))
    assert streamed.fingerprint == packed.fingerprint
    assert streamed.reading.target == packed.reading.target
    assert streamed.notices == packed.notices
    for one, other in zip(packed, streamed, strict=True):
        np.testing.assert_array_equal(one.images(slice(None)), other.images(slice(None)))
        np.testing.assert_array_equal(one.images(np.array([5, 2])), other.images(np.array([5, 2])))
        assert one.paths == other.paths


def test_a_changed_or_missing_shard_is_named_while_training(digits_shards, tmp_path):
    out = tmp_path / "shards"
    shutil.copytree(digits_shards, out)
    splits = read_splits(STREAMED, Source(str(out)))
    shard = out / splits.train.pixels.index.shards[4].name
    contents = bytearray(shard.read_bytes())
    offset = int(splits.train.pixels.index.column("offset")[220])
    contents[offset + 60] ^= 1
    shard.write_bytes(contents)
    with pytest.raises(TenfoldError, match=rf"{shard.name}: the bytes of digits.*"):
        splits.train.pixels[np.arange(200, 250)]
    shard.unlink()
    source = feed(splits.train, CPU)
    with pytest.raises(TenfoldError, match=f"{shard.name}: the shard cannot be read"):
        list(source.batches(source.order(Fit(), 1)))
