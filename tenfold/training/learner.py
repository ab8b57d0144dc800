"""A learner: a model, its optimizer, schedule and images, that learns an epoch and judges it. It knows no disk.

What the notebooks' Keras did is kept: the logged losses contain the L2 penalty, accuracy and loss of an epoch are
the means over its images while the model was changing, the plateau schedule and early stopping count epochs as
Keras' callbacks do. The weights of the best epoch are restored always, however training ended. (The notebooks'
TensorFlow 2.15 restored them only when early stopping ended it, so that notebook 03 tested epoch 30 believing it
tested 29; Keras 3 restores them in both cases, as tenfold does.)
"""

import math
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch

from tenfold.core.errors import OutOfMemoryError, first_line, is_out_of_memory
from tenfold.core.randomness import seed_for
from tenfold.core.world import ALONE, World
from tenfold.data import Split, Splits, class_counts
from tenfold.data.feeds import feed
from tenfold.inference.evaluation import Score, score
from tenfold.models import Classifier
from tenfold.models.shared_norm import Sharing, norm_averages, share_norms
from tenfold.recipe import Recipe
from tenfold.runs.checkpoint import State, Tensors, Within
from tenfold.training.averages import Averages
from tenfold.training.method import (
    Equipment,
    Learned,
    MakeMethod,
    Method,
    NonFiniteLossError,
    Pace,
    Pause,
    Watcher,
    never,
)
from tenfold.training.optimizers import build_optimizer, share_work
from tenfold.training.schedules import build_schedule, improves
from tenfold.training.steps import GradientSteps

# How many pixels a model may see before it learns: enough to know how neighbours go together.
INITIALISATION_PIXELS = 2**19


@dataclass(frozen=True)
class Epoch:
    """One row of history.csv: means over the images that the epoch learned from; `seconds` include validation."""

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    # None in an epoch that an earlier version trained.
    validation_f1_macro: float | None = None
    validation_balanced_accuracy: float | None = None


@dataclass
class Memory:
    """All that a learner needs to go on, beside its model's weights and its optimizer's state.

    `best`: the best epoch's weights; `extra`: what the method remembers of single images, and an average of weights.
    """

    state: State
    best: Tensors
    extra: Tensors


class Learner:
    """Learns `model` in place from `splits.train` by a recipe, and judges it on `splits.validation`.

    `run_epoch` is one epoch with its validation and its consequences; `learn` is the epoch's training alone. The
    optimizer and `memory` are what a checkpoint keeps. `method` is another way through an epoch than by gradient
    steps; `watch` hears of each step, and `pause` is called where training can be left. `spent_before` are seconds of
    `fit.minutes` that are gone already, such as those of a frozen backbone's features. In a `world` of processes each
    has a learner of its own, and they go in step. Raises InputError for a recipe that does not suit the model.
    """

    def __init__(
        self,
        model: Classifier,
        splits: Splits,
        recipe: Recipe,
        *,
        device: torch.device | None = None,
        watch: Watcher | None = None,
        method: MakeMethod = GradientSteps,
        spent_before: float = 0.0,
        world: World = ALONE,
        pause: Pause = never,
    ) -> None:
        device = device or torch.device("cpu")
        self.model, self.recipe = model.to(device), recipe
        decay = recipe.fit.ema_decay
        self.averages = Averages(self.model, decay) if decay else None
        norms = Sharing(world)
        if not world.alone and recipe.fit.batch_norm == "global":
            share_norms(self.model, norms)
        self.optimizer = build_optimizer(recipe.optimizer, model.parameter_groups())
        if self.averages is not None:
            averages = self.averages
            self.optimizer.register_step_post_hook(lambda *_: averages.update())
        share_work(self.optimizer, world)
        self.schedule = build_schedule(recipe.schedule)
        self.pace = Pace(recipe, self.schedule, self.optimizer, world)
        self.spent_before = self.pace.spent_before = spent_before
        self.train = feed(splits.train, device, world)
        self.validation = feed(_sample(splits.validation, recipe), device, world)
        self.emphasis = recipe.fit.emphasis(class_counts(splits.train, model.classes))
        self.pace.judged = len(self.validation)
        self.state = State(schedule=self.schedule.memory)
        self.best: Tensors = {}
        # The epoch to go on with, where it had begun.
        self.left: Within | None = None
        self.equipment = Equipment(
            self.model, self.train, recipe, self.optimizer, self.pace, watch, norms, pause
        )
        self.method: Method = method(self.equipment)

    @property
    def memory(self) -> Memory:
        """What a checkpoint keeps beside the model's weights and the optimizer's state."""
        averages = self.averages.memory() if self.averages else {}
        return Memory(self.state, self.best, {**self.method.memory(), **averages})

    def go_on(self, memory: Memory) -> None:
        """Go on from where a learner of the same recipe stood."""
        self.state, self.best = memory.state, memory.best
        self.method.restore(memory.extra)
        if self.averages is not None:
            self.averages.restore(memory.extra)
        seconds = [record["seconds"] for record in self.state.history]
        self.left = self.state.within
        seconds += [self.left.seconds] if self.left else []
        self.pace.spent_before = self.spent_before + sum(seconds)
        self.schedule.memory = self.state.schedule

    @property
    def judged(self) -> Classifier:
        """What is validated and kept of an epoch: the model, or the average of its weights."""
        return self.averages.model if self.averages else self.model

    def restore_best(self) -> None:
        """Put the best epoch's weights into the model."""
        if self.best:
            self.model.load_state_dict(self.best)

    def run_epoch(self) -> Epoch | None:
        """One epoch and its consequences for the state; None where the loss was not finite.

        Raises OutOfMemoryError, which says what to lower, where there is not enough memory for it.
        """
        try:
            record = self._learn_and_validate(self.state.epoch + 1)
        except NonFiniteLossError as error:
            self.state.stop_reason, self.state.failed, self.state.within = str(error), True, None
            return None
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise OutOfMemoryError(self._what_to_lower(error)) from error
            raise
        self.note(record)
        return record

    def note(self, record: Epoch) -> None:
        """Draw an epoch's consequences: the best one, the end, and what the schedule makes of it."""
        self.state.epoch, self.state.within = record.epoch, None
        self.state.history.append(asdict(record))
        self._judge(asdict(record))
        self.schedule.observe(asdict(record))

    @property
    def improved(self) -> bool:
        """Whether the last epoch is the best one so far."""
        return self.state.epoch > 0 and self.state.best_epoch == self.state.epoch

    def learn(self, epoch: int) -> Learned:
        """One epoch of training alone, counted from 1, or what is left of it."""
        within = self.state.within = self.left or Within()
        self.left = None
        if epoch == 1 and not within.steps:
            self._initialise()
            if self.averages:
                self.averages.restart()
        self.model.begin_epoch(epoch)
        world = self.train.world
        world.follow_first(self.model.state_dict().values())
        learned = self.method.learn(epoch, within)
        if not world.alone:
            self._average_norms(world)
            if self.averages:
                self.averages.agree(world)
        return learned

    def validate(self) -> Score:
        """How good the model is on the validation images, whose classes count as they do in training."""
        with self.equipment.precision():
            return score(self.judged, self.validation, self.emphasis, self.equipment.pause)

    def _learn_and_validate(self, epoch: int) -> Epoch:
        began, before = time.perf_counter(), self.left.seconds if self.left else 0.0
        learning_rate = self.method.begin(epoch)
        learned = self.learn(epoch)
        trained = time.perf_counter()
        judged = self.validate()
        self.state.step += learned.steps
        if not math.isfinite(judged.loss):
            raise NonFiniteLossError(f"the validation loss became {judged.loss} after epoch {epoch}")
        self.pace.saw_validation(time.perf_counter() - trained)
        seconds = round(before + time.perf_counter() - began, 3)
        return Epoch(
            epoch=epoch,
            loss=learned.loss,
            accuracy=learned.accuracy,
            validation_loss=judged.loss,
            validation_accuracy=judged.accuracy,
            learning_rate=learning_rate,
            seconds=seconds,
            validation_f1_macro=judged.f1_macro,
            validation_balanced_accuracy=judged.balanced_accuracy,
        )

    def _what_to_lower(self, error: Exception) -> str:
        """What used up the memory, and what takes half of it."""
        batch, (height, width) = self.recipe.fit.batch_size, self.model.image_shape[1:]
        own = self.recipe.model.options.get("image_size")
        key, side = ("model.image_size", own) if own else ("data.image_size", height)
        smaller = [f"fit.batch_size={batch // 2}"] if batch > 1 else []
        smaller += [f"{key}={side // 2}"] if side >= 8 else []
        return (
            f"the memory is used up ({first_line(error)}) by fit.batch_size={batch} and images of {height}x{width}. "
            f"Try {' or '.join([*smaller, 'a smaller model'])}, or allow the process more memory."
        )

    def _initialise(self) -> None:
        """Show the model some training images before it learns."""
        generator = np.random.default_rng(seed_for(self.recipe.fit.seed, "initialisation"))
        height, width = self.model.image_shape[1:]
        count = min(len(self.train), max(32, INITIALISATION_PIXELS // (height * width)))
        self.model.initialise(self.train.take(generator.permutation(len(self.train))[:count])[0])

    def _average_norms(self, world: World) -> None:
        """Make the moving averages of norms that saw parts of the batches those of all parts."""
        averages = norm_averages(self.model)
        world.add_all(averages)
        for average in averages:
            average.div_(world.size)

    def _judge(self, record: dict[str, float]) -> None:
        """Note a new best epoch, and decide whether this was the last one."""
        stop, state = self.recipe.stop, self.state
        value = record[stop.monitor]
        if improves(stop.monitor, value, state.best_value, stop.min_delta):
            state.best_epoch, state.best_value, state.wait = state.epoch, value, 0
            self.best = {name: tensor.detach().clone() for name, tensor in self.judged.state_dict().items()}
        else:
            state.wait += 1
        if stop.patience is not None and state.wait >= stop.patience:
            state.stop_reason = f"{stop.monitor} did not improve for {stop.patience} {self.method.unit}s"
        elif self.recipe.fit.minutes is not None and self.pace.share_of_time() >= 1:
            state.stop_reason = f"its {60 * self.recipe.fit.minutes:.3g} s of training were up"
        elif state.epoch >= self.recipe.fit.epochs:
            state.stop_reason = f"all {self.recipe.fit.epochs} {self.method.unit}s done"


def _sample(validation: Split, recipe: Recipe) -> Split:
    """The validation images that judge an epoch."""
    if recipe.stop.sample is None or recipe.stop.sample >= len(validation):
        return validation
    generator = np.random.default_rng(seed_for(recipe.fit.seed, "validation sample"))
    return validation.part(np.sort(generator.permutation(len(validation))[: recipe.stop.sample]))
