"""The run folder: what lies in it, how it is named, locked and read back, and what is said when a part is missing."""

import json
import shutil
from importlib.metadata import version

import numpy as np
import pytest
import torch
from small import SHAPES

import tenfold
from tenfold.core.errors import InputError, TenfoldError
from tenfold.inference.evaluation import predict_split
from tenfold.recipe import load_recipe
from tenfold.runs.folder import HISTORY, HISTORY_SINCE, Run, load_run
from tenfold.runs.metrics import measure


@pytest.fixture
def copied(finished, tmp_path) -> Run:
    """A finished run that a test may change."""
    folder, _ = finished
    return load_run(shutil.copytree(folder, tmp_path / "copied"))


def test_the_folder_holds_what_the_contract_says(finished):
    folder, _ = finished
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        "recipe.toml",
        "data.json",
        "environment.json",
        "history.csv",
        "model.json",
        "model.safetensors",
        "checkpoint/state.safetensors",
        "predictions/validation.parquet",
        "predictions/test.parquet",
        "metrics.json",
        "report.html",
        "figures/confusion_matrix.svg",
        "figures/confusion_matrix.png",
    } <= names
    assert not [name for name in names if name.endswith((".tmp", ".pkl", ".pt", ".npy"))]


def test_a_run_reads_back_what_was_trained(finished, pictures):
    run = load_run(finished[0])
    assert run.name == "shapes"
    assert run.recipe == load_recipe(run.path / "recipe.toml")
    assert run.recipe.fit.epochs == 2
    assert run.class_names == tuple(run.data["class_names"]) == SHAPES
    assert run.data["source"]["data"] == str(pictures)
    assert run.environment["device"] == run.metrics["training"]["device"]
    assert run.environment["command"].startswith("tenfold train digits")
    assert run.environment["versions"]["torch"] == version("torch")
    assert repr(run) == f"Run('{run.path}')"


def test_the_history_has_the_contracts_columns_and_numbers(finished):
    run = load_run(finished[0])
    assert [tuple(record) for record in run.history] == [HISTORY + HISTORY_SINCE] * 2
    assert [record["epoch"] for record in run.history] == [1, 2]
    assert all(isinstance(record["loss"], float) for record in run.history)
    best = min(run.history, key=lambda record: record["validation_loss"])
    assert run.metrics["training"]["best_epoch"] == best["epoch"]
    assert run.metrics["validation"]["loss"] == pytest.approx(best["validation_loss"], rel=1e-4)
    assert run.metrics["validation"]["accuracy"] == best["validation_accuracy"]


def test_the_metrics_are_those_of_the_saved_predictions(finished):
    run = load_run(finished[0])
    for name in ("validation", "test"):
        saved = run.predictions(name)
        assert run.metrics[name] == json.loads(
            json.dumps(measure(saved.labels, saved.probabilities, saved.class_names))
        )
    training = run.metrics["training"]
    assert training["epochs"] == 2
    assert training["stop_reason"] == "all 2 epochs done"
    assert training["seconds"] == pytest.approx(sum(record["seconds"] for record in run.history), abs=1e-6)
    assert training["images_per_second"] > 0
    assert training["parameters_trainable"] < training["parameters_total"]
    assert training["peak_memory_mib"] > 100


def test_the_model_of_a_run_makes_its_predictions_again(finished):
    run = load_run(finished[0])
    splits = run.splits()
    again = predict_split(run.model(), splits.test, run.class_names, torch.device("cpu"))
    saved = run.predictions("test")
    assert again.probabilities.tolist() == saved.probabilities.tolist()
    assert list(again.paths) == list(saved.paths) == list(splits.test.paths)
    assert again.labels.tolist() == saved.labels.tolist() == splits.test.labels.tolist()
    assert np.allclose(saved.probabilities.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "read", "remedy"),
    [
        ("data.json", lambda run: run.data, "train the run anew"),
        ("environment.json", lambda run: run.environment, "only the report shows it"),
        ("metrics.json", lambda run: run.metrics, "`tenfold evaluate {run}` makes it anew"),
        ("history.csv", lambda run: run.history, "`tenfold resume {run}` writes it anew"),
        ("predictions/test.parquet", lambda run: run.predictions("test"), "`tenfold evaluate {run}` makes"),
        ("model.json", lambda run: run.model(), "`tenfold resume {run}` writes it anew"),
        ("model.safetensors", lambda run: run.model(), "`tenfold resume {run}` writes it anew"),
    ],
)
def test_a_missing_part_of_a_finished_run_is_named_with_what_makes_it_again(name, read, remedy, copied):
    (copied.path / name).unlink()
    with pytest.raises(InputError) as caught:
        read(copied)
    assert f"{copied.path / name}: there is no such file." in str(caught.value)
    assert remedy.format(run=copied.path) in str(caught.value)
    assert "has not got that far" not in str(caught.value)


def test_a_run_is_found_by_its_path_and_by_its_name_below_runs(copied, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(copied.path, tmp_path / "runs" / "mine")
    assert load_run("mine").path.resolve() == tmp_path / "runs" / "mine"
    assert tenfold.load_run(copied.path).path == copied.path
    with pytest.raises(InputError, match=r"none: there is no such folder\. `tenfold train` makes one below"):
        load_run("none")
    (tmp_path / "none").mkdir()
    with pytest.raises(
        InputError, match=r"none: is not a run folder .* `tenfold train` makes one below runs/"
    ):
        load_run("none")


# Making run folders ------------------------------------------------------------------------------------------


def test_a_run_is_held_by_one_at_a_time(copied):
    with (
        copied.lock(),
        pytest.raises(TenfoldError, match="another process is working on this run"),
        Run(copied.path).lock(),
    ):
        pass
    with copied.lock():
        assert (copied.path / "recipe.toml").is_file()
