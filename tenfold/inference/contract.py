"""What a trained classifier promises to whoever asks it: how a file becomes pixels, and what its answers mean.

`inference.json` lies in a run folder and in an exported folder. `predict`, `export` and `serve` read nothing else
about preprocessing, class names, temperature or thresholds, so they cannot disagree. PyTorch is not needed.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.core.errors import InputError
from tenfold.data import decoding_of
from tenfold.data.decode import Fit, Target, decode_pixels
from tenfold.data.formats import Encoded
from tenfold.inference.familiarity import Familiarity
from tenfold.runs.files import Folder, first_fault
from tenfold.runs.folder import Run

VERSION = 2
# The confidence with which a threshold reaches the accuracy stated, and the mistakes that its first test may find.
CONFIDENCE, SPARE_MISTAKES = 0.95, 3


@dataclass(frozen=True)
class Reading:
    """How a file becomes pixels, in words that a program elsewhere can follow; `tenfold.data.decode` does it.

    `version` counts the rules: one that this tenfold does not know is refused, never guessed.
    """

    version: int = 1
    orientation: str = "rotated and mirrored according to EXIF"
    frames: str = "the first"
    transparency: str = "over white"
    depth: str = (
        "more than 8 bits: the range below becomes 0..255, rounded; without one 0..65535, and 0..1 or 0..255"
    )
    whole_range: tuple[float, float] | None = None
    real_range: tuple[float, float] | None = None
    colours: str = "RGB; one channel: ITU-R 601-2 luma (0.299 R + 0.587 G + 0.114 B)"
    fit: Fit = (
        "crop"  # the largest centred part of the wanted shape; "pad": all of it on black; "squash": distorted
    )
    resampling: str = "bicubic, antialiased"
    jpeg: str = (
        "halved while decoded as long as both sides stay at least twice the wanted ones (libjpeg's draft)"
    )

    @classmethod
    def of(cls, target: Target) -> "Reading":
        """The rules that a run's images were decoded by (`tenfold.data.decoding_of` its `data.json`)."""
        return cls(fit=target.fit, whole_range=target.whole_range, real_range=target.real_range)


@dataclass(frozen=True)
class Calibration:
    """What validation says of the probabilities. Its images: `images`, of which `mistakes` were named wrongly.

    `temperature` divides the logits (Guo et al., ICML 2017); `note` says how it was found, or why it is 1.
    `confidence`: rows (probability, answered, right): so many images have at least that probability after the
    temperature, and so many of those are right. `conformal`: rows (coverage, least probability): the classes of at
    least that probability hold the true one with that coverage (split conformal prediction: Vovk et al. 2005).
    `emphasis` (K,): how much more training counted an image of each class; None for alike. The probabilities are for
    classes in their shares of training times it. Divided by it, and then by their sum, they are for the shares alone.
    """

    images: int
    mistakes: int
    temperature: float
    note: str
    confidence: tuple[tuple[float, int, int], ...] = ()
    conformal: tuple[tuple[float, float], ...] = ()
    emphasis: tuple[float, ...] | None = None

    def threshold(self, accuracy: float) -> float:
        """The least probability of an answer that counts as sure when `accuracy` of the sure ones shall be right.

        With 95 % confidence over the drawing of the validation images. Thresholds are tested from the highest down,
        each by the exact binomial test, until the first that fails; the lowest before it is given. Testing in a fixed
        order keeps the confidence, which the best of many tests would not (fixed-sequence testing: Angelopoulos et
        al., "Learn then Test", 2021). Infinite where none passes.
        """
        return _threshold(self.confidence, self.images, accuracy)

    def least_probability(self, coverage: float) -> float:
        """The probability that the classes of a set have at least. Raises InputError for what cannot be covered."""
        fitting = [probability for stated, probability in self.conformal if stated >= coverage - 1e-9]
        if not fitting:
            most = max((stated for stated, _ in self.conformal), default=0.0)
            raise InputError(
                f"--conformal {coverage:g}: {self.images:,} validation images support at most {most:g}. "
                "Ask for less, or train with more validation images."
            )
        return fitting[0]


@dataclass(frozen=True)
class Contract:
    """Class names in the order of the logits, the image (channels, height, width), and what answers mean.

    `weights` is a hash of the weights that all this was measured with. Without `calibration` (no validation
    predictions) probabilities are raw and nothing is called unsure; without `familiarity` nothing is called unlike.
    """

    class_names: tuple[str, ...]
    image: tuple[int, int, int]
    weights: str = ""
    reading: Reading = field(default_factory=Reading)
    calibration: Calibration | None = None
    familiarity: Familiarity | None = None

    @property
    def target(self) -> Target:
        """What pictures are brought to."""
        channels, height, width = self.image
        reading = self.reading
        return Target(height, width, channels, reading.fit, reading.whole_range, reading.real_range)

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become probabilities: 1 where none could be fitted."""
        return self.calibration.temperature if self.calibration else 1.0

    def threshold(self, accuracy: float) -> float:
        """As `Calibration.threshold`; 0 without a calibration. Raises InputError unless 0 < accuracy < 1."""
        if not 0 < accuracy < 1:
            raise InputError(f"--accuracy {accuracy:g}: expected a number between 0 and 1, such as 0.95.")
        return self.calibration.threshold(accuracy) if self.calibration else 0.0

    def least_probability(self, coverage: float) -> float:
        """As `Calibration.least_probability`. Raises InputError without a calibration, or unless 0 < coverage < 1."""
        if not 0 < coverage < 1:
            raise InputError(f"--conformal {coverage:g}: expected a number between 0 and 1, such as 0.9.")
        if self.calibration is None:
            raise InputError(
                f"--conformal {coverage:g}: there is no calibration on validation images to take it from. "
                "`tenfold evaluate RUN` makes it."
            )
        return self.calibration.least_probability(coverage)

    def pixels(self, encoded: Encoded) -> np.ndarray:
        """One picture (a file's path, its contents, or (H, W, C) uint8) as (height, width, channels) uint8.

        Exactly what training does to its files. Raises OSError or ValueError with the reason if it cannot be read.
        """
        return decode_pixels(encoded, self.target)

    def write(self, folder: Path) -> None:
        """Write `inference.json` into `folder`."""
        Run.contract.write(Folder(folder), {"version": VERSION, **asdict(self)})


def reading_of(folder: Path) -> Reading:
    """The rules that the images of the run in `folder` were decoded by; the common ones where it is no run."""
    facts = Run(folder).saved(Run.data)
    return Reading() if facts is None else Reading.of(decoding_of(facts))


def read_contract(folder: Path) -> Contract:
    """The contract of a run or an exported folder. Raises InputError where it is missing, damaged or newer."""
    place = Folder(folder)
    saved = Run.contract.read(place)
    found = saved["version"], saved["reading"]["version"]
    if found != (VERSION, Reading.version):
        raise InputError(
            f"{place.path_of(Run.contract)}: was written in version {found[0]} (reading {found[1]}), this tenfold "
            f"knows version {VERSION} (reading {Reading.version}). `tenfold evaluate RUN` makes a run's anew; an "
            "exported folder must be exported again, or used by the tenfold that wrote it."
        )
    with Run.contract.named(place):
        return _parsed(saved)


def _parsed(saved: dict[str, Any]) -> Contract:
    """Raises ValueError where it is none."""
    from pydantic import TypeAdapter, ValidationError

    try:
        contract = TypeAdapter(Contract).validate_json(json.dumps(saved), strict=True)
    except ValidationError as error:
        raise ValueError(f"is damaged: {first_fault(error)}") from None
    familiarity, classes = contract.familiarity, len(contract.class_names)
    if familiarity and {len(row) for row in (familiarity.centre, *familiarity.whitening)} != {
        len(familiarity.whitening)
    }:
        raise ValueError(
            "is damaged: familiarity: expected a square whitening, and as many numbers in centre"
        )
    if min(contract.image) < 1 or classes < 1 or contract.temperature <= 0:
        raise ValueError(
            "is damaged: image, class_names and temperature: expected positive numbers and a class"
        )
    return contract


@lru_cache(maxsize=8)  # a hundred tests, which every answer of a server would repeat
def _threshold(confidence: tuple[tuple[float, int, int], ...], images: int, accuracy: float) -> float:
    lowest = math.inf
    for probability, answered, right in confidence:
        if not _can_pass(answered, images, accuracy):
            continue
        if not _proven(right, answered, accuracy):
            break
        lowest = probability
    return lowest


def _can_pass(answered: int, images: int, accuracy: float) -> bool:
    """Whether so many images suffice for a test that a few mistakes do not fail; of half the images, no mistake.

    Decided by the number of images alone, so the order of the tests stays fixed.
    """
    spare = 0 if 2 * answered >= images else SPARE_MISTAKES
    return _proven(answered - spare, answered, accuracy)


def _proven(right: int, answered: int, accuracy: float) -> bool:
    """Whether so many right ones refute, at 95 % confidence, that the accuracy is below `accuracy`.

    The exact binomial test: so few mistakes have a probability of at most 5 % at that accuracy.
    """
    mistakes = answered - right
    if right < 0:
        return False
    counts = np.arange(mistakes)
    steps = np.log((answered - counts) / (counts + 1) * ((1 - accuracy) / accuracy))
    logarithms = answered * math.log(accuracy) + np.concatenate([[0.0], np.cumsum(steps)])
    return float(np.exp(logarithms).sum()) <= 1 - CONFIDENCE
