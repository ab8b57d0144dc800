"""`tenfold pack`: shards with the same bytes each time, finished after a kill, read back as what was packed."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from packed import pictures

from tenfold.core.errors import InputError
from tenfold.data import Source, read_splits
from tenfold.data.shards.index import INDEX, read_index
from tenfold.data.shards.packing import pack_shards
from tenfold.recipe import Data


def bytes_of(folder: Path) -> dict[str, str]:
    """A hash of each file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def by_path(split) -> dict[str, tuple[int, bytes]]:
    """Label and pixels of each image."""
    pixels = split.images(slice(None))
    return {
        path: (int(label), pixels[at].tobytes())
        for at, (path, label) in enumerate(zip(split.paths, split.labels, strict=True))
    }


@pytest.mark.parametrize("splits", [("train", "test"), ("train", "val", "test"), ("all",)])
def test_shards_give_the_images_classes_and_splits_of_their_source(tmp_path, splits):
    source = pictures(tmp_path / "source", splits=splits)
    if splits == ("all",):
        source = source / "all"
    index = pack_shards(Source(str(source)), tmp_path / "shards", images=13)
    assert max(shard.images for shard in index.shards) <= 13
    original, packed = (read_splits(Data(), Source(str(place))) for place in (source, tmp_path / "shards"))
    assert original.class_names == packed.class_names == ("cats", "dogs", "owls")
    for one, other in zip(original, packed, strict=True):
        assert by_path(one) == by_path(other)
    assert original.reading.target == packed.reading.target
    assert not packed.reading.left_out


def test_the_same_source_gives_the_same_bytes_and_each_shard_a_mixture(tmp_path):
    source = pictures(tmp_path / "source", 90)
    for name in ("one", "two"):
        pack_shards(Source(str(source)), tmp_path / name, images=30)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    index = read_index(tmp_path / "one")
    labels = index.column("label")
    for start, stop in zip(index.starts, index.starts[1:], strict=False):
        assert set(labels[start:stop].tolist()) == {0, 1, 2}
    about = json.loads((tmp_path / "one" / INDEX).read_text())
    assert about["counts"] == [60, 60, 60]
    for shard in index.shards:
        assert hashlib.sha256((tmp_path / "one" / shard.name).read_bytes()).hexdigest() == shard.sha256


def test_arrays_become_pictures_without_loss(tmp_path):
    pack_shards(Source("digits"), tmp_path / "shards", images=400)
    packed, plain = (
        read_splits(Data(), Source(str(tmp_path / "shards"))),
        read_splits(Data(), Source("digits")),
    )
    for one, other in zip(plain, packed, strict=True):
        assert by_path(one) == by_path(other)


KILLED = """
import sys
from pathlib import Path
from tenfold.data import Source
from tenfold.data.shards.packing import pack_shards
pack_shards(Source(sys.argv[1]), Path(sys.argv[2]), images=10)
"""


@pytest.mark.slow
def test_a_killed_packing_keeps_what_is_finished_and_ends_with_the_same_bytes(tmp_path):
    source, out = pictures(tmp_path / "source", 400), tmp_path / "shards"
    process = subprocess.Popen([sys.executable, "-c", KILLED, source, out])
    while len(list(out.glob(".*.tar.arrow"))) < 9:
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path.name.removeprefix(".").removesuffix(".arrow") for path in out.glob(".*.tar.arrow")}
    assert not (out / INDEX).exists()
    assert 9 <= len(finished) < 80
    before = {name: (out / name).stat().st_mtime_ns for name in finished}
    damaged = sorted(finished)[0]
    (out / damaged).write_bytes((out / damaged).read_bytes()[:-700])
    (out / f".train-00079.tar.{process.pid}.tmp").write_bytes(b"a part")
    pack_shards(Source(str(source)), out, images=10)
    kept = {name for name in finished if (out / name).stat().st_mtime_ns == before[name]}
    assert kept == finished - {damaged}
    pack_shards(Source(str(source)), tmp_path / "whole", images=10)
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_what_cannot_be_packed_is_refused(tmp_path):
    source, out = pictures(tmp_path / "source", bad=True), tmp_path / "shards"
    with pytest.raises(InputError, match=r"broken\.png"):
        pack_shards(Source(str(source)), out, Data(bad_files_limit=0))
    index = pack_shards(Source(str(source)), tmp_path / "more", Data(bad_files_limit=0.05))
    assert [bad.path for bad in index.bad_files] == ["train/cats/broken.png"]
    assert len(index) == 120
    for place, words in (
        (tmp_path / "more", "there are shards already"),
        (source / "shards", "it lies in the source"),
        (source.parent, "it holds other files. Choose an empty or a new folder"),
    ):
        with pytest.raises(InputError, match=words):
            pack_shards(Source(str(source)), place)
    (source / "test" / "cats" / "a.0.png").unlink()
    with pytest.raises(InputError, match="changed since"):
        pack_shards(Source(str(source)), out, Data(bad_files_limit=0))
