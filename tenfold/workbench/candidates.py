"""Candidates: recipes that are learned and judged by a clock before a run begins; the best of them becomes the run.

They are compared on the validation images alone. No test image is looked at.
"""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from tenfold.comparison.statistics import mcnemar_mid_p
from tenfold.core.progress import Progress
from tenfold.data import Splits
from tenfold.inference.evaluation import predict_split
from tenfold.recipe import Recipe, load_recipe
from tenfold.runs.folder import Run
from tenfold.training.balance import balanced
from tenfold.training.begin import new_model
from tenfold.training.learner import Learner
from tenfold.training.loop import keep
from tenfold.training.transfer import Fitting, on_features
from tenfold.workbench.clock import Deadline, OutOfTimeError, in_minutes

# Of the time for a head, the share that its features may take before they are given up.
_FEATURES_SHARE = 0.9
# A difference between two candidates is beyond the noise where chance gives one as large more rarely than this.
RARE = 0.05


@dataclass(frozen=True, eq=False)
class Candidate:
    """A recipe that has been learned; which validation images (N,) it gets right, and each one's loss (N,)."""

    name: str
    recipe: Recipe
    fitting: Fitting
    learner: Learner
    right: np.ndarray
    losses: np.ndarray

    def write(self, run: Run, class_names: tuple[str, ...]) -> None:
        """Make a new run's folder that of a training which has ended as this one did."""
        if self.fitting.features:
            run.transfer = self.fitting.features
        keep(self.learner, run, class_names)


@dataclass(frozen=True)
class Verdict:
    """Whether one candidate is better than another beyond the noise of the validation images, and what was found."""

    better: bool
    words: str


def learn(
    recipe: Recipe, splits: Splits, device: torch.device, until: float, note: Progress
) -> Candidate | None:
    """Learn a recipe until a time (of `time.perf_counter`) at most; None where its features would end too late.

    Features that were begun stay in the cache. `note` hears of them. Raises InputError where the recipe does not suit
    the images.
    """
    began = time.perf_counter()
    recipe = balanced(recipe, splits)
    if until < float("inf"):
        recipe = load_recipe(recipe, {"fit.minutes": in_minutes(until - began)})
    features = Deadline(note, began + _FEATURES_SHARE * (until - began))
    try:
        fitting = on_features(new_model(recipe, splits), splits, recipe, device, features, tested=False)
    except OutOfTimeError:
        return None
    learner = Learner(
        fitting.model,
        fitting.splits,
        fitting.recipe,
        device=device,
        method=fitting.method,
        spent_before=time.perf_counter() - began,
    )
    while learner.state.stop_reason is None:
        learner.run_epoch()
    if learner.state.came_to_nothing:
        return None
    learner.restore_best()
    told = predict_split(fitting.model, fitting.splits.validation, splits.class_names, device)
    given = told.probabilities[np.arange(len(told.labels)), told.labels]
    right = told.probabilities.argmax(1) == told.labels
    name = "backbone" if fitting.features else "fine-tune"
    return Candidate(name, recipe, fitting, learner, right, -np.log(np.clip(given, 1e-7, 1.0)))


def compare(new: Candidate, old: Candidate) -> Verdict:
    """Whether `new` is better than `old`, image by image of the validation split.

    Better is: more images right than chance explains (McNemar's exact mid-p test), or a lower loss than chance
    explains (paired t test), where it gets no fewer right.
    """
    gained, lost = int((new.right & ~old.right).sum()), int((old.right & ~new.right).sum())
    saved = old.losses - new.losses
    by_loss = _paired_p(saved)
    by_right = mcnemar_mid_p(lost, gained)
    better = gained >= lost and bool(
        (gained > lost and by_right < RARE) or (saved.mean() > 0 and by_loss < RARE)
    )
    found = (
        f"{new.right.mean():.1%} of {len(new.right):,} validation images after {old.right.mean():.1%} "
        f"(p = {by_right:.2g}), loss {new.losses.mean():.3f} after {old.losses.mean():.3f} (p = {by_loss:.2g})"
    )
    return Verdict(better, f"{found}: {'kept' if better else 'not better beyond chance, left'}")


def _paired_p(differences: np.ndarray) -> float:
    """Two-sided p-value of a paired t test; differences that are all the same leave no doubt."""
    from scipy.stats import t

    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / len(differences) ** 0.5
    if error < 1e-9:
        return float(abs(mean) < 1e-9)
    return float(2 * t.sf(abs(mean) / error, len(differences) - 1))


def image_seconds(recipe: Recipe, splits: Splits, device: torch.device) -> float:
    """Seconds that `recipe` takes to learn from an image, after a warm-up; nothing is kept of it."""
    most = min(2 * recipe.fit.batch_size, len(splits.train))
    few = replace(
        splits, train=splits.train.part(np.arange(most)), validation=splits.validation.part(np.arange(1))
    )
    recipe = load_recipe(recipe, {"fit.epochs": 2, "fit.hardest": [1.0], "fit.scales": [1.0]})
    learner = Learner(new_model(recipe, splits), few, recipe, device=device)
    learner.learn(1)
    began = time.perf_counter()
    learner.learn(2)
    return (time.perf_counter() - began) / most
