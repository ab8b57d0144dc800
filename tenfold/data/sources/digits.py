"""The handwritten digits that come with scikit-learn: the source that needs no files."""

from importlib.metadata import version
from typing import Any

import numpy as np

from tenfold.data.sources.arrays import array_part
from tenfold.data.sources.parts import Part

DIGITS = "digits"


def digits_stamp() -> str:
    """A text that changes when the digits may have."""
    return f"scikit-learn {version('scikit-learn')}"


def read_digits() -> list[Part]:
    """The 1,797 handwritten digits (8x8, gray) that come with scikit-learn, from the UCI repository's test set."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    return [array_part(None, "digits", images, [str(label) for label in digits.target])]
