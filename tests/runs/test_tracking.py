import pytest

import tenfold
from tenfold.core.errors import InputError
from tenfold.runs.tracking import track_finished

OVERRIDES = {"fit.epochs": 2, "model.filters": [8], "model.dense": 16}


def train(folder, track):
    return tenfold.train("digits", overrides=OVERRIDES, out=folder, progress=False, track=track)


@pytest.mark.slow
def test_tensorboard_holds_scalars_figures_model_and_recipe(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra track")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(tmp_path, "tensorboard")
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    losses = events.Scalars("loss/validation")
    assert [event.step for event in losses] == [record["epoch"] for record in run.history]
    assert losses[-1].value == pytest.approx(run.history[-1]["validation_loss"])
    assert events.Scalars("result/test_accuracy")[0].value == pytest.approx(run.metrics["test"]["accuracy"])
    assert "figures/confusion_matrix" in events.Tags()["images"]
    assert events.Tags()["graph"]
    assert "recipe/text_summary" in events.Tags()["tensors"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_mlflow_holds_parameters_scalars_figures_and_model(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="needs the extra track")
    pytest.importorskip("sqlalchemy", reason="needs the extra track")
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = train(tmp_path, "mlflow")
    client = MlflowClient()
    experiment = client.get_experiment_by_name("tenfold")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "digits-1"
    assert found.data.params["optimizer.name"] == run.recipe.optimizer.name
    assert found.data.metrics["test_accuracy"] == pytest.approx(run.metrics["test"]["accuracy"])
    history = client.get_metric_history(found.info.run_id, "validation_loss")
    assert [metric.step for metric in history] == [record["epoch"] for record in run.history]
    names = {artifact.path for artifact in client.list_artifacts(found.info.run_id)}
    assert {"figures", "model.safetensors", "model.json", "report.html"} <= names


@pytest.mark.slow
def test_a_finished_run_is_tracked_alike(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs the extra track"
    )
    run = train(tmp_path, None)
    assert not (run.path / "tensorboard").exists()
    track_finished(run, "tensorboard")
    events = accumulator.EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    assert len(events.Scalars("accuracy/training")) == 2


def test_an_unknown_tracker_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="no such tracker"):
        train(tmp_path / "runs", "tensorbord")
    assert not (tmp_path / "runs").exists()
