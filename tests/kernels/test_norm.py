"""tenfold's own norms with a ReLU equal PyTorch's to rounding."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import LANES, features, needs_bfloat16, needs_kernels, norm_of, off
from torch import nn
from torch.nn import functional as F

from tenfold.kernels import rectified_norm

# Norm --------------------------------------------------------------------------------------------------------


def away_from_kink(norm, images):
    """Where the norm of these images, their averages left alone, is not 0 by rounding: booleans of their shape."""
    with torch.no_grad():
        values = F.batch_norm(
            images.double(), None, None, norm.weight, norm.bias, training=True, eps=norm.eps
        )
    return values.abs() > 1e-4


@needs_kernels
@pytest.mark.parametrize("place", ["before", "after"])
@given(
    count=st.integers(1, 40),
    vectors=st.integers(1, 3),
    side=st.integers(2, 17),
    centre=st.sampled_from([0.0, -3.0, 30.0]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=25)
def test_a_rectified_norm_its_averages_and_gradients_are_pytorchs(place, count, vectors, side, centre, seed):
    images = (features(count, vectors * LANES, side, side, seed) + centre).requires_grad_()
    norm = norm_of(vectors * LANES, seed)
    reference = copy.deepcopy(norm).double()
    # Within rounding of ReLU's kink a gradient may pass in one precision and not in the other.
    gradients = features(*images.shape, seed + 1) * away_from_kink(reference, images)
    result = rectified_norm(norm, images, place)
    expected = rectified_norm(reference, images.double(), place)
    assert off(result, expected) < 5e-6
    leaves, their_leaves = ((images, n.weight, n.bias) for n in (norm, reference))
    found = torch.autograd.grad(result, leaves, gradients)
    wanted = torch.autograd.grad(expected, their_leaves, gradients.double())
    for mine, theirs in zip(found, wanted, strict=True):
        # Where a channel hardly varies, what is left of the gradients is their rounding.
        assert (mine - theirs).norm() < 1e-4 * theirs.norm() + 3e-7 * gradients.norm()
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(
            getattr(norm, name).double(), getattr(reference, name).double(), rtol=1e-5, atol=1e-5
        )


@needs_kernels
def test_a_channel_whose_first_pixel_alone_is_positive_keeps_its_digits():
    images = -features(2, LANES, 32, 32).abs()
    images[0, :, 0, 0] *= -1
    norm = norm_of(LANES)
    nn.init.zeros_(norm.bias)
    expected = rectified_norm(copy.deepcopy(norm).double(), images.double(), "before")
    assert off(rectified_norm(norm, images, "before"), expected) < 5e-6


@needs_kernels
@needs_bfloat16
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("vectors", [1, 2, 3])
def test_a_rectified_norm_of_bfloat16_is_that_of_its_numbers_and_rounded(place, vectors):
    images = features(20, vectors * LANES, 7, 9).add(0.5).bfloat16().requires_grad_()
    norm, gradients = norm_of(vectors * LANES), features(20, vectors * LANES, 7, 9, 1).bfloat16()
    reference = copy.deepcopy(norm).double()
    in_double = images.detach().double().requires_grad_()
    result, expected = rectified_norm(norm, images, place), rectified_norm(reference, in_double, place)
    found = torch.autograd.grad(result, (images, norm.weight, norm.bias), gradients)
    wanted = torch.autograd.grad(expected, (in_double, reference.weight, reference.bias), gradients.double())
    assert [tensor.dtype for tensor in (result, *found)] == [torch.bfloat16] * 2 + [torch.float32] * 2
    assert off(result, expected) < 3e-3
    assert off(found[0], wanted[0]) < 3e-3
    for mine, theirs in zip(found[1:], wanted[1:], strict=True):
        assert off(mine, theirs) < 1e-5
    assert off(norm.running_var, reference.running_var) < 1e-6
    with torch.no_grad():
        by_averages = rectified_norm(norm.eval(), images, place)
    assert by_averages.dtype == torch.bfloat16
    assert off(by_averages, rectified_norm(reference.eval(), in_double, place)) < 3e-3


@needs_kernels
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_norm_by_its_averages_is_pytorchs(place):
    images, norm = features(4, LANES, 5, 7), norm_of(LANES).eval()
    with torch.no_grad():
        fast = rectified_norm(norm, images, place)
    plain = rectified_norm(norm, images, place)  # with gradients it is PyTorch's
    assert type(plain.grad_fn).__name__ != "_RectifiedNormBackward"
    torch.testing.assert_close(fast, plain)


@needs_kernels
def test_a_million_pixels_cost_a_variance_no_accuracy():
    images = features(64, LANES, 128, 128) * 0.1 + 5
    norm = nn.BatchNorm2d(LANES, momentum=1.0)
    rectified_norm(norm, images, "before")
    expected = images.double().transpose(0, 1).flatten(1).var(1)
    assert off(norm.running_var, expected) < 1e-4


def test_one_value_a_channel_is_refused_as_by_pytorch():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        rectified_norm(norm_of(LANES), features(1, LANES, 1, 1), "after")
