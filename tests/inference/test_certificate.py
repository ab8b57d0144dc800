"""The proof that an export answers as its run did: what is forgiven, and what is not."""

import numpy as np
import pytest

from tenfold.core.errors import TenfoldError
from tenfold.inference import certificate
from tenfold.inference.certificate import Sample, Tolerance, certify
from tenfold.inference.predictor import softmax


def certified(logits: np.ndarray, saved: np.ndarray, temperature: float = 1.0) -> certificate.Finding:
    """What `certify` says of a model that gives these logits."""
    images = np.zeros((len(logits), 2, 2, 3), np.uint8)
    names = [f"{index}.png" for index in range(len(logits))]
    sample = Sample(names, images, np.zeros(len(logits), int), saved, "some")
    return certify(
        "onnx",
        lambda _: (logits, softmax(logits, temperature)),
        sample,
        ("a", "b"),
        1.0,
        Tolerance(1e-3, "for the test"),
    )


def test_a_flip_is_forgiven_only_where_the_two_classes_were_as_good_as_equal():
    saved = np.array([[0.5002, 0.4998], [0.9, 0.1]], np.float32)
    found = certified(np.log(np.array([[0.4999, 0.5001], [0.9, 0.1]], np.float32)), saved)
    assert (found.images, found.same_class) == (2, 1)
    (flip,) = found.near_ties
    assert (flip.path, flip.saved, flip.exported) == ("0.png", "a", "b")
    assert flip.gap == pytest.approx(0.0004, abs=1e-6)
    with pytest.raises(TenfoldError, match=r"differ by up to 0\.002.*0\.png.*1 of 2 images"):
        certified(np.log(np.array([[0.498, 0.502], [0.9, 0.1]], np.float32)), saved)


def test_numbers_that_are_none_and_a_wrong_temperature_are_beyond_tolerance():
    saved = np.array([[0.5, 0.5], [0.9, 0.1]], np.float32)
    with pytest.raises(TenfoldError, match=r"does not answer.*1\.png"):
        certified(np.array([[0.0, 0.0], [np.nan, 0.0]], np.float32), saved)
    with pytest.raises(TenfoldError, match="softmax of its logits"):
        certified(np.log(saved), saved, temperature=2.0)
