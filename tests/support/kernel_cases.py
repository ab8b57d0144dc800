"""What the tests of the kernels share: when they can run, images, a norm, PyTorch's side of a convolution."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tenfold import kernels
from tenfold.kernels.library import library

needs_kernels = pytest.mark.skipif(
    not library().fitting(), reason=f"the kernels cannot be built here: {kernels.describe()}"
)
needs_bfloat16 = pytest.mark.skipif(
    not library().fitting(bfloat16=True), reason="this processor has no products of bfloat16 in vectors"
)
# Of the narrowest vectors; twice as many channels fill the wide ones of a processor that has them.
LANES = 8


def off(result, expected):
    return ((result - expected).norm() / expected.norm().clamp_min(1e-30)).item()


def features(count, channels, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, height, width, generator=generator)


def plain(images, weight, bias, pool=False):
    result = F.conv2d(images, weight, bias, padding=1)
    return F.max_pool2d(result, 2) if pool else result


def decided(whole):
    """Which poolings of 2x2 of `whole` (N, K, H, W) have one largest pixel beyond rounding: (N, K, H // 2, W // 2).

    Where two are as large by rounding, the gradient may go to either.
    """
    height, width = (side // 2 * 2 for side in whole.shape[2:])
    four = whole[:, :, :height, :width].unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).movedim(3, -1).flatten(-2)
    first, second = four.topk(2).values.unbind(-1)
    return first - second > 1e-4


def norm_of(channels, seed=0):
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(channels, momentum=0.3, eps=1e-3)
    for values in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(values)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return norm
