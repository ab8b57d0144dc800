"""3x3 convolutions with padding 1 by Winograd's F(4x4, 3x3): convolution.c, and the kernels' side of it."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tenfold.kernels.dispatch import call, check, halves, last, suiting, traced
from tenfold.kernels.library import Variant

_PLACES, _ROWS = 36, 6
# Bytes of a block of tiles, forward and for the kernel's gradient, which adds a block's products to sums that are
# larger than a block; and the bytes of transformed kernels beyond which they are read for more tiles at a time.
_BLOCK, _GRADIENT_BLOCK, _LARGE_KERNELS = 200 * 1024, 400 * 1024, 4 * 2**20
# Smaller images fill too little of a tile of 4x4.
_SMALLEST = 3


def conv3x3(
    images: Tensor, weight: Tensor, bias: Tensor | None = None, padding: int = 1, pool: bool = False
) -> Tensor:
    """`torch.nn.functional.conv2d(images, weight, bias, padding=padding)`, with `pool` `max_pool2d(..., 2)` of that.

    images: (N, C, H, W). weight: (K, C, 3, 3). bias: (K,). The result is (N, K, H, W), pooled (N, K, H // 2, W // 2),
    in channels_last memory where it is the kernels', which take a padding of 1. Theirs is off by about 5e-7 of its
    size, a plain sum by 3e-7. Pooled here, what lies between is never written to memory. Under autocast to bfloat16
    results are of it, and so is what is multiplied: they are off by about 0.6 %, gradients by 1.2 %, PyTorch's by
    0.3 %. The method is Lavin & Gray's (arXiv 1509.09308), its points of interpolation are our own (docs/log.md).
    Raises TenfoldError where memory is short.
    """
    half = halves()
    if padding == 1 and weight.dtype == torch.float32:
        whole = images.bfloat16() if half else images
        if variant := suiting(whole, *weight.shape[:2], smallest=_SMALLEST):
            return _applied(whole, weight, bias, pool, variant)
    result = _by_pytorch(images, weight, bias, padding)
    return F.max_pool2d(result, 2) if pool else result


@dataclass(frozen=True)
class Stem:
    """A frozen convolution with a ReLU: weight (F, C, P, P), bias (F,).

    `margin` mirrored pixels are added at the right and the bottom of its images.
    """

    weight: Tensor
    bias: Tensor
    stride: int = 1
    margin: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        """What it makes of `images` (N, C, H, W): (N, F, H', W')."""
        if self.margin:
            images = F.pad(images, (0, self.margin, 0, self.margin), mode="reflect")
        return F.conv2d(images, self.weight, self.bias, self.stride).relu_()

    def sides(self, images: Tensor) -> list[int]:
        """(H', W')."""
        return [(side + self.margin - self.weight.shape[2]) // self.stride + 1 for side in images.shape[2:]]


def conv3x3_behind(stem: Stem, images: Tensor, weight: Tensor, pool: bool = False) -> Tensor:
    """`conv3x3(stem(images), weight, pool=pool)` for `images` (N, C, H, W) and `weight` (K, F, 3, 3).

    The kernels never keep what the stem makes: they make each image anew, in a core's cache, where it is needed. They
    have no gradient of `images`; images that need one are left to `conv3x3`. Raises TenfoldError as that does.
    """
    plain = not images.requires_grad and weight.dtype == torch.float32
    large = min(stem.sides(images)) >= _SMALLEST
    paired = weight.shape[1] % 2 == 0
    if plain and large and paired and (variant := suiting(images, len(weight), half=halves())):
        return _applied(images, weight, None, pool, variant, stem)
    return conv3x3(stem(images), weight, pool=pool)


def _by_pytorch(images: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    if bias is None or not torch.is_grad_enabled() or traced():
        return F.conv2d(images, weight, bias, padding=padding)
    # oneDNN's gradient of a bias takes up to four times as long as that of its kernel; a sum takes next to nothing.
    return F.conv2d(images, weight, padding=padding).add_(bias.view(-1, 1, 1))


class _CStem(ctypes.Structure):
    """`Stem` of convolution.c; it keeps no tensor alive."""

    _fields_ = (
        ("weights", ctypes.c_void_p),
        *((name, ctypes.c_long) for name in ("height", "width", "channels", "patch", "stride")),
    )


class _CKernels(ctypes.Structure):
    """`Kernels` of convolution.c; it keeps no tensor alive."""

    _fields_ = (
        ("values", ctypes.c_void_p),
        *((name, ctypes.c_long) for name in ("output", "input", "row", "column")),
    )


def _kernels_in_c(weight: Tensor) -> Any:
    """A pointer to `weight` (K, C, 3, 3) for C."""
    return ctypes.byref(_CKernels(weight.data_ptr(), *weight.stride()))


def _turned_in_c(weight: Tensor) -> Any:
    """A pointer to `weight` with inputs and outputs exchanged and each kernel turned by half a turn."""
    output, channel, row, column = weight.stride()
    last_place = weight.data_ptr() + 2 * (row + column) * weight.element_size()
    return ctypes.byref(_CKernels(last_place, channel, output, -row, -column))


def _applied(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    pool: bool,
    variant: Variant,
    stem: Stem | None = None,
) -> Tensor:
    return _Convolution.apply(images, weight, bias, pool, variant, stem)  # pyright: ignore[reportReturnType]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        pool: bool,
        variant: Variant,
        stem: Stem | None,
    ) -> Tensor:
        images = last(images)
        sides = stem.sides(images) if stem else images.shape[2:]
        result, chosen = _new_result(len(images), len(weight), sides, pool, variant)
        _convolve(images, None, stem, weight, bias, result, chosen, variant)
        ctx.save_for_backward(images, weight, chosen)
        ctx.variant, ctx.stem = variant, stem
        return result

    @staticmethod
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        images, weight, chosen = ctx.saved_tensors
        gradients = last(gradients)
        of_images, of_weight, of_bias, *_ = ctx.needs_input_grad
        to_images = to_weight = to_bias = None
        if of_images:
            to_images = torch.empty_like(images)
            _convolve(gradients, chosen, None, weight, None, to_images, None, ctx.variant, turned=True)
        if of_weight or of_bias:
            to_bias = torch.empty(len(weight)) if of_bias else None
            to_weight = _kernel_gradient(images, ctx.stem, gradients, chosen, weight, to_bias, ctx.variant)
        return to_images, to_weight, to_bias, None, None, None


def _new_result(
    count: int, outputs: int, sides: Sequence[int], pool: bool, variant: Variant
) -> tuple[Tensor, Tensor | None]:
    """Memory for the result, and for which pixels a pooling chooses."""
    height, width = (side // 2 for side in sides) if pool else sides
    size, dtype = (count, outputs, height, width), torch.bfloat16 if variant.half else torch.float32
    result = torch.empty(size, dtype=dtype, memory_format=torch.channels_last)
    return result, torch.empty_like(result, dtype=torch.uint8) if pool else None


def _convolve(
    images: Tensor,
    chosen: Tensor | None,
    stem: Stem | None,
    weight: Tensor,
    bias: Tensor | None,
    result: Tensor,
    choose: Tensor | None,
    variant: Variant,
    turned: bool = False,
) -> None:
    """Into `result`, of which `choose` is the pooling's choice; `images` may be gradients of a `chosen` pooling.

    `turned`: back from the outputs to the inputs.
    """
    outputs, inputs = reversed(weight.shape[:2]) if turned else weight.shape[:2]
    sides = stem.sides(images) if stem else (images if chosen is None else result).shape[2:]
    large = 4 * _PLACES * inputs * outputs > _LARGE_KERNELS
    room = _room(_BLOCK, inputs + outputs, 4 * _ROWS if large else _ROWS)
    sizes = (len(images), *sides, inputs, outputs, _vectors(outputs, variant), room)
    pointer = _turned_in_c(weight) if turned else _kernels_in_c(weight)
    with _in_c(stem, images, variant) as made:
        arguments = (images, chosen, made, pointer, bias, result, choose, *sizes)
        check(call("convolve", variant, *arguments), images)


def _kernel_gradient(
    images: Tensor,
    stem: Stem | None,
    gradients: Tensor,
    chosen: Tensor | None,
    weight: Tensor,
    to_bias: Tensor | None,
    variant: Variant,
) -> Tensor:
    """The gradient of `weight`, and into `to_bias` that of its bias."""
    outputs, inputs = weight.shape[:2]
    sides = stem.sides(images) if stem else images.shape[2:]
    to_weight = torch.empty_like(weight)
    room = _room(_GRADIENT_BLOCK, inputs + outputs, 4 * _ROWS)
    sizes = (len(images), *sides, inputs, outputs, _vectors(outputs, variant), room)
    with _in_c(stem, images, variant) as made:
        arguments = (images, made, gradients, chosen, _kernels_in_c(to_weight), to_bias, *sizes)
        check(call("kernel_gradient", variant, *arguments), images)
    return to_weight


@contextmanager
def _in_c(stem: Stem | None, images: Tensor, variant: Variant) -> Iterator[Any]:
    """A pointer to the stem for its `images`, as long as the context lasts; None for None.

    Channels of zeros fill its vectors: that takes less time than narrower vectors would.
    """
    if stem is None:
        yield None
        return
    weight = stem.weight
    rows = torch.cat([weight.permute(2, 3, 1, 0).reshape(-1, len(weight)), stem.bias[None]])
    rows = F.pad(rows, (0, -len(weight) % variant.lanes))
    _, channels, height, width = images.shape
    yield ctypes.byref(_CStem(rows.data_ptr(), height, width, channels, weight.shape[2], stem.stride))


def _vectors(outputs: int, variant: Variant) -> int:
    """How many vectors of output channels a panel of kernels holds."""
    return 2 if outputs % (2 * variant.lanes) == 0 else 1


def _room(size: int, channels: int, least: int) -> int:
    """How many tiles a block of about `size` bytes holds, in whole rows of the products."""
    return max(least, size // (4 * _PLACES * channels) // _ROWS * _ROWS)
