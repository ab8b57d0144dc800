"""A run finds its images from any folder, and after they have moved: named once, and known by their fingerprint."""

import numpy as np
import pytest
from small import SHAPES, SMALL, draw_pictures

import tenfold
from tenfold.core.errors import InputError
from tenfold.data import Source
from tenfold.workbench.request import make_source

ONE = (*SMALL, "fit.epochs=1")


def test_a_relative_source_is_found_from_another_folder_and_where_it_moved(tmp_path, monkeypatch, command):
    home, away = tmp_path / "home", tmp_path / "away"
    draw_pictures(home / "pictures", SHAPES, 10)
    away.mkdir()
    monkeypatch.chdir(home)
    run = tenfold.train("digits", data="pictures", out="runs", overrides=ONE, progress=False)
    assert run.data["source"]["data"] == "pictures"
    monkeypatch.chdir(away)
    path = home / run.path
    fingerprint = tenfold.load_run(path).splits().fingerprint
    before = tenfold.load_run(path).metrics
    (home / "pictures").rename(tmp_path / "moved")
    refused = command("resume", path)
    assert refused.status == 2
    assert "the images are not there any more. Where they have moved, say so once" in refused.err
    draw_pictures(tmp_path / "other", SHAPES, 9)
    with pytest.raises(InputError, match=r"its data in .*other are other ones, or have changed since"):
        tenfold.resume(path, data=tmp_path / "other", progress=False)
    assert tenfold.load_run(path, data=tmp_path / "moved").splits().fingerprint == fingerprint
    done = command("report", path, "--data", "../moved")
    assert done.status == 0, done.err
    # The run has noted the place.
    monkeypatch.chdir(tmp_path)
    assert tenfold.evaluate(path, progress=False).metrics["test"] == before["test"]


def test_folders_of_splits_move_together(tmp_path, monkeypatch):
    for name in ("train1", "train2", "test"):
        draw_pictures(tmp_path / "home" / name, SHAPES, 6)
    monkeypatch.chdir(tmp_path / "home")
    run = tenfold.train(
        "digits", train=("train1", "train2"), test="test", out=tmp_path, overrides=ONE, progress=False
    )
    (tmp_path / "home").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="the images are not there any more"):
        tenfold.load_run(run.path).splits()
    splits = tenfold.load_run(run.path, data="moved").splits()
    assert splits.fingerprint == run.data["fingerprint"]
    assert splits.source == Source(
        None, ("moved/train1", "moved/train2"), (), ("moved/test",), base=str(tmp_path)
    )


def test_arrays_that_the_cache_lost_are_given_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = generator.integers(0, 99, (60, 8, 8), np.uint8) + labels[:, None, None].astype(np.uint8) * 70
    run = tenfold.train("digits", data=(images, labels), out=tmp_path, overrides=ONE, progress=False)
    (lost,) = (tmp_path / "cache" / "arrays").iterdir()
    lost.unlink()
    with pytest.raises(InputError, match=r"tenfold.load_run\(RUN, data=...\)"):
        tenfold.evaluate(run.path, progress=False)
    again = tenfold.evaluate(tenfold.load_run(run.path, data=(images, labels)), progress=False)
    assert again.metrics["test"] == run.metrics["test"]
    with pytest.raises(InputError, match="are other ones"):
        tenfold.load_run(run.path, data=(images[::-1], labels)).splits()
    # As other images, they are tested apart.
    tenfold.evaluate(run.path, data=(images[:30], labels[:30]), progress=False)
    assert len(list((run.path / "evaluations").glob("*/metrics.json"))) == 1


def test_only_a_relative_path_remembers_its_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert make_source(data="digits").base is None
    assert make_source(data=str(tmp_path / "pictures")).base is None
    assert make_source(data="pictures").base == str(tmp_path)
    source = Source("pictures", base=str(tmp_path / "home"))
    (tmp_path / "pictures").mkdir()
    assert source.located("pictures").resolve() == tmp_path / "pictures"
    (tmp_path / "home" / "pictures").mkdir(parents=True)
    assert source.located("pictures") == tmp_path / "home" / "pictures"
