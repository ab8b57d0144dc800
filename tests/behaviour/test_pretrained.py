"""A run on a real pretrained backbone at work: predict gives its saved bits, and its export answers as it does."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from photographs import crop_photographs, missing

import tenfold
from tenfold.inference.calibrate import learn_familiarity
from tenfold.inference.contract import read_contract
from tenfold.inference.evaluation import changed_statistics
from tenfold.inference.familiarity import Seen, pixel_statistics
from tenfold.inference.predictor import OnnxPredictor, softmax
from tenfold.inference.standalone import read

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache):
    """A run of the recipe `backbone` (EfficientNet-Lite0, frozen) on crops of photographs, and their folder."""
    root = tmp_path_factory.mktemp("pretrained")
    for seed, (split, count) in enumerate([("train", 60), ("validation", 30), ("test", 30)]):
        crop_photographs(root / split, count, seed)
    run = tenfold.train(
        "backbone",
        data=root,
        out=root / "runs",
        overrides=["model.image_size=96"],
        progress=False,
        device="cpu",
    )
    return root, run


def test_predict_gives_the_saved_bits_of_a_frozen_backbone(trained):
    root, run = trained
    saved = run.predictions("test")
    answers = tenfold.predict(run, root / "test", raw=True)
    names = [Path(path).relative_to(root).as_posix() for path in answers.paths]
    assert names == list(saved.paths)
    np.testing.assert_array_equal(answers.probabilities, saved.probabilities)
    assert answers.right[0] / len(saved) > 0.5


def test_likeness_is_learned_from_the_training_images_as_predict_sees_them(trained):
    root, run = trained
    learned = read_contract(run.path).familiarity
    splits = run.splits()
    training, validation = (
        Seen(tenfold.predict(run, root / split.name).logits, pixel_statistics(split.images(slice(None))))
        for split in (splits.train, splits.validation)
    )
    changed = changed_statistics(splits.train)
    expected = learn_familiarity(training, changed, validation)
    assert learned is not None
    assert expected is not None
    assert (learned.training_images, learned.validation_images) == (60, 30)
    np.testing.assert_allclose(learned.energy, expected.energy, atol=1e-2)
    np.testing.assert_allclose(learned.centre, expected.centre, rtol=1e-6)
    np.testing.assert_allclose(learned.distance, expected.distance, rtol=1e-6)
    assert learned.threshold == pytest.approx(expected.threshold, abs=1e-2)


def test_a_pretrained_backbone_is_exported_in_every_format_and_answers_as_the_run_does(trained, tmp_path):
    root, run = trained
    exported = tenfold.export(run, format=("torch", "openvino"), out=tmp_path / "export")
    saved = run.predictions("test")
    assert set(exported.certificate["formats"]) == {"onnx", "torch", "openvino"}
    for found in exported.certificate["formats"].values():
        assert found["same_class"] + len(found["near_ties"]) == len(saved)
    contract = read_contract(exported.path)
    how = asdict(contract.reading)
    pixels = np.stack([read(str(root / path), how, *contract.image) for path in saved.paths])
    found = softmax(OnnxPredictor(exported.path).logits(pixels))
    np.testing.assert_allclose(
        found, saved.probabilities, atol=exported.certificate["tolerance"]["probability"]
    )
