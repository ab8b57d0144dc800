"""tenfold's own convolutions equal PyTorch's in float64 to rounding, and give way to it wherever they do not suit."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import LANES, decided, features, needs_bfloat16, needs_kernels, off, plain
from torch.nn import functional as F

from tenfold.core.errors import TenfoldError
from tenfold.kernels import Stem, conv3x3, conv3x3_behind, dispatch
from tenfold.kernels import convolution as convolutions
from tenfold.kernels.library import Library, library

# Relative to the size of the whole result; PyTorch's float32 is off by 4e-7, its gradient over 64,000 pixels by 5e-6.
NEAR, NEAR_IN_GRADIENTS = 5e-6, 4e-5
# With products of bfloat16, whose rounding F(4x4, 3x3) makes a few times larger: 0.7 and 1.3 % were seen.
NEAR_IN_BFLOAT16 = 2.5e-2
SHAPES = {
    "count": st.integers(1, 9),
    "inputs": st.integers(1, 5),
    "outputs": st.integers(1, 5),
    "height": st.integers(3, 19),
    "width": st.integers(3, 19),
}


def convolution_and_gradients(function, images, weight, bias, gradients):
    leaves = [tensor.detach().clone().requires_grad_() for tensor in (images, weight, bias)]
    result = function(*leaves)
    return [result.detach(), *torch.autograd.grad(result, leaves, gradients.to(result.dtype))]


@needs_kernels
@given(
    **SHAPES,
    channels_last=st.booleans(),
    pool=st.booleans(),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_a_convolution_and_its_gradients_are_pytorchs(
    count, inputs, outputs, height, width, channels_last, pool, seed
):
    images = features(count, inputs * LANES, height, width, seed)
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
    weight = features(outputs * LANES, inputs * LANES, 3, 3, seed + 1)
    bias = features(1, outputs * LANES, 1, 1, seed + 2).flatten()
    assert dispatch.suiting(images, *weight.shape[:2])
    in_double = [tensor.double() for tensor in (images, weight, bias)]
    sure = decided(plain(*in_double)) if pool else torch.tensor(True)
    sides = sure.shape[2:] if pool else (height, width)
    gradients = features(count, outputs * LANES, *sides, seed + 3) * sure
    found = convolution_and_gradients(partial(conv3x3, pool=pool), images, weight, bias, gradients)
    expected = convolution_and_gradients(partial(plain, pool=pool), *in_double, gradients.double())
    assert found[0].shape == expected[0].shape
    assert off(found[0], expected[0]) < NEAR
    for mine, theirs in zip(found[1:], expected[1:], strict=True):
        assert off(mine, theirs) < NEAR_IN_GRADIENTS


@needs_kernels
@needs_bfloat16
@given(
    **SHAPES,
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_under_autocast_images_are_of_bfloat16_and_gradients_of_weights_of_float32(
    count, inputs, outputs, height, width, seed
):
    images = features(count, inputs * LANES, height, width, seed)
    weight = features(outputs * LANES, inputs * LANES, 3, 3, seed + 1)
    bias = features(1, outputs * LANES, 1, 1, seed + 2).flatten()
    gradients = features(count, outputs * LANES, height, width, seed + 3)
    exact = convolution_and_gradients(
        plain, *(tensor.double() for tensor in (images, weight, bias)), gradients.double()
    )
    with torch.autocast("cpu", torch.bfloat16):
        found = convolution_and_gradients(conv3x3, images, weight, bias, gradients)
    for mine, theirs in zip(found, exact, strict=True):
        assert 1e-5 < off(mine, theirs) < NEAR_IN_BFLOAT16
    assert [tensor.dtype for tensor in found] == [torch.bfloat16, *[torch.float32] * 3]


@needs_kernels
@needs_bfloat16
def test_under_autocast_a_pooled_convolution_is_the_largest_of_four_pixels_of_one_that_is_not():
    images, weight = features(9, LANES, 10, 7).bfloat16(), features(3 * LANES, LANES, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        pooled, whole = (conv3x3(images, weight, pool=pool) for pool in (True, False))
    assert torch.equal(pooled, F.max_pool2d(whole, 2))
    assert pooled.dtype == torch.bfloat16


@needs_kernels
@pytest.mark.parametrize(("inputs", "outputs"), [(512, 16), (16, 512), (384, 384)])
def test_wide_convolutions_whose_kernels_leave_the_cache(inputs, outputs):
    images, weight = features(3, inputs, 6, 5), features(outputs, inputs, 3, 3, 1)
    gradients = features(3, outputs, 6, 5, 2)
    found = convolution_and_gradients(conv3x3, images, weight, torch.zeros(outputs), gradients)
    expected = convolution_and_gradients(
        plain,
        *(tensor.double() for tensor in (images, weight, torch.zeros(outputs), gradients)),
    )
    for mine, theirs in zip(found, expected, strict=True):
        assert off(mine, theirs) < NEAR_IN_GRADIENTS


@needs_kernels
@given(
    count=st.integers(1, 5),
    made=st.integers(1, 36),
    outputs=st.integers(1, 4),
    sides=st.tuples(st.integers(8, 19), st.integers(8, 19)),
    channels=st.integers(1, 4),
    patch=st.integers(1, 4),
    stride=st.integers(1, 2),
    margin=st.integers(0, 3),
    pool=st.booleans(),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_a_convolution_behind_a_stem_is_pytorchs(
    count, made, outputs, sides, channels, patch, stride, margin, pool, seed
):
    images = features(count, channels, *sides, seed)
    frozen = (features(made, channels, patch, patch, seed + 1), features(1, made, 1, 1, seed + 2).flatten())
    stem = Stem(*frozen, stride, margin)
    weight = features(outputs * LANES, made, 3, 3, seed + 3).requires_grad_()
    in_double = weight.detach().double().requires_grad_()
    seen = Stem(*(tensor.double() for tensor in frozen), stride, margin)(images.double())
    expected = plain(seen, in_double, None, pool)
    result = conv3x3_behind(stem, images, weight, pool)
    assert off(result, expected) < NEAR
    sure = decided(plain(seen, in_double.detach(), None)) if pool else True
    gradients = features(*expected.shape, seed + 4) * sure
    (found,) = torch.autograd.grad(result, weight, gradients)
    (wanted,) = torch.autograd.grad(expected, in_double, gradients.double())
    assert off(found, wanted) < NEAR_IN_GRADIENTS


@needs_kernels
@needs_bfloat16
def test_a_convolution_behind_a_stem_in_bfloat16_is_that_of_the_stems_images():
    images, weight = features(7, 3, 32, 32), features(2 * LANES, 3 * LANES, 3, 3).requires_grad_()
    stem = Stem(features(3 * LANES, 3, 2, 2), torch.ones(3 * LANES), margin=1)
    with torch.autocast("cpu", torch.bfloat16):
        result, expected = conv3x3_behind(stem, images, weight), conv3x3(stem(images), weight)
    assert off(result, expected) < 2 * NEAR_IN_BFLOAT16
    assert result.dtype == torch.bfloat16


@needs_kernels
def test_images_that_learn_go_through_a_stem_by_pytorch():
    images, weight = features(2, 3, 9, 9).requires_grad_(), features(LANES, LANES, 3, 3)
    stem = Stem(features(LANES, 3, 2, 2), torch.zeros(LANES))
    conv3x3_behind(stem, images, weight).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


@needs_kernels
def test_only_what_learns_gets_a_gradient():
    images, weight = features(2, LANES, 5, 5), features(LANES, LANES, 3, 3).requires_grad_()
    conv3x3(images, weight).sum().backward()
    expected = torch.autograd.grad(F.conv2d(images, weight, padding=1).sum(), weight)[0]
    assert off(weight.grad, expected) < NEAR
    images.requires_grad_()
    conv3x3(images, weight.detach()).sum().backward()
    assert images.grad is not None


@needs_kernels
def test_the_forward_pass_has_the_same_bits_with_any_number_of_threads():
    images, weight = features(30, 2 * LANES, 9, 9), features(LANES, 2 * LANES, 3, 3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = conv3x3(images, weight)
        torch.set_num_threads(3)
        together = conv3x3(images, weight)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(alone, together)


@needs_kernels
def test_gradients_have_the_same_bits_twice():
    arguments = (features(30, LANES, 9, 9), features(LANES, LANES, 3, 3), torch.ones(LANES))
    first, second = (
        convolution_and_gradients(conv3x3, *arguments, features(30, LANES, 9, 9, 3)) for _ in range(2)
    )
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


UNSUITED = {
    "channels that fill no vector": (features(2, LANES + 1, 6, 6), features(LANES, LANES + 1, 3, 3), 1),
    "outputs that fill no vector": (features(2, LANES, 6, 6), features(LANES + 1, LANES, 3, 3), 1),
    "no padding": (features(2, LANES, 6, 6), features(LANES, LANES, 3, 3), 0),
    "double precision": (features(2, LANES, 6, 6).double(), features(LANES, LANES, 3, 3).double(), 1),
    "tiny images": (features(2, LANES, 2, 6), features(LANES, LANES, 3, 3), 1),
    "no images": (features(0, LANES, 6, 6), features(LANES, LANES, 3, 3), 1),
}


@pytest.mark.parametrize("case", UNSUITED)
def test_a_convolution_that_does_not_suit_is_pytorchs_bit_for_bit(case):
    images, weight, padding = UNSUITED[case]
    bias = torch.ones(len(weight), dtype=weight.dtype, requires_grad=True)
    with torch.no_grad():
        result = conv3x3(images, weight, bias, padding)
    assert torch.equal(result, F.conv2d(images, weight, bias, padding=padding))
    learned = conv3x3(images, weight, bias, padding)
    torch.testing.assert_close(learned, result)
    assert learned.requires_grad


def test_autocast_is_left_to_pytorch_where_products_of_bfloat16_are_missing(monkeypatch):
    here = library()
    variants = tuple(variant for variant in here.variants if not variant.bfloat16)
    monkeypatch.setattr(dispatch, "library", lambda: Library(variants, here.compiler))
    images, weight = features(2, LANES, 6, 6), features(LANES, LANES, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv3x3(images, weight).dtype == torch.bfloat16


@needs_kernels
@pytest.mark.parametrize("way", ["_room", "_gradient_room"])
def test_memory_that_is_short_is_told(monkeypatch, way):
    # Blocks of so many tiles do not fit into any address space.
    monkeypatch.setattr(convolutions, way, lambda shape: 10**13)
    with pytest.raises(TenfoldError, match=r"no memory left .* \[2, 8, 6, 6\].*fit\.batch_size"):
        conv3x3(features(2, 8, 6, 6), features(8, 8, 3, 3).requires_grad_()).sum().backward()
