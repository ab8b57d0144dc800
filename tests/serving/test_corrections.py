"""Corrections are a folder that training reads as it is."""

import csv
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from served import Client, encoded, noise
from small import SMALL

from tenfold.core.errors import TenfoldError
from tenfold.data import Source, read_splits
from tenfold.recipe import Data
from tenfold.serving import corrections as module
from tenfold.serving.corrections import Corrections
from tenfold.serving.refusals import Refused


def rows(folder):
    with (folder / "corrections.csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture
def kept(tmp_path):
    return Corrections(
        tmp_path / "kept", ("cat", "dog", "größe 1", "a/b", "..", ".hidden", "Thumbs.db", "x" * 300)
    )


def test_a_correction_over_http_is_a_file_and_a_row(serve, tmp_path):
    client = Client(serve().port)
    picture = encoded(noise(), "JPEG")
    reply = client.form(picture, path="/corrections", name="../../cat.jpg", kind="image/jpeg", label="3")
    assert reply.status == 201
    (row,) = rows(tmp_path / "corrections")
    assert row["label"] == reply.json["label"] == "3"
    assert row["path"] == reply.json["path"]
    assert row["path"].startswith("3/")
    assert row["path"].endswith(".jpg")
    assert (tmp_path / "corrections" / row["path"]).read_bytes() == picture
    assert row["predicted"] == client.predict(picture).json["predicted"]
    assert "tenfold_corrections_total 1.0" in client.get("/metrics").body.decode()


@pytest.mark.parametrize("label", ["cat", "", "../3", "3/../4"])
def test_a_label_that_is_no_class_keeps_nothing(serve, tmp_path, label):
    client = Client(serve().port)
    reply = client.form(encoded(noise()), path="/corrections", label=label)
    assert reply.status == 422
    assert client.form(encoded(noise()), path="/corrections").status == 400
    assert client.form(b"text", path="/corrections", label="3").status == 415
    assert not (tmp_path / "corrections").exists()


def test_a_second_word_on_the_same_picture_replaces_the_first(kept):
    picture = encoded(noise())
    kept.add(picture, "cat", "dog", 0.9)
    kept.add(encoded(noise(seed=1)), "cat", "dog", 0.8)
    kept.add(picture, "dog", "dog", 0.9)
    assert [row["label"] for row in rows(kept.folder)] == ["cat", "dog"]
    assert sorted(path.parent.name for path in kept.folder.rglob("*.png")) == ["cat", "dog"]
    kept.add(picture, "dog", "dog", 0.9)
    assert len(rows(kept.folder)) == len(list(kept.folder.rglob("*.png"))) == 2


def test_names_beyond_ascii_are_kept(kept):
    correction = kept.add(encoded(noise()), "größe 1", "cat", 0.5)
    assert kept.all() == [correction]
    assert (kept.folder / correction.path).parent.name == "größe 1"


@pytest.mark.parametrize("label", ["a/b", "..", ".hidden", "Thumbs.db", "x" * 300])
def test_a_class_that_names_no_folder_is_refused(kept, label):
    with pytest.raises(Refused, match="cannot name a folder") as caught:
        kept.add(encoded(noise()), label, "cat", 0.5)
    assert caught.value.status == 422
    assert not kept.folder.exists()


def test_many_at_a_time_are_all_kept(kept):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: kept.add(encoded(noise(seed=seed)), "cat", "dog", 0.5), range(40)))
    assert len(rows(kept.folder)) == len(list(kept.folder.rglob("*.png"))) == 40


def test_their_number_is_bounded(kept, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    for seed in range(2):
        kept.add(encoded(noise(seed=seed)), "cat", "dog", 0.5)
    with pytest.raises(Refused, match="already") as caught:
        kept.add(encoded(noise(seed=2)), "cat", "dog", 0.5)
    assert caught.value.status == 507
    kept.add(encoded(noise(seed=1)), "dog", "dog", 0.5)


def test_a_folder_that_cannot_be_written_is_told_without_its_path(serve, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    client = Client(serve(corrections=tmp_path / "file" / "below").port)
    reply = client.form(encoded(noise()), path="/corrections", label="3")
    assert reply.status == 500
    assert str(tmp_path) not in reply.body.decode()
    assert str(tmp_path) in caplog.text
    assert client.predict(encoded(noise())).status == 200


@pytest.mark.usefixtures("undrawn")
def test_training_reads_them(kept, command, tmp_path):
    """The classes and the number of pictures are those that were said, and `tenfold train` trains on them."""
    for seed in range(24):
        kept.add(encoded(noise(seed=seed)), ("cat", "dog")[seed % 2], "cat", 0.5)
    splits = read_splits(Data(), Source(str(kept.folder)))
    assert splits.class_names == ("cat", "dog")
    assert sum(len(split) for split in splits) == 24
    answer = command("train", "digits", *SMALL, "--data", kept.folder, "--out", tmp_path, "--name", "again")
    assert answer.status == 0, answer.err
    assert json.loads((tmp_path / "again" / "model.json").read_text())["class_names"] == ["cat", "dog"]


def test_nothing_half_written_stays(kept, monkeypatch):
    kept.add(encoded(noise()), "cat", "dog", 0.5)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(Exception, match="disk is full"):
        kept.add(encoded(noise(seed=1)), "cat", "dog", 0.5)
    monkeypatch.undo()
    assert len(rows(kept.folder)) == 1
    assert not list(kept.folder.rglob("*.tmp"))


def test_a_line_that_a_kill_left_torn_is_cut_off(kept):
    kept.add(encoded(noise()), "cat", "dog", 0.5)
    whole = (kept.folder / "corrections.csv").read_bytes()
    kept.add(encoded(noise(seed=1)), "cat", "dog", 0.5)
    for length in range(len(whole) + 1, len(whole) + 40, 13):
        torn = (kept.folder / "corrections.csv").read_bytes()[:length]
        (kept.folder / "corrections.csv").write_bytes(torn)
        assert len(kept.all()) == 1
        kept.add(encoded(noise(seed=1)), "cat", "dog", 0.5)
        assert len(kept.all()) == len(rows(kept.folder)) == 2


def test_what_a_kill_left_is_put_right_by_the_same_correction(kept):
    """Killed after the picture was moved, or while it was written: its row is of before, or missing."""
    picture = encoded(noise())
    before = kept.add(picture, "cat", "dog", 0.5)
    (kept.folder / "dog").mkdir()
    (kept.folder / before.path).rename(kept.folder / "dog" / (kept.folder / before.path).name)
    (kept.folder / "dog" / ".x.png.123.tmp").write_bytes(b"half")
    after = kept.add(picture, "dog", "dog", 0.5)
    assert kept.all() == [after]
    files = [path.relative_to(kept.folder).as_posix() for path in kept.folder.rglob("*.*") if path.is_file()]
    assert sorted(files) == sorted([".lock", "corrections.csv", after.path])


@pytest.mark.parametrize(
    "line", [b"cat/x.png,cat,dog\n", b"cat/x.png,cat,dog,high,now\n", b"\xff\n", b'"cat"x,1\n', b"null\n"]
)
def test_a_damaged_file_is_named_and_not_written_over(kept, line):
    kept.add(encoded(noise()), "cat", "dog", 0.5)
    path = kept.folder / "corrections.csv"
    path.write_bytes(path.read_bytes() + line)
    damaged = path.read_bytes()
    with pytest.raises(TenfoldError, match=r"corrections\.csv: is damaged .*Restore it, or move it away"):
        kept.add(encoded(noise(seed=1)), "cat", "dog", 0.5)
    assert path.read_bytes() == damaged
    path.unlink()
    kept.add(encoded(noise(seed=1)), "cat", "dog", 0.5)
    assert len(kept.all()) == 1
