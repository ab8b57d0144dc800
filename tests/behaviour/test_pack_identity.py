"""Which source a pack belongs to: what tells sources of the same look apart."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from accounts import pixels_of
from corpus import (
    pets,
    twins,
)
from images import load, random_pixels, save
from PIL import Image
from small import SMALL

from tenfold.core.errors import TenfoldError
from tenfold.recipe import Data

pytestmark = pytest.mark.usefixtures("own_cache")


def test_folders_of_the_same_name_size_and_time_are_told_apart(tmp_path, monkeypatch):
    twins(tmp_path)
    found = {}
    for place in ("p1", "p2", "p1", "p2"):
        monkeypatch.chdir(tmp_path / place)
        splits = load("data")
        wanted = np.asarray(Image.open("data/cat/3.bmp"))
        assert (pixels_of(splits, "cat/3.bmp") == wanted).all()
        found.setdefault(place, set()).add(splits.fingerprint)
    assert len(found["p1"]) == len(found["p2"]) == 1
    assert found["p1"] != found["p2"]


def test_folders_of_the_same_name_do_not_evict_each_other(tmp_path, monkeypatch, own_cache):
    from tenfold.data import Source, read_splits

    twins(tmp_path)
    decoded: list[int] = []
    for place in ("p1", "p2", "p1", "p2"):
        monkeypatch.chdir(tmp_path / place)
        seen = [0]
        read_splits(Data(), Source("data"), lambda done, total, seen=seen: seen.append(done))
        decoded.append(seen[-1])
    assert decoded == [24, 24, 0, 0]


def test_a_link_to_a_source_has_the_same_pack(tmp_path, own_cache):
    pets(tmp_path / "data")
    (tmp_path / "link").symlink_to("data")
    load(tmp_path / "data")
    load(tmp_path / "link")
    assert Counter(path.suffix for path in (own_cache / "packs").iterdir())[".lock"] <= 2


def test_bytes_tell_files_apart_whose_facts_are_the_same(tmp_path):
    """A source put back from a backup tool that keeps times: here by the bytes of the sample alone."""
    from tenfold.data.sources.tree import sampled_bytes as _sampled

    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"a" * 9000)
    for changed in (0, 4600, 8999):
        contents = bytearray(b"a" * 9000)
        contents[changed] = ord("b")
        other.write_bytes(contents)
        assert _sampled([str(one)]) != _sampled([str(other)]), changed


@pytest.mark.usefixtures("undrawn")
def test_verify_compares_every_image_with_the_cache(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pets(tmp_path / "data")
    assert "verified: no image differs" in command("inspect", "data", "--verify").out
    load(tmp_path / "data")
    assert "verified: no image differs" in command("inspect", "data", "--verify").out
    save(tmp_path / "data" / "cat" / "3.png", random_pixels(4242))
    trained = command("train", "digits", "--data", "data", *SMALL, "--verify")
    assert trained.status == 0, trained.err
    assert "verified: 1 image changed since the cache was made" in trained.out
    assert json.loads(command("inspect", "data", "--json", "--verify").out)["class_names"] == ["cat", "dog"]


@pytest.mark.parametrize("name", ["digits", "cifar100"])
def test_a_folder_called_like_a_known_source_is_never_hidden(tmp_path, command, monkeypatch, name):
    from tenfold import load_splits

    monkeypatch.chdir(tmp_path)
    pets(tmp_path / name)
    said = command("inspect", name)
    assert said.status == 2
    assert f"Write ./{name} for the one that is here" in said.err
    assert command("train", "digits", "--data", name, *SMALL).status == 2
    assert json.loads(command("inspect", f"./{name}", "--json").out)["class_names"] == ["cat", "dog"]
    assert load_splits(Path(name)).class_names == ("cat", "dog")


@pytest.mark.parametrize("place", ["/proc/nope", "/dev/null/cache"])
def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch, place):
    monkeypatch.setenv("TENFOLD_CACHE", place)
    pets(tmp_path)
    with pytest.raises(TenfoldError, match=place):
        load(tmp_path)
