"""WebDataset shards: a picture and a class for each sample."""

import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
from images import load, random_pixels, refused
from PIL import Image


def shard(path: Path, numbers: range, drop: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for number in numbers:
            picture = BytesIO()
            Image.fromarray(random_pixels(number)).save(picture, "PNG")
            for ending, contents in ((".cls", str(number % 2).encode()), (".png", picture.getvalue())):
                info = tarfile.TarInfo(f"{number:06}{ending}")
                info.size = len(contents)
                if info.name != drop:
                    archive.addfile(info, BytesIO(contents))
    return path


def test_shards_of_splits(tmp_path):
    shard(tmp_path / "train-000000.tar", range(20))
    shard(tmp_path / "train-000001.tar", range(20, 40))
    shard(tmp_path / "test-000000.tar", range(40, 50))
    splits = load(tmp_path)
    assert splits.class_names == ("0", "1")
    assert sum(map(len, splits)) == 50
    assert splits.test.paths[3] == "test-000000.tar/000043.png"
    np.testing.assert_array_equal(splits.test.images(slice(3, 4))[0], random_pixels(43))
    assert splits.test.labels.tolist() == [0, 1] * 5


def test_one_shard_and_what_is_missing(tmp_path):
    assert sum(map(len, load(shard(tmp_path / "a.tar", range(20))))) == 20
    lacking = shard(tmp_path / "b.tar", range(20), "000003.cls")
    refused(lacking, "just one picture and one class (.cls), for instance 000003")
    shard(tmp_path / "s" / "train-0.tar", range(4))
    shard(tmp_path / "s" / "more.tar", range(4, 8))
    refused(tmp_path / "s", "the name of more.tar does not say its split")
