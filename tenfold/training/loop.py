"""The training loop: a learner, a run folder and its checkpoints, as a generator that yields a record per epoch."""

from collections.abc import Iterator

import torch

from tenfold.core.devices import keep_freed_memory
from tenfold.core.world import ALONE, World
from tenfold.data import Splits
from tenfold.models import Classifier
from tenfold.recipe import Recipe
from tenfold.runs.checkpoint import load_checkpoint, save_checkpoint
from tenfold.runs.folder import Run
from tenfold.training.learner import Epoch, Learner, Memory
from tenfold.training.method import MakeMethod, Watcher
from tenfold.training.steps import GradientSteps


def fit(
    model: Classifier,
    splits: Splits,
    recipe: Recipe,
    run: Run,
    *,
    device: torch.device | None = None,
    resume: bool = False,
    watch: Watcher | None = None,
    method: MakeMethod = GradientSteps,
    spent_before: float = 0.0,
    world: World = ALONE,
) -> Iterator[Epoch]:
    """Train `model` in place, yielding each epoch's record after its checkpoint is on disk.

    To stop early, leave the loop: `tenfold resume` or `resume=True` goes on from the last finished epoch, and on
    a CPU ends with the same weights, bit for bit, as a run that was never interrupted. When the generator ends by
    itself, the model holds the best epoch's weights by `recipe.stop.monitor`. A loss that is not finite ends
    training with `State.failed` set and a reason that names the step; the best model so far is kept. `method` is
    another way through an epoch than by gradient steps; `spent_before`, seconds that count as training already.
    In a `world` of processes, which see the same folder, the first one writes.
    """
    keep_freed_memory()
    learner = Learner(
        model,
        splits,
        recipe,
        device=device,
        watch=watch,
        method=method,
        spent_before=spent_before,
        world=world,
    )
    if resume:
        learner.go_on(Memory(*load_checkpoint(run.path, learner.model, learner.optimizer)))
    while learner.state.stop_reason is None:
        record = learner.run_epoch()
        if world.first:
            _save(learner, run, splits.class_names, record)
        if record is not None:
            yield record
    learner.restore_best()


def keep(learner: Learner, run: Run, class_names: tuple[str, ...]) -> None:
    """Write what a learner has come to elsewhere into a run's folder, as `fit` leaves it there."""
    run.save_model(learner.model, learner.best, class_names)
    _save(learner, run, class_names, None)


def _save(learner: Learner, run: Run, class_names: tuple[str, ...], record: Epoch | None) -> None:
    """Write a better model, checkpoint and history, in this order: a kill between them costs nothing."""
    if record is not None and learner.improved:
        run.save_model(learner.model, learner.best, class_names)
    memory = learner.memory
    save_checkpoint(run.path, memory.state, learner.model, memory.best, learner.optimizer, memory.images)
    run.history = memory.state.history
