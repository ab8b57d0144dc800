"""The index beside shards: read only where it is theirs."""

import pytest
from packed import pictures

from tenfold.core.errors import InputError
from tenfold.data import Source, read_splits
from tenfold.data.shards.index import SAMPLES
from tenfold.data.shards.packing import pack_shards
from tenfold.recipe import Data


def test_shards_that_are_not_those_of_the_index_are_refused(tmp_path):
    out = tmp_path / "shards"
    pack_shards(Source(str(pictures(tmp_path / "source"))), out, images=20)
    shard = out / "train-00001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-512])
    with pytest.raises(
        InputError, match=r"train-00001\.tar: it is not the shard of .* bytes that index\.json names"
    ):
        read_splits(Data(), Source(str(out)))
    shard.unlink()
    with pytest.raises(InputError, match=r"train-00001\.tar: it is not the shard"):
        read_splits(Data(), Source(str(out)))
    shard.write_bytes(whole)
    (out / SAMPLES).write_bytes((out / SAMPLES).read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be read"):
        read_splits(Data(), Source(str(out)))
