"""What a way through an epoch works with, and the contract that every such way keeps."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from tenfold.core.devices import choose_precision
from tenfold.core.world import ALONE, World
from tenfold.data.batches import Feed
from tenfold.models import Classifier
from tenfold.models.shared_norm import Sharing
from tenfold.recipe import Recipe
from tenfold.runs.checkpoint import Tensors, Within
from tenfold.training.schedules import Schedule


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Step:
    """What a progress display is told after each step; `loss` and `accuracy` are means since the epoch began."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float


# What an image takes that is judged, in times of one that is learned from; the first steps, which say little of that.
JUDGED, _WARM_UP = 0.4, 2

Watcher = Callable[[Step], None]
# Called between two steps, when model, optimizer and all that the method remembers belong together.
Pause = Callable[[], None]


def never() -> None:
    """Never pause."""


class Pace:
    """Where training stands between beginning and end, by its epochs or by the clock, and what rates follow from it.

    `shares` is what share of the training images each epoch learns from, so that an epoch counts for what it does;
    `judged`, how many images judge it. The clock of a world is that of its first process.
    """

    def __init__(
        self, recipe: Recipe, schedule: Schedule, optimizer: torch.optim.Optimizer, world: World = ALONE
    ) -> None:
        self.schedule, self.optimizer, self.minutes = schedule, optimizer, recipe.fit.minutes
        self.world = world
        self.shares = recipe.fit.shares(recipe.fit.epochs)
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"] * group.get("lr_scale", 1.0)
        self.began, self.spent_before, self.validation_seconds = time.perf_counter(), 0.0, 0.0
        self.judged, self._validated, self._steps, self._seen, self._warm = 0, False, 0, 0, 0.0

    def set_rates(self, epoch: int, within: float = 0.0) -> float:
        """Set each group's rate for the step after the share `within` of the epoch; return the first group's."""
        done = sum(self.shares[: epoch - 1]) + within * self.shares[epoch - 1]
        factor = self.schedule.factor(min(max(done / sum(self.shares), self.share_of_time()), 1.0))
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        return self.optimizer.param_groups[0]["lr"]

    def took_step(self, images: int) -> None:
        """Until a validation has been seen, expect it to take as long as so many images were learned from.

        The first steps do not count: threads, memory and kernels are made in them.
        """
        self._steps += 1
        if self._steps <= _WARM_UP:
            self._warm = time.perf_counter()
        elif not self._validated:
            self._seen += images
            image_seconds = (time.perf_counter() - self._warm) / self._seen
            self.validation_seconds = JUDGED * image_seconds * self.judged

    def saw_validation(self, seconds: float) -> None:
        """What the last one took, which the next one will take."""
        self.validation_seconds, self._validated = seconds, True

    def share_of_time(self) -> float:
        """How much of `fit.minutes` is over, 0 without them; the epoch's validation is counted as if it were past."""
        if self.minutes is None:
            return 0.0
        spent = self.spent_before + time.perf_counter() - self.began + self.validation_seconds
        return self.world.first_says(spent) / (60 * self.minutes)


@dataclass(frozen=True, eq=False)
class Equipment:
    """What a method is given: the model and its optimizer, what feeds them, and whom it tells of its steps.

    `norms` says who shares the batch that the model's norms see, where they normalise by a world's.
    """

    model: Classifier
    train: Feed
    recipe: Recipe
    optimizer: torch.optim.Optimizer
    pace: Pace
    watch: Watcher | None = None
    norms: Sharing = field(default_factory=lambda: Sharing(ALONE))
    pause: Pause = never

    @property
    def world(self) -> World:
        """The processes that learn together."""
        return self.train.world

    @property
    def device(self) -> torch.device:
        """Where the model and its images are."""
        return self.train.device

    def precision(self) -> AbstractContextManager[object]:
        """Where the network computes in bfloat16, the context in which it does."""
        chosen = choose_precision(self.recipe.fit.precision, self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=chosen == "bfloat16")


@dataclass(frozen=True)
class Learned:
    """An epoch of training: means of loss (with penalty) and accuracy over its images, and how many steps it took."""

    loss: float
    accuracy: float
    steps: int


class Method(ABC):
    """A way through an epoch of training. One is made for a training, and lives as long.

    `unit` is what people call such an epoch.
    """

    unit: ClassVar[str]

    @abstractmethod
    def begin(self, epoch: int) -> float:
        """Make ready for an epoch, counted from 1; return the learning rate that its record states."""

    @abstractmethod
    def learn(self, epoch: int, within: Within) -> Learned:
        """Change the model for an epoch, or for what `within` says is left of it; say what became of it.

        A method that can be left between steps keeps `within` true, and calls the equipment's `pause`. Raises
        NonFiniteLossError, which says where, when the loss is not finite.
        """

    @abstractmethod
    def memory(self) -> Tensors:
        """What it must remember from step to step, beside model and optimizer, for a checkpoint to keep."""

    @abstractmethod
    def restore(self, memory: Tensors) -> None:
        """Go on from what `memory` gave."""


MakeMethod = Callable[[Equipment], Method]
