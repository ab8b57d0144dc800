"""What a finding is, and the evidence that the rules read."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.core import numbers
from tenfold.runs import metrics
from tenfold.runs.folder import Run
from tenfold.runs.history import history_hash
from tenfold.runs.resampling import clusters_of

if TYPE_CHECKING:
    from tenfold.recipe import Recipe
    from tenfold.runs.predictions import Predictions


# The parts of a report in which a finding may stand.
Section = Literal[
    "verdict",
    "data",
    "training",
    "confusion",
    "classes",
    "roc",
    "calibration",
    "mistakes",
    "labels",
    "robustness",
    "next",
]


@dataclass(frozen=True)
class Finding:
    """One sentence that holds, with what it rests on.

    `rule` is the name of the function that made it; `numbers` is its evidence; `section` is the part of the
    report that shows it; `images` are positions in the test predictions; `command` tries what an advice says.
    """

    sentence: str
    rule: str
    section: Section
    numbers: dict[str, Any] = field(default_factory=dict)
    images: tuple[int, ...] = ()
    command: str | None = None


@dataclass(frozen=True)
class Evidence:
    """The saved numbers of a run; a rule whose numbers are missing finds nothing.

    `history`, `training`, `test` and `validation` are as in history.csv and metrics.json; `counts` has the
    images of each class by split; `robustness` is robustness.json; `copies` are the positions of those test images
    that are also training or validation images, `near` of those that are near copies of such, `shared` of those of a
    group that has such images; `folds` are those of a cross-validation, as in metrics.json, whose test images are all
    images; `validation_predictions` are those that calibrate; `emphasis` is how much more training counted an image
    of each class; `command` repeats the run.
    """

    history: Sequence[Mapping[str, Any]] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    recipe: "Recipe | None" = None
    predictions: "Predictions | None" = None
    validation_predictions: "Predictions | None" = None
    robustness: Mapping[str, Any] | None = None
    copies: tuple[int, ...] = ()
    near: tuple[int, ...] = ()
    folds: Sequence[Mapping[str, Any]] = ()
    emphasis: tuple[float, ...] | None = None
    shared: tuple[int, ...] = ()
    command: str = "tenfold train"

    @property
    def monitor(self) -> str:
        """The metric that chose the best epoch."""
        return self.recipe.stop.monitor if self.recipe else "validation_loss"

    @property
    def judges(self) -> int:
        """How many validation images judged each epoch: all of them, or the recipe's sample."""
        images = sum(self.counts.get("validation", {}).values())
        sample = self.recipe.stop.sample if self.recipe else None
        return images if sample is None else min(images, sample)

    def share_at(self, epoch: int) -> float:
        """The share of the training images that an epoch learned from: below one, its hardest ones only."""
        return self.recipe.fit.shares(epoch)[-1] if self.recipe else 1.0

    @property
    def left_out(self) -> bool:
        """Whether some epochs learned from the hardest images only: training figures are then theirs alone."""
        return any(self.share_at(int(record["epoch"])) < 1 for record in self.history)

    @cached_property
    def temperature(self) -> float | None:
        """The temperature fitted on validation predictions; None where there are none, or too few mistakes."""
        held_out = self.validation_predictions
        if held_out is None:
            return None
        weights = self.counted(held_out.labels)
        return metrics.fit_temperature(held_out.labels, held_out.probabilities, weights)

    @cached_property
    def images_a_group(self) -> float:
        """By how much tests divide counts of test images, as if those of a group were all answered alike; 1 without.

        The mean size of a test image's group, or of its copies: the largest that the design effect can be (L. Kish,
        "Survey Sampling", Wiley 1965, section 5.4).
        """
        answers = self.predictions
        if answers is None or not len(answers.groups):
            return 1.0
        sizes = np.bincount(clusters_of(answers.groups))
        return float((sizes**2).sum() / sizes.sum())

    def counted(self, labels: NDArray[Any]) -> NDArray[Any] | None:
        """How much each image (N,) counts where classes shall have the shares training gave them; None: alike."""
        return None if self.emphasis is None else np.array(self.emphasis)[labels]


def gather(run: Run) -> Evidence:
    """Read a run's saved numbers. Raises InputError where recipe, data, history or metrics are missing."""
    saved, data, history = run.metrics, run.data, run.history
    if len(history) != saved["training"]["epochs"]:
        raise Run.history.damage(
            run, f"has {len(history)} epochs, but metrics.json tells of {saved['training']['epochs']}"
        )
    if saved["training"].get("history", expected := history_hash(history)) != expected:
        raise Run.history.damage(run, "is damaged: metrics.json was made from other numbers")
    return Evidence(
        history=history,
        training=saved["training"],
        test=saved["test"],
        validation=saved["validation"],
        counts={split: entry["classes"] for split, entry in data["splits"].items()},
        class_names=tuple(data["class_names"]),
        recipe=run.recipe,
        predictions=run.predictions("test") if run.has(Run.test_predictions) else None,
        validation_predictions=run.judging_predictions(),
        robustness=run.saved(Run.robustness),
        copies=tuple(data.get("copies", {}).get("test", ())),
        near=tuple(data.get("near_copies", {}).get("test", ())),
        folds=saved.get("folds", ()),
        emphasis=run.emphasis,
        shared=tuple(data.get("shared_groups", {}).get("test", ())),
        command=run.train_command(),
    )


def short(name: str, limit: int = 18) -> str:
    """A name on one line of at most `limit` characters, cut in the middle: names differ at both ends."""
    line = "".join(" " if unicodedata.category(letter)[0] == "C" else letter for letter in name)
    line = " ".join(line.split()) or "(blank)"
    if len(line) <= limit:
        return line
    tail = limit // 2 - 1
    return f"{line[: limit - tail - 1]}…{line[-tail:]}"


def called(name: str) -> str:
    """A class within a sentence; a name that would read as a number says that it is a class."""
    text = short(name, 40)
    return f"class {text}" if text.replace(".", "").replace("-", "").isdigit() else text


def interval(low: float, high: float) -> str:
    """A 95% interval of a fraction, for reading."""
    return f"95% interval {numbers.interval((low, high))}%"


def listed(items: Sequence[str], limit: int = 5) -> str:
    """`a, b and c`, with the number of those left out."""
    shown = [*items[:limit], *([f"{len(items) - limit} more"] if len(items) > limit else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
