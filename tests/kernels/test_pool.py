"""Pooling equals PyTorch's bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import LANES, features, needs_bfloat16, needs_kernels
from torch.nn import functional as F

from tenfold.kernels import max_pool


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bfloat16)])
@given(
    count=st.integers(1, 5),
    vectors=st.integers(1, 3),
    height=st.integers(2, 11),
    width=st.integers(2, 11),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=40)
def test_pooling_and_its_gradient_are_pytorchs_bit_for_bit_also_where_pixels_are_equal(
    dtype, count, vectors, height, width, seed
):
    images = features(count, vectors * LANES, height, width, seed).round().to(dtype).requires_grad_()
    result, expected = max_pool(images), F.max_pool2d(images, 2)
    assert torch.equal(result, expected)
    gradients = features(*result.shape, seed + 1).to(dtype)
    (mine,), (theirs,) = (torch.autograd.grad(r, images, gradients) for r in (result, expected))
    assert torch.equal(mine, theirs)
