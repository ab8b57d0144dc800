"""Pooling over 2x2 pixels: pool.c. PyTorch keeps 8 bytes for each choice, and fills its gradient with zeros first."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tenfold.kernels.dispatch import call, last, suiting
from tenfold.kernels.library import Variant


def max_pool(images: Tensor) -> Tensor:
    """`torch.nn.functional.max_pool2d(images, 2)`: (N, C, H, W) to (N, C, H // 2, W // 2)."""
    if variant := suiting(images, images.shape[1], smallest=2):
        return _Pool.apply(images, variant)  # pyright: ignore[reportReturnType]
    return F.max_pool2d(images, 2)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, variant: Variant) -> Tensor:
        count, channels, height, width = images.shape
        shape = (count, channels, height // 2, width // 2)
        result = torch.empty(shape, dtype=images.dtype, memory_format=torch.channels_last)
        chosen = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
        call("pool", variant, last(images), result, chosen, count, height, width, channels)
        ctx.save_for_backward(chosen)
        ctx.shape, ctx.variant = images.shape, variant
        return result

    @staticmethod
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore
        (chosen,) = ctx.saved_tensors
        count, channels, height, width = ctx.shape
        result = torch.empty(ctx.shape, dtype=gradients.dtype, memory_format=torch.channels_last)
        call("pool_gradient", ctx.variant, last(gradients), chosen, result, count, height, width, channels)
        return result, None
