"""Schedules: the share of training that is done -> a factor on the learning rate.

A schedule is a class whose options are its keyword-only fields. To add one, write it and add one line to `SCHEDULES`.
"""

import math
from dataclasses import dataclass
from typing import Any

from tenfold.recipe.components import Choice, Count, Fraction, Monitor, NonNegative, Share, components


@dataclass(kw_only=True)
class Schedule:
    """A factor on the optimizer's learning rate for each step; `constant` is this class itself.

    The fields of subclasses are what a recipe can set; what a schedule learns while training is in `memory`,
    which a checkpoint keeps.
    """

    def __post_init__(self) -> None:
        self.memory: dict[str, Any] = {}

    def factor(self, progress: float) -> float:
        """The factor at `progress`: the share (0..1) of all planned steps that is done."""
        return 1.0

    def observe(self, record: dict[str, Any]) -> None:
        """Hear of an epoch's record (names as in history.csv); only `Plateau` listens."""


@dataclass(kw_only=True)
class Cosine(Schedule):
    """Half a cosine from 1 to `final`, after a linear `warmup` (Loshchilov & Hutter, arXiv 1608.03983)."""

    warmup: Share = 0.0
    final: Fraction = 0.0

    def factor(self, progress: float) -> float:
        """The cosine's value at `progress`."""
        if progress < self.warmup:
            return progress / self.warmup
        angle = math.pi * (progress - self.warmup) / (1 - self.warmup)
        return self.final + (1 - self.final) * (1 + math.cos(angle)) / 2


@dataclass(kw_only=True)
class OneCycle(Schedule):
    """Linear from `start` up to 1 at `peak`, and linear down to `final` (Smith & Topin, arXiv 1708.07120)."""

    peak: Share = 0.3
    start: Fraction = 0.04
    final: Fraction = 0.0

    def factor(self, progress: float) -> float:
        """The triangle's value at `progress`."""
        if progress < self.peak:
            return self.start + (1 - self.start) * progress / self.peak
        return 1 + (self.final - 1) * (progress - self.peak) / (1 - self.peak)


@dataclass(kw_only=True)
class StepDecay(Schedule):
    """Times `gamma` at each of the `milestones`, given as shares of training."""

    milestones: tuple[Fraction, ...] = (0.5, 0.75)
    gamma: Fraction = 0.1

    def factor(self, progress: float) -> float:
        """`gamma` to the power of the milestones passed."""
        return self.gamma ** sum(progress >= milestone for milestone in self.milestones)


@dataclass(kw_only=True)
class Plateau(Schedule):
    """Keras' ReduceLROnPlateau: times `gamma` when `monitor` has not improved for `patience` epochs.

    An epoch improves when it betters the best by more than `min_delta`; after a drop, `cooldown` epochs are not
    counted. The factor never takes the rate below `floor` times the optimizer's rate.
    """

    monitor: Monitor = "validation_loss"
    gamma: Fraction = 0.1
    patience: Count = 3
    min_delta: NonNegative = 1e-4
    cooldown: int = 0
    floor: Fraction = 0.0

    def __post_init__(self) -> None:
        self.memory = {"best": None, "wait": 0, "cooling": 0, "factor": 1.0}

    def factor(self, progress: float) -> float:
        """The factor after all drops so far."""
        return self.memory["factor"]

    def observe(self, record: dict[str, Any]) -> None:
        """Count an epoch that did not improve, and drop the factor when patience is at its end."""
        memory = self.memory
        if memory["cooling"] > 0:
            memory["cooling"] -= 1
            memory["wait"] = 0
        if improves(self.monitor, record[self.monitor], memory["best"], self.min_delta):
            memory.update(best=record[self.monitor], wait=0)
        elif memory["cooling"] <= 0:
            memory["wait"] += 1
            if memory["wait"] >= self.patience:
                memory.update(
                    factor=max(memory["factor"] * self.gamma, self.floor), cooling=self.cooldown, wait=0
                )


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Schedule,
    "cosine": Cosine,
    "one-cycle": OneCycle,
    "step": StepDecay,
    "plateau": Plateau,
}


def build_schedule(choice: Choice) -> Schedule:
    """The schedule that a recipe's `[schedule]` names."""
    return components("schedule")[choice.name](**choice.options)


def improves(monitor: str, value: float, best: float | None, min_delta: float = 0.0) -> bool:
    """Whether `value` betters `best` by more than `min_delta`: downwards for a loss, upwards for an accuracy."""
    if best is None:
        return not math.isnan(value)
    return value < best - min_delta if monitor.endswith("loss") else value > best + min_delta
