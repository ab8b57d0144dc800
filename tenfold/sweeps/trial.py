"""One trial: an ordinary run folder, trained up to an epoch or to the end, and judged on validation images only."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from tenfold.core.devices import choose_device
from tenfold.core.errors import TenfoldError, first_line, is_out_of_memory
from tenfold.core.machine import limited_to
from tenfold.data import Source, Splits
from tenfold.models import named_model
from tenfold.recipe import Data, parse_recipe
from tenfold.runs.checkpoint import mend_checkpoint
from tenfold.runs.folder import Run
from tenfold.runs.state import State
from tenfold.training.balance import balanced
from tenfold.training.begin import begin_in, epochs, new_model, taken_up

Report = dict[str, Any]
OpenSplits = Callable[[Data, Source], Splits]


@dataclass(frozen=True)
class TrialTask:
    """What a worker is told: train the recipe (TOML) in `folder` until an epoch, or to the end.

    `memory` is how many MiB the trial may take on top of what the worker holds already. `model` is the import path of
    the module of the user's own that is trained, where the user has confirmed it to this driver.
    """

    trial: int
    folder: str
    recipe: str
    source: dict[str, Any]
    until: int | None = None
    memory: int | None = None
    device: str = "auto"
    command: str = ""
    model: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As a worker reads it."""
        return asdict(self)


def carry_out(task: TrialTask, open_splits: OpenSplits) -> Iterator[Report]:
    """Train, or go on training, yielding a report for each epoch and at last one whose "event" is "ended".

    Its state is done, paused (before the end, at `until`) or failed; then "error" says why, and nothing is raised.
    """
    try:
        with limited_to(task.memory and task.memory * 2**20):
            yield from _train(task, open_splits)
    except (TenfoldError, MemoryError, ArithmeticError, RuntimeError) as error:
        yield _failed(_explained(error, task.memory))
    except Exception as error:
        logging.getLogger(__name__).exception("trial %d", task.trial)
        yield _failed(f"{type(error).__name__}: {error}")


def _train(task: TrialTask, open_splits: OpenSplits) -> Iterator[Report]:
    recipe, device, run = parse_recipe(task.recipe), choose_device(task.device), Run(task.folder)
    splits = open_splits(recipe.data, Source(**task.source))
    recipe = balanced(recipe, splits)
    model = new_model(recipe, splits, named_model(task.model, trusted=task.model is not None))
    run.path.mkdir(parents=True, exist_ok=True)
    with run.lock():
        begin_in(run, recipe, splits, device, task.command)
        mend_checkpoint(run)
        begun = run.has(Run.state)
        if not begun or _unfinished(run.state, task.until):
            # Nothing that trains gets to see the test images.
            locked = replace(splits, test=splits.validation)
            fitting = taken_up(run, locked, device, lambda done, total: None, model=model)
            for epoch in epochs(fitting, run, device):
                yield {"event": "epoch", **asdict(epoch)}
                if epoch.epoch == task.until:
                    break
        yield _ended(run.state, model.parameter_counts()[0])


def _unfinished(state: State, until: int | None) -> bool:
    """Whether there is an epoch to train: a driver may die after a trial's last epoch and before noting its end."""
    return state.stop_reason is None and (until is None or state.epoch < until)


def _ended(state: State, parameters: int) -> Report:
    """What the driver notes of a trial: the validation figures of its best epoch, and its cost."""
    best = state.history[state.best_epoch - 1] if state.best_epoch else {}
    name = "failed" if state.failed else "paused" if state.stop_reason is None else "done"
    outcome = {
        "score": best.get("validation_accuracy"),
        "loss": best.get("validation_loss"),
        "best_epoch": state.best_epoch,
        "epochs": state.epoch,
        "seconds": round(sum(record["seconds"] for record in state.history), 3),
        "parameters": parameters,
        "error" if state.failed else "reason": state.stop_reason,
    }
    return {"event": "ended", "state": name, "outcome": outcome}


def _failed(error: str) -> Report:
    return {"event": "ended", "state": "failed", "outcome": {"error": error}}


def _explained(error: Exception, memory: int | None) -> str:
    if is_out_of_memory(error):
        limit = f" than --memory {memory} allows" if memory else " than there is"
        return f"needs more memory{limit}: {first_line(error)}"
    said = str(error) or type(error).__name__
    return f"{type(error).__name__}: {said}" if isinstance(error, RuntimeError) else said
