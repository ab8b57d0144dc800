"""3x3 convolutions with padding 1 by Winograd's F(4x4, 3x3): PyTorch's side of forward.c and gradients.c."""

import ctypes
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tenfold.kernels.dispatch import in_bfloat16, last, suiting, traced
from tenfold.kernels.library import Variant
from tenfold.kernels.problem import Struct, longs, pointers, solve

_PLACES, _ROWS = 36, 6
# Bytes of a block of tiles, forward and for the weight's gradient, which adds a block's products to sums that are
# larger than a block; and the bytes of transformed weights beyond which they are read for more tiles at a time.
_BLOCK, _GRADIENT_BLOCK, _LARGE_WEIGHTS = 200 * 1024, 400 * 1024, 4 * 2**20
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
    if padding == 1 and weight.dtype == torch.float32:
        whole = images.bfloat16() if in_bfloat16() else images
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
    if plain and large and paired and (variant := suiting(images, len(weight), bfloat16=in_bfloat16())):
        return _applied(images, weight, None, pool, variant, stem)
    return conv3x3(stem(images), weight, pool=pool)


def _by_pytorch(images: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    if bias is None or not torch.is_grad_enabled() or traced():
        return F.conv2d(images, weight, bias, padding=padding)
    # oneDNN's gradient of a bias takes up to four times as long as that of its kernel; a sum takes next to nothing.
    return F.conv2d(images, weight, padding=padding).add_(bias.view(-1, 1, 1))


class _Pixels(Struct):
    """`Pixels` of convolution.h."""

    _fields_ = pointers("values", "chosen")


class _Filters(Struct):
    """`Filters` of convolution.h."""

    _fields_ = (*pointers("values"), *longs("output", "input", "row", "column"))

    @classmethod
    def of(cls, weight: Tensor) -> "_Filters":
        """`weight` (K, C, 3, 3) as it is."""
        output, channel, row, column = weight.stride()
        return cls(values=weight, output=output, input=channel, row=row, column=column)

    @classmethod
    def turned(cls, weight: Tensor) -> "_Filters":
        """`weight` with inputs and outputs exchanged, and each filter turned by half a turn."""
        output, channel, row, column = weight.stride()
        filters = cls(values=weight, output=channel, input=output, row=-row, column=-column)
        filters.values += 2 * (row + column) * weight.element_size()
        return filters


class _CStem(Struct):
    """`Stem` of convolution.h."""

    _fields_ = (
        *pointers("images", "weights"),
        *longs("height", "width", "channels", "patch", "stride"),
    )

    @classmethod
    def of(cls, stem: Stem | None, images: Tensor, variant: Variant) -> "_CStem":
        """The stem and its `images`; NULLs for None.

        Channels of zeros fill its vectors: that takes less time than narrower vectors would.
        """
        if stem is None:
            return cls()
        weight = stem.weight
        rows = torch.cat([weight.permute(2, 3, 1, 0).reshape(-1, len(weight)), stem.bias[None]])
        rows = F.pad(rows, (0, -len(weight) % variant.lanes))
        _, channels, height, width = images.shape
        sizes = {"height": height, "width": width, "channels": channels}
        return cls(images=images, weights=rows, patch=weight.shape[2], stride=stem.stride, **sizes)


class ConvolutionProblem(Struct):
    """`Convolution` of convolution.h."""

    _fields_ = (
        ("images", _Pixels),
        ("results", _Pixels),
        ("stem", _CStem),
        ("filters", _Filters),
        *pointers("bias"),
        *longs("count", "height", "width", "inputs", "outputs", "room"),
        ("vectors", ctypes.c_int),
        ("threads", ctypes.c_int),
    )


@dataclass(frozen=True)
class _Shape:
    """The sizes of a problem; the sides are those of its images."""

    count: int
    height: int
    width: int
    inputs: int
    outputs: int


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
        height, width = stem.sides(images) if stem else images.shape[2:]
        outputs, inputs = weight.shape[:2]
        shape = _Shape(len(images), height, width, inputs, outputs)
        result, chosen = _new_result(shape, pool, variant)
        seen = _seen(images, stem, variant)
        problem = _problem(
            shape,
            _room(shape),
            variant,
            **seen,
            results=_Pixels(values=result, chosen=chosen),
            filters=_Filters.of(weight),
            bias=bias,
        )
        solve("convolve", problem, variant, images)
        ctx.save_for_backward(images, weight, chosen)
        ctx.shape, ctx.variant, ctx.stem = shape, variant, stem
        return result

    @staticmethod
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        images, weight, chosen = ctx.saved_tensors
        results = _Pixels(values=last(gradients), chosen=chosen)
        of_images, of_weight, of_bias, *_ = ctx.needs_input_grad
        to_images = to_weight = to_bias = None
        if of_images:
            to_images = _image_gradient(images, weight, results, ctx.shape, ctx.variant)
        if of_weight or of_bias:
            to_weight, to_bias = torch.empty_like(weight), torch.empty(len(weight)) if of_bias else None
            seen = _seen(images, ctx.stem, ctx.variant)
            problem = _problem(
                ctx.shape,
                _gradient_room(ctx.shape),
                ctx.variant,
                **seen,
                results=results,
                filters=_Filters.of(to_weight),
                bias=to_bias,
            )
            solve("filter_gradient", problem, ctx.variant, images)
        return to_images, to_weight, to_bias, None, None, None


def _image_gradient(
    images: Tensor, weight: Tensor, results: _Pixels, shape: _Shape, variant: Variant
) -> Tensor:
    """The gradient of `images`: a convolution of the gradients of their `results`, from the outputs to the inputs."""
    back = replace(shape, inputs=shape.outputs, outputs=shape.inputs)
    gradient = torch.empty_like(images)
    problem = _problem(
        back,
        _room(back),
        variant,
        images=results,
        results=_Pixels(values=gradient),
        filters=_Filters.turned(weight),
    )
    solve("convolve", problem, variant, images)
    return gradient


def _seen(images: Tensor, stem: Stem | None, variant: Variant) -> dict[str, Struct]:
    """The fields of a problem that say what images it sees."""
    return {"images": _Pixels(values=None if stem else images), "stem": _CStem.of(stem, images, variant)}


def _problem(shape: _Shape, room: int, variant: Variant, **fields: Any) -> ConvolutionProblem:
    vectors = 2 if shape.outputs % (2 * variant.lanes) == 0 else 1
    return ConvolutionProblem(**vars(shape), room=room, vectors=vectors, **fields)


def _new_result(shape: _Shape, pool: bool, variant: Variant) -> tuple[Tensor, Tensor | None]:
    """Memory for the result, and for which pixels a pooling chooses."""
    height, width = (side // 2 if pool else side for side in (shape.height, shape.width))
    size, dtype = (
        (shape.count, shape.outputs, height, width),
        torch.bfloat16 if variant.bfloat16 else torch.float32,
    )
    result = torch.empty(size, dtype=dtype, memory_format=torch.channels_last)
    return result, torch.empty_like(result, dtype=torch.uint8) if pool else None


def _room(shape: _Shape) -> int:
    """How many tiles a block holds, forward."""
    large = 4 * _PLACES * shape.inputs * shape.outputs > _LARGE_WEIGHTS
    return _tiles(_BLOCK, shape, 4 * _ROWS if large else _ROWS)


def _gradient_room(shape: _Shape) -> int:
    """How many tiles a block holds for the weight's gradient."""
    return _tiles(_GRADIENT_BLOCK, shape, 4 * _ROWS)


def _tiles(size: int, shape: _Shape, least: int) -> int:
    """How many tiles a block of about `size` bytes holds, in whole rows of the products."""
    return max(least, size // (4 * _PLACES * (shape.inputs + shape.outputs)) // _ROWS * _ROWS)
