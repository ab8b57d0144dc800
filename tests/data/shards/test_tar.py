"""One shard: a WebDataset of the files' own bytes."""

import tarfile
from pathlib import Path

import numpy as np
from packed import pictures

from tenfold.data import Source, read_splits
from tenfold.data.shards.index import INDEX, SAMPLES
from tenfold.data.shards.packing import pack_shards
from tenfold.recipe import Data


def test_shards_are_webdatasets_with_the_files_own_bytes(tmp_path):
    source = pictures(tmp_path / "source")
    index = pack_shards(Source(str(source)), tmp_path / "shards", images=25)
    position = 0
    for shard in index.shards:
        with tarfile.open(tmp_path / "shards" / shard.name) as archive:
            members = archive.getmembers()
            assert [m.name.partition(".")[0] for m in members[::2]] == [
                m.name.partition(".")[0] for m in members[1::2]
            ]
            for picture, label in zip(members[::2], members[1::2], strict=True):
                path = source / index.paths[position]
                assert archive.extractfile(picture).read() == path.read_bytes()
                assert Path(picture.name).suffix == path.suffix
                assert archive.extractfile(label).read().decode() == path.parent.name
                position += 1
    # Without the index they are read as anybody's shards.
    indexed = read_splits(Data(), Source(str(tmp_path / "shards")))
    for name in (INDEX, SAMPLES):
        (tmp_path / "shards" / name).unlink()
    plain = read_splits(Data(), Source(str(tmp_path / "shards")))
    assert plain.class_names == indexed.class_names
    np.testing.assert_array_equal(plain.test.images(slice(None)), indexed.test.images(slice(None)))
    np.testing.assert_array_equal(plain.test.labels, indexed.test.labels)
