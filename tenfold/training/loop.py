"""The training loop: a learner, a run folder and its checkpoints, as a generator that yields a record per epoch."""

import time
from collections.abc import Iterator
from contextlib import nullcontext

import torch

from tenfold.core.devices import keep_freed_memory
from tenfold.core.files import check_room
from tenfold.core.machine import kept_to_container
from tenfold.core.signals import Held
from tenfold.core.world import ALONE, World
from tenfold.data import Splits
from tenfold.models import Classifier
from tenfold.recipe import Recipe
from tenfold.runs.checkpoint import load_checkpoint, save_checkpoint
from tenfold.runs.folder import Run
from tenfold.training.learner import Epoch, Learner, Memory
from tenfold.training.method import MakeMethod, Watcher, never
from tenfold.training.steps import GradientSteps

# How often a run's disk holds the model's tensors at least: in its model file, and twice in each of two checkpoints.
COPIES = 5
# Checkpoints within epochs take at most this share of the time.
DISK_SHARE = 0.01


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

    To stop early, leave the loop: `tenfold resume` or `resume=True` goes on from the last checkpoint, and on a CPU
    ends with the same weights, bit for bit, as a run that was never interrupted. Ctrl-C, SIGTERM and SIGHUP are held
    back until the step is done and a checkpoint written. When the generator ends by itself, the model holds the best
    epoch's weights by `recipe.stop.monitor`. A loss that is not finite ends training with `State.failed` set and a
    reason that names the step; the best model so far is kept. `method` is another way through an epoch than by
    gradient steps; `spent_before`, seconds that count as training already. In a `world` of processes, which see the
    same folder, the first one writes. Raises TenfoldError where the disk has no room for the checkpoints, or where
    memory is used up.
    """
    keep_freed_memory()
    if world.first and not resume:
        check_room(run.path / "checkpoint", COPIES * sum(t.nbytes for t in model.state_dict().values()))
    keeper = _Keeper(run, recipe)
    learner = Learner(
        model,
        splits,
        recipe,
        device=device,
        watch=watch,
        method=method,
        spent_before=spent_before,
        world=world,
        # The processes of a world go in step, and are left between epochs only.
        pause=keeper.pause if world.alone else never,
    )
    keeper.learner = learner
    if resume:
        learner.go_on(Memory(*load_checkpoint(run.path, learner.model, learner.optimizer)))
    while learner.state.stop_reason is None:
        with keeper.signals if world.alone else nullcontext():
            # A GPU's driver maps memory that it does not use.
            with kept_to_container() if learner.equipment.device.type == "cpu" else nullcontext():
                record = learner.run_epoch()
            if world.first:
                if record is not None and learner.improved:
                    run.save_model(learner.model, learner.best, splits.class_names)
                keeper.save()
        if record is not None:
            yield record
    learner.restore_best()


def keep(learner: Learner, run: Run, class_names: tuple[str, ...]) -> None:
    """Write what a learner has come to elsewhere into a run's folder, as `fit` leaves it there."""
    run.save_model(learner.model, learner.best, class_names)
    _save(learner, run)


def _save(learner: Learner, run: Run) -> None:
    """Write checkpoint and history, in this order: a kill between them costs nothing."""
    memory = learner.memory
    save_checkpoint(run.path, memory.state, learner.model, memory.best, learner.optimizer, memory.extra)
    run.history = memory.state.history


class _Keeper:
    """Writes the checkpoints of a run, within epochs too: now and then, and where a signal asks for the end."""

    learner: Learner

    def __init__(self, run: Run, recipe: Recipe) -> None:
        self.run, self.seconds = run, 60 * recipe.fit.checkpoint_minutes
        self.signals = Held()
        self.saved, self.cost = time.monotonic(), 0.0

    def save(self) -> None:
        """Write checkpoint and history, and note what that takes."""
        began = time.monotonic()
        _save(self.learner, self.run)
        self.saved = time.monotonic()
        self.cost = self.saved - began

    def pause(self) -> None:
        """Between two steps: save where it is time, and let a signal through that came meanwhile."""
        due = time.monotonic() - self.saved > max(self.seconds, self.cost / DISK_SHARE)
        # A method that has no steps is left where its epoch began.
        if (due or self.signals.came) and self.learner.state.within and self.learner.state.within.steps:
            self.save()
        if self.signals.came:
            self.signals.release()
