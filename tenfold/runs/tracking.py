"""`--track tensorboard|mlflow`: a run's scalars, figures and model in the tracker that a team already has.

Both come with the extra `track`. TensorBoard's files lie in the run folder, below `tensorboard/`; MLflow's go where
its own settings say (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME).
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from tenfold.core.errors import InputError, nearest

if TYPE_CHECKING:
    from tenfold.runs.folder import Run


class Tracker(Protocol):
    """Told of every epoch when it ends, and of the run when it is tested; `close` in any case."""

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Log one record of history.csv."""
        ...

    def finished(self) -> None:
        """Log the final metrics, the figures and the model."""
        ...

    def close(self) -> None:
        """Write what is still in memory."""
        ...


class TensorBoard:
    """Scalars by epoch, figures as images, the model as a graph, recipe and result as text."""

    def __init__(self, run: "Run") -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.run = run
        self.writer = SummaryWriter(str(run.tensorboard))

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Log one record of history.csv; training and validation share a chart."""
        for name, value in _scalars(record).items():
            chart = name.removeprefix("validation_")
            group = "training" if chart == name else "validation"
            self.writer.add_scalar(f"{chart}/{group}", value, record["epoch"])

    def finished(self) -> None:
        """Log the final metrics, the figures, the model's graph and the recipe."""
        import torch

        for name, value in _results(self.run).items():
            self.writer.add_scalar(f"result/{name}", value)
        for path in sorted(self.run.figures.glob("*.png")):
            picture = np.asarray(Image.open(path).convert("RGB"))
            self.writer.add_image(f"figures/{path.stem}", picture, dataformats="HWC")
        model = self.run.model()
        with warnings.catch_warnings():
            # TensorBoard reads graphs in the form of torch.jit, which PyTorch no longer recommends.
            warnings.simplefilter("ignore")
            self.writer.add_graph(model, torch.zeros(1, *model.image_shape))
        self.writer.add_text("recipe", f"```\n{self.run.recipe.to_toml()}\n```")

    def close(self) -> None:
        """Write what is still in memory."""
        self.writer.close()


class MLflow:
    """An MLflow run of the same name: recipe as parameters, scalars by epoch, figures and model as artifacts."""

    def __init__(self, run: "Run") -> None:
        from mlflow.tracking import MlflowClient

        self.run, self.client = run, MlflowClient()
        self.id = self.client.create_run(_experiment(self.client), run_name=run.name).info.run_id
        for key, value in _parameters(run).items():
            self.client.log_param(self.id, key, value)
        self.ended = "KILLED"

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Log one record of history.csv."""
        for name, value in _scalars(record).items():
            self.client.log_metric(self.id, name, value, step=record["epoch"])

    def finished(self) -> None:
        """Log the final metrics, and figures, report and model as artifacts."""
        for name, value in _results(self.run).items():
            self.client.log_metric(self.id, name, value)
        self.client.log_artifacts(self.id, str(self.run.figures), "figures")
        for path in self.run.shared_files():
            self.client.log_artifact(self.id, str(path))
        self.ended = "FINISHED"

    def close(self) -> None:
        """End the MLflow run: finished, or killed where training was left early."""
        self.client.set_terminated(self.id, self.ended)


class Untracked:
    """What is told of a run that nobody tracks."""

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Nothing is logged."""

    def finished(self) -> None:
        """Nothing is logged."""

    def close(self) -> None:
        """Nothing is open."""


TRACKERS: dict[str, type[TensorBoard] | type[MLflow]] = {"tensorboard": TensorBoard, "mlflow": MLflow}


def check_tracker(name: str | None) -> None:
    """Raise InputError where there is no such tracker, or where it is not installed; None needs none."""
    if name is None:
        return
    if name not in TRACKERS:
        raise InputError(
            f"--track {name}: there is no such tracker{nearest(name, list(TRACKERS))}; valid: {', '.join(TRACKERS)}."
        )
    if find_spec(name) is None:
        raise InputError(
            f"--track {name}: it is not installed. Install it with: pip install 'tenfold[track]'"
        )


@contextmanager
def tracking(name: str | None, run: "Run") -> Iterator[Tracker]:
    """The tracker of that name for a run, closed when the block ends. Raises as `check_tracker` does."""
    check_tracker(name)
    tracker = TRACKERS[name](run) if name else Untracked()
    try:
        yield tracker
    finally:
        tracker.close()


def track_finished(run: "Run", name: str) -> None:
    """Log a run that is already done, as if it had been tracked from its beginning."""
    with tracking(name, run) as tracker:
        for record in run.history:
            tracker.epoch(record)
        tracker.finished()


def _scalars(record: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in record.items() if name != "epoch"}


def _results(run: "Run") -> dict[str, float]:
    """The numbers of metrics.json that stand for the whole run."""
    test, training = run.metrics["test"], run.metrics["training"]
    results = {f"test_{name}": float(test[name]) for name in ("accuracy", "loss", "f1_macro")}
    return results | {
        "best_epoch": float(training["best_epoch"]),
        "seconds_total": float(training["seconds"]),
    }


def _parameters(run: "Run") -> dict[str, str]:
    """The recipe's values by their dotted keys."""
    flat: dict[str, str] = {}
    for table, values in run.recipe.model_dump(mode="json", exclude={"about"}).items():
        if isinstance(values, dict):
            flat |= {f"{table}.{key}": str(value) for key, value in values.items()}
        else:
            flat[table] = str(values)
    return flat


def _experiment(client: Any) -> str:
    """The experiment that MLflow's settings name, or "tenfold"."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "tenfold")
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else client.create_experiment(name)
