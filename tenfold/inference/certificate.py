"""The proof that an exported model answers as the run did: every format, over the run's own test images."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.core.errors import InputError, TenfoldError
from tenfold.data import Split
from tenfold.inference.formats import Answerer
from tenfold.inference.predictor import softmax
from tenfold.runs.folder import Run

# Of a larger split so many images are drawn; and how many are answered at a time.
SAMPLE, BATCH = 2_000, 64
# The probabilities after the temperature come from the graph itself, and must be those of its own logits.
_OWN = 1e-5


@dataclass(frozen=True)
class Tolerance:
    """How far a probability may be from the saved one, and why so far."""

    probability: float
    why: str


_ROUNDING = Tolerance(1e-4, "both compute in float32, and sum in another order")
_FROZEN = Tolerance(1e-2, "the saved predictions come from cached features, which are rounded to float16")
_DEVICE = Tolerance(1e-2, "the saved predictions were computed on another kind of device, which rounds more")


@dataclass(frozen=True)
class Sample:
    """Test images, the saved raw probabilities of them, and how they were chosen, in words."""

    paths: Sequence[str]
    images: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    words: str


@dataclass(frozen=True)
class Flip:
    """An image that a format gives another class than was saved: the two were as good as equally probable."""

    path: str
    saved: str
    exported: str
    gap: float  # between the saved probabilities of the two


@dataclass(frozen=True)
class Finding:
    """What a format answered: of `images`, `same_class` have the saved class and `near_ties` another.

    `largest_difference` is that of any probability; `images_per_second` was measured in batches on this machine.
    """

    images: int
    same_class: int
    near_ties: tuple[Flip, ...]
    largest_difference: float
    images_per_second: float


def tolerance_of(run: Run, frozen: bool) -> Tolerance:
    """What a run's saved predictions allow. `frozen`: they come from a frozen backbone's cached features."""
    if frozen:
        return _FROZEN
    return _ROUNDING if run.metrics["training"]["device"].startswith("cpu") else _DEVICE


def sample_of(run: Run, split: Split) -> Sample:
    """A split's images, or `SAMPLE` of them, with their saved predictions. Raises InputError unless they match."""
    saved = run.predictions(split.name)
    if list(saved.paths) != list(split.paths) or saved.class_names != run.class_names:
        raise InputError(
            f"{run.path}: the saved predictions are not of its {split.name} images. `tenfold evaluate {run.path}` "
            "makes them anew."
        )
    positions = drawn(len(split), SAMPLE)
    words = f"all {len(split):,} {split.name} images"
    if len(positions) < len(split):
        words = f"{len(positions):,} of {len(split):,} {split.name} images, drawn at random with seed 0"
    return Sample(
        [split.paths[int(index)] for index in positions],
        split.images(positions),
        np.asarray(split.labels)[positions],
        saved.probabilities[positions],
        words,
    )


def drawn(total: int, count: int) -> np.ndarray:
    """`count` of `total` positions, always the same ones, in order; all where there are no more."""
    if total <= count:
        return np.arange(total)
    return np.sort(np.random.default_rng(0).permutation(total)[:count])


def answers_of(answerer: Answerer, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Logits and probabilities (n, classes) of uint8 `images` (n, H, W, C), and images per second after a warm-up."""
    answerer(images[:BATCH])
    began = time.perf_counter()
    parts = [answerer(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    rate = len(images) / (time.perf_counter() - began)
    logits, probabilities = (np.concatenate(values) for values in zip(*parts, strict=True))
    return logits, probabilities, rate


def certify(
    name: str,
    answerer: Answerer,
    sample: Sample,
    class_names: Sequence[str],
    temperature: float,
    tolerance: Tolerance,
) -> Finding:
    """Compare a format's answers with the saved ones.

    Raises TenfoldError where a probability differs by more than the tolerance, or a class does though its saved
    probability led by more than twice that: no two probabilities that each move within it could change places.
    """
    logits, given, rate = answers_of(answerer, sample.images)
    raw = softmax(logits)
    distances = np.abs(raw - sample.probabilities).max(1)
    flips = _flips(raw, sample, class_names)
    largest = float(distances.max())
    # A NaN is beyond every tolerance.
    if not largest <= tolerance.probability or any(flip.gap > 2 * tolerance.probability for flip in flips):
        worst = int(np.nanargmax(np.where(np.isnan(distances), np.inf, distances)))
        raise TenfoldError(
            f"the exported {name} model does not answer as the run did: its probabilities differ by up to "
            f"{largest:.2g} (of {sample.paths[worst]}), expected at most {tolerance.probability:g}; {len(flips)} of "
            f"{len(raw)} images got another class. Nothing was kept. Where versions or hardware changed since, "
            "`tenfold evaluate` renews what is compared with."
        )
    _check_own(name, given, softmax(logits, temperature))
    return Finding(len(raw), len(raw) - len(flips), tuple(flips), largest, round(rate, 1))


def files_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Size (bytes) and SHA-256 of every file in `folder`."""
    return {path.name: _described(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as content:
        return {
            "bytes": path.stat().st_size,
            "sha256": hashlib.file_digest(content, "sha256").hexdigest(),
        }


def _flips(raw: np.ndarray, sample: Sample, class_names: Sequence[str]) -> list[Flip]:
    exported, saved = raw.argmax(1), sample.probabilities.argmax(1)
    flips = []
    for index in np.flatnonzero(exported != saved).tolist():
        old, new = int(saved[index]), int(exported[index])
        gap = float(sample.probabilities[index, old] - sample.probabilities[index, new])
        flips.append(Flip(sample.paths[index], class_names[old], class_names[new], gap))
    return flips


def _check_own(name: str, given: np.ndarray, expected: np.ndarray) -> None:
    difference = float(np.abs(given - expected).max())
    if not difference <= _OWN:
        raise TenfoldError(
            f"the exported {name} model's probabilities are not the softmax of its logits over the temperature: they "
            f"differ by {difference:.2g}, expected at most {_OWN:g}. Nothing was kept."
        )
