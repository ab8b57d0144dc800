"""What all augmentations share: limits in their order, and numbers that belong to seed, epoch, place and image."""

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from tenfold.augment.base import Areas, Ratios, per_image, spread
from tenfold.augment.geometry import Rotation


def test_numbers_are_spread_around_nothing():
    u = torch.tensor([0.0, 0.5, 1.0])
    assert spread(u, 0.2).tolist() == pytest.approx([-0.2, 0, 0.2])
    assert per_image(u).shape == (3, 1, 1, 1)


@pytest.mark.parametrize(("kind", "limits"), [(Areas, (0.5, 0.2)), (Areas, (0.0, 1.0)), (Ratios, (2.0, 1.0))])
def test_limits_out_of_order_or_range_are_refused(kind, limits):
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(limits)
    assert TypeAdapter(kind).validate_python((0.5, 0.5)) == (0.5, 0.5)


def test_an_images_numbers_depend_on_seed_epoch_place_and_image_alone():
    draw = Rotation(factor=0.1).numbers(1, 2, 3)
    rows = draw(np.array([5, 0, 7]))
    assert rows.shape == (3, Rotation.draws)
    np.testing.assert_array_equal(draw(np.array([7, 5])), rows[[2, 0]])
    for other in ((0, 2, 3), (1, 0, 3), (1, 2, 0)):
        assert (Rotation(factor=0.1).numbers(*other)(np.array([5, 0, 7])) != rows).any()
