"""Shards that several tests of this folder read."""

from pathlib import Path

import pytest

from tenfold.data import Source
from tenfold.data.shards.packing import pack_shards


@pytest.fixture(scope="package")
def digits_shards(cache, tmp_path_factory) -> Path:
    """The digits in 36 shards of 50."""
    out = tmp_path_factory.mktemp("digits") / "shards"
    pack_shards(Source("digits"), out, images=50)
    return out
