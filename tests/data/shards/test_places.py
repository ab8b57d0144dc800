"""Shards at an address: fetched whole where work follows them, compared with what was packed."""

import json

import fsspec
import numpy as np
import pytest
import torch

from tenfold.core.errors import InputError, TenfoldError
from tenfold.data import Source, read_splits
from tenfold.data.feeds import feed
from tenfold.data.shards.order import LANES
from tenfold.recipe import Data, Fit

CPU = torch.device("cpu")
STREAMED = Data(streaming=True, shuffle_buffer=64)


@pytest.fixture
def at_address(digits_shards):
    """The digits' shards in memory, as an address."""
    system = fsspec.filesystem("memory")
    for path in digits_shards.iterdir():
        system.pipe(f"/digits/{path.name}", path.read_bytes())
    yield "memory://digits"
    system.rm("/digits", recursive=True)


def test_shards_at_an_address_are_streamed_and_only_those_needed_are_held(at_address, digits_shards, cache):
    here = read_splits(STREAMED, Source(str(digits_shards)))
    there = read_splits(Data(shuffle_buffer=64), Source(at_address))
    assert there.streamed
    assert there.fed == "images are streamed from shards: they are at an address"
    assert there.fingerprint == here.fingerprint
    np.testing.assert_array_equal(there.test.images(slice(None)), here.test.images(slice(None)))
    source = feed(there.train, CPU)
    order, held = source.order(Fit(), 1), []
    mine = feed(here.train, CPU).batches(order)
    for batch, other in zip(source.batches(order), mine, strict=True):
        assert torch.equal(batch.images, other.images)
        held.append(len(list((cache / "shards").glob(".*/*.tar"))))
    assert max(held) <= 2 * LANES + LANES + 4
    assert not list((cache / "shards").iterdir())


def test_what_is_wrong_at_an_address_is_said(at_address, monkeypatch):
    from tenfold.data.shards import places

    monkeypatch.setattr(places, "WAIT", 0.0)
    system = fsspec.filesystem("memory")
    splits = read_splits(Data(shuffle_buffer=64), Source(at_address))
    name = splits.train.pixels.index.shards[7].name
    whole = system.cat(f"/digits/{name}")
    system.pipe(f"/digits/{name}", whole[:600] + b"x" + whole[601:])
    source = feed(splits.train, CPU)
    with pytest.raises(TenfoldError, match=rf"{name}: cannot be fetched .*SHA-256"):
        list(source.batches(source.order(Fit(), 1)))
    with pytest.raises(InputError, match="not on this machine"):
        read_splits(Data(streaming=False), Source(at_address))
    about = json.loads(system.cat("/digits/index.json"))
    system.pipe("/digits/index.json", json.dumps({**about, "images": 3}).encode())
    with pytest.raises(InputError, match="cannot be read"):
        read_splits(Data(), Source(at_address))
    with pytest.raises(TenfoldError, match="cannot be fetched"):
        read_splits(Data(), Source("memory://nothing/here"))
    with pytest.raises(InputError, match=r"tenfold\[remote\]"):
        read_splits(Data(), Source("abfs://nothing/here"))
    with pytest.raises(InputError, match="at an address, only shards that `tenfold pack` made"):
        read_splits(Data(), Source("nosuchkind://nothing/here"))
