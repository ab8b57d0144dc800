"""From a run's folder to a tested run: what train, resume and evaluate do, with all folds of a cross-validation."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from tenfold.core.devices import device_name, peak_memory_mib
from tenfold.core.errors import TenfoldError
from tenfold.core.signals import Stopped
from tenfold.core.world import ALONE, World
from tenfold.data import Splits
from tenfold.findings.explain import explain
from tenfold.inference.evaluation import predict_split, write_contract
from tenfold.models import Classifier
from tenfold.report import write_report
from tenfold.runs.checkpoint import mend_checkpoint
from tenfold.runs.folder import Run
from tenfold.runs.history import history_hash
from tenfold.runs.metrics import measure
from tenfold.runs.predictions import Predictions, pooled
from tenfold.runs.state import State
from tenfold.runs.tracking import tracking
from tenfold.training.begin import begin_in, epochs, taken_up
from tenfold.training.learner import Epoch
from tenfold.training.transfer import Fitting, for_evaluation, training_sample
from tenfold.workbench.progress import Display

# What a frozen backbone does to each image before its head is trained.
FEATURES = "computing features"


@dataclass(frozen=True)
class Workplace:
    """On which device, before whose eyes and by which processes; of several, the first one writes and speaks."""

    device: torch.device
    display: Display
    world: World = ALONE

    def lock(self, run: Run) -> AbstractContextManager[None]:
        """Hold the run for writing, where this process writes."""
        return run.lock() if self.world.first else nullcontext()


def carry_out(
    run: Run,
    splits: Splits,
    place: Workplace,
    track: str | None = None,
    model: Classifier | None = None,
) -> Run:
    """Train what the run's folder says, from where it stands, and test it.

    `model` is that of a new run, made already. Raises TenfoldError where a loss was not finite.
    """
    first, display = place.world.first, place.display
    with place.lock(run), tracking(track if first else None, run) as tracker:

        def tell(epoch: Epoch) -> None:
            display.epoch(epoch)
            tracker.epoch(asdict(epoch))

        try:
            if splits.folds:
                _cross_validate(run, splits, place)
            task, state = _train(run, splits, place, tell, model)
            with display.working("testing, and drawing the report"):
                _finish(run, task, splits, place)
            tracker.finished()
        except (KeyboardInterrupt, Stopped):
            display.interrupted(run)
            raise
    if first:
        display.finished(run)
    if state.failed:
        raise TenfoldError(
            f"{run.path}: {state.stop_reason}. The results are those of epoch {state.best_epoch}."
        )
    return run


def _train(
    run: Run,
    splits: Splits,
    place: Workplace,
    tell: Callable[[Epoch], None],
    model: Classifier | None = None,
    folds: int = 0,
) -> tuple[Fitting, State]:
    """Train to the end, in a fold of so many `folds` or else. Raises TenfoldError where that comes to nothing."""
    display, world = place.display, place.world
    resuming = world.agree(lambda: _recovered(run, display))
    with display.decoding(FEATURES) as note:
        task = taken_up(run, splits, place.device, note, world, model)
    with display.training(run, task, splits, device_name(place.device), folds):
        for epoch in epochs(task, run, place.device, display.step if world.first else None, world):
            tell(epoch)
    state = world.agree(lambda: run.state)
    if state.came_to_nothing:
        raise TenfoldError(f"{run.path}: {run.failure(state)}")
    if resuming and world.first:
        run.save_model(task.model, task.model.state_dict(), splits.class_names)
    return task, state


def _recovered(run: Run, display: Display) -> bool:
    """Whether the run goes on from a checkpoint; what a kill or damage left of it is put right."""
    mended = mend_checkpoint(run)
    if mended:
        display.note(mended)
    if not run.has(Run.state):
        return False
    run.history = run.state.history  # A kill may have come between the two.
    return True


def evaluate_again(run: Run, splits: Splits, place: Workplace) -> None:
    """Test a run's saved model anew, and those of its folds."""
    with place.lock(run):
        for fold, parts in zip(run.folds, splits.folds, strict=True):
            with place.lock(fold):
                _test(fold, _for_evaluation(fold, parts, place), place)
        _finish(run, _for_evaluation(run, splits, place), splits, place)
    if place.world.first:
        place.display.finished(run)


def _for_evaluation(run: Run, splits: Splits, place: Workplace) -> Fitting:
    with place.display.decoding(FEATURES) as note:
        return for_evaluation(run.model(), splits, run.recipe, place.device, note, place.world)


# Folds -------------------------------------------------------------------------------------------------------


def _cross_validate(run: Run, splits: Splits, place: Workplace) -> None:
    """Train and test every fold that is not done, each in a run folder below `folds/`.

    Raises TenfoldError, naming the fold, where one comes to nothing.
    """
    place.display.folding(splits)
    for fold, parts in zip(run.folds, splits.folds, strict=True):
        if not place.world.agree(lambda fold=fold: fold.has(Run.metrics)):
            place.world.agree(lambda fold=fold: fold.path.mkdir(parents=True, exist_ok=True))
            with place.lock(fold):
                _fold(run, fold, parts, place)
        if place.world.first:
            place.display.folded(fold, len(splits.folds))


def _fold(run: Run, fold: Run, splits: Splits, place: Workplace) -> None:
    data = run.recipe.data.model_copy(update={"fold": int(fold.name)})
    recipe = run.recipe.model_copy(update={"data": data})
    place.world.agree(lambda: begin_in(fold, recipe, splits, place.device, run.environment["command"]))
    task, _ = _train(fold, splits, place, lambda epoch: None, folds=len(run.folds))
    _test(fold, task, place)


def _pooled(run: Run, splits: Splits) -> Predictions:
    """What the folds' models said of all images, each of which one of them had not seen."""
    assert splits.whole is not None
    places = [splits.whole.places_of(fold.test) for fold in splits.folds]
    return pooled([fold.predictions("test") for fold in run.folds], np.concatenate(places))


def _fold_facts(fold: Run) -> dict[str, Any]:
    """A fold in `metrics.json` of its cross-validation."""
    saved = fold.metrics
    return {
        "fold": int(fold.name),
        "n": saved["test"]["n"],
        "accuracy": saved["test"]["accuracy"],
        "validation_accuracy": saved["validation"]["accuracy"],
        **{key: saved["training"][key] for key in ("best_epoch", "epochs", "seconds")},
    }


# Testing -----------------------------------------------------------------------------------------------------


def _test(run: Run, task: Fitting, place: Workplace) -> None:
    """Predictions and metrics of a trained model: the one time that the test split is read."""
    validation, test = (
        predict_split(task.model, split, task.splits.class_names, place.device, place.world)
        for split in (task.splits.validation, task.splits.test)
    )
    if place.world.first:
        run.validation_predictions, run.test_predictions = validation, test
        _measure(run, task, place.device)


def _test_folds(run: Run, task: Fitting, splits: Splits, place: Workplace) -> None:
    """Predictions and metrics of a cross-validation: on its test images, of its folds' models."""
    held_out = task.splits.validation
    validation = predict_split(task.model, held_out, splits.class_names, place.device, place.world)
    if place.world.first:
        run.validation_predictions, run.test_predictions = validation, _pooled(run, splits)
        _measure(run, task, place.device)


def _measure(run: Run, task: Fitting, device: torch.device) -> None:
    found = {name: run.predictions(name) for name in ("test", "validation")}
    folds = [_fold_facts(fold) for fold in run.folds]
    run.metrics = {
        **{
            name: measure(said.labels, said.probabilities, said.class_names, groups=said.groups)
            for name, said in found.items()
        },
        "training": _cost(run, task.model, task.splits, device),
        **({"folds": folds} if folds else {}),
    }


def _finish(run: Run, task: Fitting, splits: Splits, place: Workplace) -> None:
    """Predictions, metrics, contract, figures and report of a trained model; of a cross-validation, of all folds.

    The final model of one is calibrated by what the folds' models said of their validation images, of which there
    are more than its own.
    """
    if splits.folds:
        _test_folds(run, task, splits, place)
    else:
        _test(run, task, place)
    if not place.world.first:
        return
    judging = run.judging_predictions()
    assert judging is not None
    training = training_sample(task, splits, place.device, lambda done, total: None)
    write_contract(run, task.model, judging, training, task.splits.validation, splits, place.device)
    explain(run, run.model(), splits.test, place.device)
    write_report(run, splits)


def _cost(run: Run, model: Classifier, splits: Splits, device: torch.device) -> dict[str, Any]:
    """What training took, for `metrics.json`."""
    state = run.state
    seconds = sum(record["seconds"] for record in state.history)
    images = sum(run.recipe.fit.shares(state.epoch)) * len(splits.train)
    strength = {}
    if run.has(Run.transfer):
        # A head's features belong to its training, and each image passes the backbone once, whatever the head does.
        seconds, images = seconds + run.transfer["seconds"], len(splits.train)
        if strengths := run.transfer.get("strengths"):
            strength = {"strength": strengths[state.best_epoch - 1]}
    trainable, total = model.parameter_counts()
    return {
        "seconds": round(seconds, 3),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        **strength,
        "stop_reason": state.stop_reason,
        "failed": state.failed,
        "images_per_second": round(images / seconds, 1),
        "parameters_trainable": trainable,
        "parameters_total": total,
        "peak_memory_mib": peak_memory_mib(),
        "device": device_name(device),
        "history": history_hash(state.history),
    }
