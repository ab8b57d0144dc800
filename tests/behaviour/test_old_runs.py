"""Runs that each version made are opened by every command that reads runs; each works on a copy."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tenfold.data import Splits
from tenfold.inference.evaluation import predict_split
from tenfold.runs.folder import Run, load_run

FIXTURES = Path(__file__).parents[1] / "fixtures"
OLD = ("digits-0.1", "swift-0.1", "digits-0.2")


@pytest.fixture(params=OLD)
def old(request, cache, tmp_path) -> Run:
    """A copy of such a run."""
    return load_run(shutil.copytree(FIXTURES / request.param, tmp_path / "runs" / request.param))


def test_every_file_is_read(old):
    assert old.environment["versions"]["tenfold"] == f"{old.path.name.partition('-')[2]}.0"
    assert [record["epoch"] for record in old.history] == list(range(1, old.state.epoch + 1))
    assert old.metrics["training"]["epochs"] == old.state.epoch
    assert old.class_names == tuple("0123456789")
    for split in ("validation", "test"):
        predictions = old.predictions(split)
        right = float((predictions.predicted == predictions.labels).mean())
        assert right == pytest.approx(old.metrics[split]["accuracy"], abs=1e-9)


def test_the_model_says_what_it_said(old):
    splits = old.splits()
    model = old.model()
    now = predict_split(model, splits.test, old.class_names, next(model.parameters()).device)
    saved = old.predictions("test")
    assert now.labels.tolist() == saved.labels.tolist()
    np.testing.assert_allclose(now.probabilities, saved.probabilities, atol=2e-3)


@pytest.mark.usefixtures("undrawn")
def test_it_is_evaluated_again_to_the_same_accuracy(old, command):
    before = old.metrics["test"]["accuracy"]
    answer = command("evaluate", old.path)
    assert answer.status == 0, answer.err
    assert old.metrics["test"]["accuracy"] == pytest.approx(before, abs=1e-9)
    assert (old.path / "inference.json").is_file()
    assert old.report.is_file()


@pytest.mark.slow
def test_its_report_is_written(old, command):
    answer = command("report", old.path)
    assert answer.status == 0, answer.err
    assert f"{old.metrics['test']['accuracy']:.1%}" in old.report.read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
def test_a_finished_one_that_is_resumed_keeps_its_history(old, command):
    history, weights = old.history, old.weights
    answer = command("resume", old.path)
    assert answer.status == 0, answer.err
    assert old.history == history
    assert all(np.array_equal(old.weights[name], tensor) for name, tensor in weights.items())


@pytest.mark.slow
def test_it_answers_about_a_picture(old, command, digits: Splits, tmp_path):
    picture = tmp_path / "picture.png"
    Image.fromarray(digits.test.images(slice(0, 1))[0, ..., 0]).save(picture)
    answer = command("predict", old.path, picture, "--format", "jsonl")
    assert answer.status == 0, answer.err
    assert ("it has no inference.json" in answer.err) is old.path.name.endswith("-0.1")
    assert json.loads(answer.out)["predicted"] in old.class_names


def test_they_are_listed_and_compared(cache, tmp_path, command):
    folder = tmp_path / "runs"
    for name in OLD:
        shutil.copytree(FIXTURES / name, folder / name)
    listed = command("runs", folder)
    assert listed.status == 0, listed.err
    for name in OLD:
        accuracy = load_run(folder / name).metrics["test"]["accuracy"]
        assert name in listed.out
        assert f"{name}{' ' * (12 - len(name))}{accuracy:.2%}" in listed.out
    compared = command("compare", *(folder / name for name in OLD), "--out", tmp_path / "compared")
    assert compared.status == 0, compared.err
    assert "which may be chance" in compared.out or "are right equally often" in compared.out
    assert (tmp_path / "compared" / "comparison.html").is_file()
