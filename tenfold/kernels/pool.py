"""Pooling over 2x2 pixels: pool.c. PyTorch keeps 8 bytes for each choice, and fills its gradient with zeros first."""

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tenfold.kernels.dispatch import last, suiting
from tenfold.kernels.library import Variant
from tenfold.kernels.problem import Struct, longs, pointers, solve


class PoolProblem(Struct):
    """`Pool` of pool.c."""

    _fields_ = (
        *pointers("images", "results", "chosen"),
        *longs("count", "height", "width", "channels"),
        ("threads", ctypes.c_int),
    )


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
        images = last(images)
        _solve("pool", variant, images, result, chosen)
        ctx.save_for_backward(chosen)
        ctx.shape, ctx.variant = images.shape, variant
        return result

    @staticmethod
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore
        (chosen,) = ctx.saved_tensors
        result = torch.empty(ctx.shape, dtype=gradients.dtype, memory_format=torch.channels_last)
        _solve("pool_gradient", ctx.variant, result, last(gradients), chosen)
        return result, None


def _solve(function: str, variant: Variant, images: Tensor, results: Tensor, chosen: Tensor) -> None:
    count, channels, height, width = images.shape
    sizes = {"count": count, "height": height, "width": width, "channels": channels}
    problem = PoolProblem(images=images, results=results, chosen=chosen, **sizes)
    solve(function, problem, variant, images)
