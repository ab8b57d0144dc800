"""Pictures unlike the training images are told, at the stated rate of false alarms."""

import numpy as np
import pytest
from contracts import contract_of, drawn, noise
from images import scene

from tenfold.inference.calibrate import FALSE_ALARMS
from tenfold.inference.familiarity import harmless_changes, pixel_statistics


def test_familiarity_keeps_its_rate_of_false_alarms_and_sees_flat_logits_and_strange_pixels():
    familiarity = contract_of(5000).familiarity
    assert familiarity is not None
    assert familiarity.false_alarms <= FALSE_ALARMS
    logits = drawn(20_000, 3.0, seed=5)[1]
    assert familiarity.unlike(logits, noise(20_000, 5)).mean() < 2 * FALSE_ALARMS
    assert familiarity.unlike(np.zeros((3, 5), np.float32) - 9, noise(3)).all()
    typical = np.full((500, 5), np.quantile(logits, 0.9), np.float32)
    assert familiarity.unlike(typical, noise(500, 7)).mean() < 2 * FALSE_ALARMS
    for value in (0, 128, 255):
        assert familiarity.unlike(typical[:1], np.full((1, 8, 8, 3), value, np.uint8)).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 3), (8, 8, 1), (37, 224, 3)])
def test_pixel_statistics_are_finite_for_every_shape_and_each_image_counts_alone(shape):
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    images[0] = 7
    found = pixel_statistics(images)
    assert np.isfinite(found).all()
    alone = [pixel_statistics(image[None])[0] for image in images]
    np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-5)
    assert (found[0][: shape[2]] == 7).all()
    assert not found[0][shape[2] :].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_harmless_changes_change_the_pixels_and_keep_shape_and_picture(channels):
    images = np.stack([scene(seed, 24)[..., :channels] for seed in range(3)])
    changes = list(harmless_changes(images))
    assert len(changes) == 4
    for changed in changes:
        assert changed.shape == images.shape
        assert changed.dtype == np.uint8
        assert 0 < np.abs(changed.astype(int) - images).mean() < 40
    darker, brighter = changes[2].mean(), changes[3].mean()
    assert darker < images.mean() < brighter


def test_no_pictures_have_no_statistics():
    none = np.empty((0, 8, 8, 3), np.uint8)
    assert pixel_statistics(none).shape == (0, pixel_statistics(noise(1)).shape[1])
    familiarity = contract_of(200).familiarity
    assert familiarity is not None
    assert familiarity.unlike(np.empty((0, 5), np.float32), none).shape == (0,)
