"""The operations of TrivialAugment and RandAugment against Pillow."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from pixels import pixels_of, to_pixels, to_tensor

from tenfold.augment import policy


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("operation", "strength", "pillow"),
    [
        (policy.autocontrast, 0.0, ImageOps.autocontrast),
        (policy.equalize, 0.0, ImageOps.equalize),
        (policy.posterize, 3.0, lambda image: ImageOps.posterize(image, 5)),
        (policy.solarize, 0.597, lambda image: ImageOps.solarize(image, 103)),
        (policy.sharpness, 0.7, lambda image: ImageEnhance.Sharpness(image).enhance(1.7)),
        (policy.sharpness, -0.7, lambda image: ImageEnhance.Sharpness(image).enhance(0.3)),
        (policy.brightness, 0.4, lambda image: ImageEnhance.Brightness(image).enhance(1.4)),
        (policy.color, -0.6, lambda image: ImageEnhance.Color(image).enhance(0.4)),
        (policy.color, 0.6, lambda image: ImageEnhance.Color(image).enhance(1.6)),
    ],
)
def test_operations_give_pillows_pixels(operation, strength, pillow, seed):
    pixels = pixels_of(seed)
    expected = np.asarray(pillow(Image.fromarray(pixels)), dtype=np.float32)
    result = to_pixels(operation(to_tensor(pixels), torch.tensor([strength])))
    # Pillow rounds to whole levels, some operations twice.
    np.testing.assert_allclose(result, expected, rtol=0, atol=2.01)


@pytest.mark.parametrize("operation", policy.OPERATIONS, ids=lambda operation: operation.function.__name__)
@pytest.mark.parametrize("level", [0, 93, 255])
def test_operations_keep_constant_images_in_range(operation, level):
    images = torch.full((2, 3, 9, 9), float(level))
    for end in (-1, 1) if operation.signed else (1,):
        result = operation.function(images, torch.full((2,), end * operation.trivial))
        assert result.isfinite().all()
        assert 0 <= result.min() <= result.max() <= 255


@pytest.mark.parametrize(
    "operation",
    [operation for operation in policy.OPERATIONS if operation.trivial],
    ids=lambda operation: operation.function.__name__,
)
def test_operations_without_strength_change_nothing(operation):
    images = to_tensor(pixels_of())
    torch.testing.assert_close(operation.function(images, torch.zeros(1)), images, rtol=0, atol=5e-3)


def test_every_operation_is_drawn_equally_often():
    u = torch.from_numpy(np.random.default_rng(0).random(14_000, dtype=np.float32))
    counts = torch.bincount(policy._operation_of(u), minlength=len(policy.OPERATIONS))
    assert counts.min() > 850
    assert counts.max() < 1150
