"""A run finds its images from any folder, and after they have moved: named once, and known by their fingerprint."""

import shutil

import numpy as np
import pytest
from small import SHAPES, SMALL, draw_pictures

import tenfold
from tenfold.core.errors import InputError
from tenfold.data import Source
from tenfold.runs.folder import Run, load_run
from tenfold.workbench.request import make_source

ONE = (*SMALL, "fit.epochs=1")


@pytest.mark.usefixtures("undrawn")
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


@pytest.mark.slow
def test_a_report_is_made_from_saved_predictions_where_the_images_are_gone(tmp_path, command):
    pictures = draw_pictures(tmp_path / "pictures", SHAPES, 10)
    run = tenfold.train("digits", data=pictures, out=tmp_path, overrides=ONE, progress=False)
    before, page = run.metrics, run.report.read_text(encoding="utf-8")
    assert "made without the images" not in page
    shutil.rmtree(pictures)
    run.report.unlink()
    # Nothing needs the model either.
    run.path_of(Run.weights).unlink()
    done = command("report", run.path)
    assert done.status == 0, done.err
    assert "the report is made without the images" in done.err
    assert f"{pictures}: the images are not there any more" in done.err
    again = run.report.read_text(encoding="utf-8")
    assert "it leaves out: the images themselves, accuracy under corruptions. Why: " in again
    assert "As an earlier report saved them: examples of the training images, where the model looked" in again
    assert 'class="g g-0"' in again
    assert 'class="t t-0"' not in again
    assert load_run(run.path).metrics == before
    refused = command("report", run.path, "--corruptions")
    assert refused.status == 2
    assert "the images are not there any more" in refused.err
    # A damaged file is no missing image.
    (run.path / "data.json").write_text("{")
    assert command("report", run.path).status == 2


@pytest.mark.slow
def test_images_without_labels_are_a_matter_of_predict(finished, tmp_path, command):
    draw_pictures(tmp_path, ("flat",), 4)
    answer = command("evaluate", finished[0], "--data", tmp_path / "flat")
    assert answer.status == 2
    assert f"`tenfold predict {finished[0]} {tmp_path / 'flat'}`" in answer.err
    assert command("predict", finished[0], tmp_path / "flat").status == 0


@pytest.mark.usefixtures("undrawn")
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


@pytest.mark.usefixtures("undrawn")
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
