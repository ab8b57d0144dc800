"""Batch norm joined with a ReLU, while training: norm.c, and what happens to whole channels."""

import ctypes
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tenfold.kernels.dispatch import last, suiting
from tenfold.kernels.library import Variant
from tenfold.kernels.problem import Struct, longs, pointers, solve

Place = Literal["before", "after"]
# As in norm.c.
_PLACES = {"before": 1, "after": 2}


class NormProblem(Struct):
    """`Norm` of norm.c."""

    _fields_ = (
        *pointers(
            "images", "gradients", "result", "weight", "bias", "terms", "moments", "to_weight", "to_bias"
        ),
        ("epsilon", ctypes.c_double),
        *longs("rows", "channels"),
        ("relu", ctypes.c_int),
        ("threads", ctypes.c_int),
    )


def rectified_norm(norm: nn.BatchNorm2d, images: Tensor, relu: Place) -> Tensor:
    """`norm(F.relu(images))` with the ReLU "before", or `F.relu(norm(images))` with it "after".

    images: (N, C, H, W). Updates the moving averages as `norm` itself does, and takes a place each in two passes over
    memory where PyTorch takes five or more. Unlike its batch norm for channels_last memory, whose sums are single
    precision throughout, it is exact to rounding over any number of pixels.
    """
    variant = suiting(images, images.shape[1])
    if variant and norm.training and images.numel() > images.shape[1]:
        return _rectified(norm, images, relu, variant)
    if variant and not norm.training and not torch.is_grad_enabled():
        return _by_averages(norm, images, relu, variant)
    if relu == "before":
        return nn.BatchNorm2d.forward(norm, F.relu(images))
    return F.relu(nn.BatchNorm2d.forward(norm, images))


def _rectified(norm: nn.BatchNorm2d, images: Tensor, relu: Place, variant: Variant) -> Tensor:
    result, mean, variance = _RectifiedNorm.apply(  # pyright: ignore[reportGeneralTypeIssues]
        images, norm.weight, norm.bias, norm.eps, _PLACES[relu], variant
    )
    with torch.no_grad():
        rows = images.numel() // images.shape[1]
        norm.num_batches_tracked.add_(1)  # pyright: ignore[reportOptionalMemberAccess]
        norm.running_mean.lerp_(mean, norm.momentum)  # pyright: ignore
        norm.running_var.lerp_(variance * (rows / (rows - 1)), norm.momentum)  # pyright: ignore
    return result


def _by_averages(norm: nn.BatchNorm2d, images: Tensor, relu: Place, variant: Variant) -> Tensor:
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()  # pyright: ignore[reportOptionalOperand]
    terms = torch.stack([norm.running_mean, scale, norm.bias])  # pyright: ignore[reportArgumentType]
    return _applied(last(images), terms, _PLACES[relu], variant)


def _applied(images: Tensor, terms: Tensor, relu: int, variant: Variant) -> Tensor:
    result = torch.empty_like(images)
    solve("norm_apply", _problem(images, relu, result=result, terms=terms), variant, images)
    return result


def _problem(images: Tensor, relu: int, **fields: Any) -> NormProblem:
    channels = images.shape[1]
    return NormProblem(images=images, rows=images.numel() // channels, channels=channels, relu=relu, **fields)


class _RectifiedNorm(torch.autograd.Function):
    """(images, weight, bias, epsilon, place, variant) -> (result, mean (C,), variance (C,)); the first learns."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, epsilon: float, relu: int, variant: Variant
    ) -> Any:
        images = last(images)
        result, channels = torch.empty_like(images), images.shape[1]
        terms, moments = torch.empty(4, channels), torch.empty(2, channels)
        learned = {"weight": weight, "bias": bias, "epsilon": epsilon}
        problem = _problem(images, relu, result=result, terms=terms, moments=moments, **learned)
        solve("norm", problem, variant, images)
        ctx.save_for_backward(images, terms)
        ctx.relu, ctx.variant = relu, variant
        mean, variance = moments
        ctx.mark_non_differentiable(mean, variance)
        return result, mean, variance

    @staticmethod
    def backward(ctx: Any, gradients: Tensor, *_: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore
        images, terms = ctx.saved_tensors
        result, to_weight, to_bias = torch.empty_like(images), *torch.empty(2, images.shape[1])
        written = {"result": result, "to_weight": to_weight, "to_bias": to_bias}
        problem = _problem(images, ctx.relu, gradients=last(gradients), terms=terms, **written)
        solve("norm_gradient", problem, ctx.variant, images)
        return result, to_weight, to_bias, None, None, None
