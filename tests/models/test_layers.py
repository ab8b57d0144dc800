"""The layers that networks share give PyTorch's values, whoever computes them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tenfold.models.layers import BatchNorm2dReLU, Conv3x3, MaxPool2d, ReLUBatchNorm2d


def images(channels: int = 3) -> torch.Tensor:
    return torch.randn(4, channels, 6, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize(("padding", "bias"), [(1, True), (0, False)])
def test_a_convolution_is_pytorchs_and_may_be_pooled(padding, bias, pool):
    layer = Conv3x3(3, 5, padding=padding, bias=bias, pool=pool)
    expected = F.conv2d(images(), layer.weight, layer.bias, padding=padding)
    expected = F.max_pool2d(expected, 2) if pool else expected
    torch.testing.assert_close(layer(images()), expected)


def test_pooling_halves_the_sides():
    assert torch.equal(MaxPool2d()(images()), F.max_pool2d(images(), 2))


@pytest.mark.parametrize("training", [True, False])
def test_norms_come_behind_or_before_the_relu(training):
    for kind, expected in (
        (ReLUBatchNorm2d, nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3))),
        (BatchNorm2dReLU, nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())),
    ):
        layer = kind(3).train(training)
        expected.train(training)
        torch.testing.assert_close(layer(images()), expected(images()))
        (norm,) = [module for module in expected if isinstance(module, nn.BatchNorm2d)]
        torch.testing.assert_close(layer.running_mean, norm.running_mean)
