"""`tenfold train --folds`: every image is tested once, by a model that never saw it."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small import SMALL

import tenfold
from tenfold.core.errors import InputError
from tenfold.runs.folder import Run, load_run
from tenfold.workbench.progress import Display

pytestmark = pytest.mark.usefixtures("undrawn")
WORDS = ("digits", *SMALL, "--folds", "3")


@pytest.fixture(scope="module")
def validated(pictures, tmp_path_factory) -> Run:
    """A cross-validation of the pictures, 3 classes of 16, in 3 folds."""
    out = tmp_path_factory.mktemp("folds")
    return tenfold.train(
        "digits", data=pictures, overrides=SMALL, folds=3, out=out, name="cross", progress=False
    )


def hashes(run: Run) -> dict[str, str]:
    """Of all weights and predictions of a run and its folds."""
    files = [*run.path.rglob("model.safetensors"), *run.path.rglob("*.parquet")]
    return {str(path.relative_to(run.path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_image_is_tested_once_by_the_model_of_its_fold(validated):
    said, splits = validated.predictions("test"), validated.splits()
    assert said.folds is not None
    assert len(said) == len(set(said.paths)) == 48
    assert list(said.paths) == list(splits.test.paths)
    for number, (fold, parts) in enumerate(zip(validated.folds, splits.folds, strict=True), 1):
        mine = said.folds == number
        own = fold.predictions("test")
        assert [path for path, one in zip(said.paths, mine, strict=True) if one] == list(own.paths)
        assert np.array_equal(said.probabilities[mine], own.probabilities)
        assert not set(own.paths) & {*parts.train.paths, *parts.validation.paths}
        assert fold.data["splits"]["train"]["hash"] == parts.train.fingerprint
    right = (said.predicted == said.labels).mean()
    assert validated.metrics["test"]["accuracy"] == pytest.approx(right)
    assert sum(fold["n"] * fold["accuracy"] for fold in validated.metrics["folds"]) == pytest.approx(
        48 * right
    )


def test_the_final_model_is_calibrated_by_the_folds_validation_images(validated):
    images = sum(len(fold.predictions("validation")) for fold in validated.folds)
    assert images > len(validated.predictions("validation"))
    assert validated.contract["calibration"]["images"] == images
    splits = validated.splits()
    own = validated.predict(list(splits.validation.images(slice(0, 3))))
    assert np.allclose(own.raw, validated.predictions("validation").probabilities[:3], atol=1e-4)


def test_the_report_says_that_it_is_cross_validated(validated):
    page = validated.report.read_text(encoding="utf-8")
    assert "48 images are classified correctly by models that had not seen them" in page
    assert "This is a cross-validation: each image was tested once, by one of 3 models" in page
    train, judges = (validated.data["splits"][name]["images"] for name in ("train", "validation"))
    assert train + judges == 48
    assert f"learned from {train} images, {judges} others chose its epoch" in page


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "folds_done"), [(1, 0), (4, 1), (5, 2), (8, 3)])
def test_a_run_killed_at_any_fold_ends_as_if_it_had_not_been(
    command, validated, pictures, tmp_path, monkeypatch, steps, folds_done
):
    """Each fold takes two steps, one an epoch, and so does the final model."""
    seen = []

    def interrupt(display: Display, step: object) -> None:
        seen.append(step)
        if len(seen) == steps:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Display, "step", interrupt)
        answer = command("train", *WORDS, "--data", pictures, "--out", tmp_path, "--name", "cross")
    assert answer.status == 130
    done = [fold.has(Run.metrics) for fold in load_run(tmp_path / "cross").folds]
    answer = command("resume", tmp_path / "cross")
    assert answer.status == 0, answer.err
    assert answer.out.count("\nfold ") == 3
    assert hashes(load_run(tmp_path / "cross")) == hashes(validated)
    assert sum(done) == folds_done


@pytest.mark.slow
def test_the_other_verbs_take_a_cross_validation(command, validated, tmp_path):
    shutil.copytree(validated.path, tmp_path / "cross")
    run = load_run(tmp_path / "cross")
    before = hashes(run)
    answer = command("evaluate", run.path)
    assert answer.status == 0, answer.err
    assert "n = 48), each image by one of 3 models that never saw it" in answer.out
    assert hashes(run) == before
    assert command("report", run.path, "--corruptions").status == 0
    assert run.robustness["clean"] == pytest.approx(run.metrics["test"]["accuracy"])
    assert command("report", run.folds[1].path).status == 0
    assert command("export", run.path).status == 0
    proof = json.loads((run.path / "export" / "certificate.json").read_text())
    assert proof["images"] == f"all {len(run.predictions('validation'))} validation images"
    assert "3 folds" in command("runs", tmp_path).out


def test_runs_of_other_images_and_sweeps_are_refused(command, validated, finished, pictures, tmp_path):
    answer = command("compare", validated.path, finished[0], "--out", tmp_path / "page")
    assert answer.status == 2
    assert "were tested on different images" in answer.err
    with pytest.raises(InputError, match="a sweep chooses on validation images"):
        tenfold.sweep("digits", overrides=["data.folds=3"], data=pictures, seeds=2, out=tmp_path)
    with pytest.raises(InputError, match=r"--folds 3 trains 4 models"):
        tenfold.train("digits", data=pictures, folds=3, minutes=1, out=tmp_path)


def test_a_fold_that_fails_is_named(pictures, tmp_path):
    overrides = [*SMALL, "optimizer.name=sgd", "optimizer.lr=1e30"]
    with pytest.raises(tenfold.TenfoldError, match=str(Path("cross") / "folds" / "1")):
        tenfold.train(
            "digits", data=pictures, overrides=overrides, folds=3, out=tmp_path, name="cross", progress=False
        )
