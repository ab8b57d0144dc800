"""3x3 convolutions with padding 1 by Winograd's F(4x4, 3x3): convolution.c, and the kernels' side of it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tenfold.errors import TenfoldError
from tenfold.kernels.dispatch import call, halves, last, suits, traced

# What G in convolution.c does to a kernel in one direction, (6, 3), and in both, (36, 9).
_ONE_WAY = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
_TRANSFORM = torch.kron(_ONE_WAY, _ONE_WAY)
_PLACES, _ROWS = 36, 6
# Bytes of a block of tiles, forward and for the kernel's gradient, which adds a block's products to sums that are
# larger than a block; and the bytes of transformed kernels beyond which they are read for more tiles at a time.
_BLOCK, _GRADIENT_BLOCK, _LARGE_KERNELS = 200 * 1024, 800 * 1024, 4 * 2**20
# Smaller images fill too little of a tile of 4x4.
_SMALLEST = 3


def conv3x3(
    images: Tensor, weight: Tensor, bias: Tensor | None = None, padding: int = 1, pool: bool = False
) -> Tensor:
    """`torch.nn.functional.conv2d(images, weight, bias, padding=padding)`, with `pool` `max_pool2d(..., 2)` of that.

    images: (N, C, H, W). weight: (K, C, 3, 3). bias: (K,). The result is (N, K, H, W), pooled (N, K, H // 2, W // 2),
    in channels_last memory where it is the kernels', which take a padding of 1. Theirs is off by about 1e-6 of its
    size, a plain sum by 3e-7. Pooled here, what lies between is never written to memory. Under autocast to bfloat16
    the tiles and kernels that are multiplied are rounded to it, sums and results are not, and are off by 2 %.
    """
    half = halves()
    if padding == 1 and weight.dtype == torch.float32:
        whole = images.float() if half else images
        if lanes := suits(whole, weight.shape[0], smallest=_SMALLEST, half=half):
            return _Convolution.apply(whole, weight, bias, pool, _Kernels(lanes, half))  # pyright: ignore[reportReturnType]
    result = _by_pytorch(images, weight, bias, padding)
    return F.max_pool2d(result, 2) if pool else result


def _by_pytorch(images: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    if bias is None or not torch.is_grad_enabled() or traced():
        return F.conv2d(images, weight, bias, padding=padding)
    # oneDNN's gradient of a bias takes up to four times as long as that of its kernel; a sum takes next to nothing.
    return F.conv2d(images, weight, padding=padding).add_(bias.view(-1, 1, 1))


@dataclass(frozen=True)
class _Kernels:
    """Which of the library's: the lanes of their vectors, and whether they multiply in bfloat16, two at a time."""

    lanes: int
    half: bool

    @property
    def depth(self) -> int:
        """How many numbers that are summed up make a term of a product; DEPTH in vectors.h."""
        return 2 if self.half else 1

    def vectors(self, outputs: int) -> int:
        """How many vectors of output channels a panel of kernels holds."""
        return 2 if outputs % (2 * self.lanes) == 0 else 1


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, pool: bool, kernels: _Kernels
    ) -> Tensor:
        images = last(images)
        result, chosen = _new_result(images.shape, len(weight), pool)
        _convolve(images, None, weight, bias, result, chosen, kernels)
        ctx.save_for_backward(images, weight, chosen)
        ctx.kernels = kernels
        return result

    @staticmethod
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        images, weight, chosen = ctx.saved_tensors
        gradients = last(gradients)
        of_images, of_weight, of_bias, *_ = ctx.needs_input_grad
        to_images = to_weight = to_bias = None
        if of_images:
            to_images = torch.empty_like(images)
            weight = weight.flip(2, 3).transpose(0, 1)
            _convolve(gradients, chosen, weight, None, to_images, None, ctx.kernels)
        if of_weight or of_bias:
            to_weight, to_bias = _kernel_gradient(images, gradients, chosen, ctx.kernels)
        return to_images, to_weight, to_bias if of_bias else None, None, None


def _new_result(shape: torch.Size, outputs: int, pool: bool) -> tuple[Tensor, Tensor | None]:
    """Memory for the result, and for which pixels a pooling chooses."""
    count, _, height, width = shape
    size = (count, outputs, height // 2, width // 2) if pool else (count, outputs, height, width)
    result = torch.empty(size, memory_format=torch.channels_last)
    return result, torch.empty_like(result, dtype=torch.uint8) if pool else None


def _convolve(
    images: Tensor,
    chosen: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    result: Tensor,
    choose: Tensor | None,
    kernels: _Kernels,
) -> None:
    """Into `result`, of which `choose` is the pooling's choice; `images` may be gradients of a `chosen` pooling."""
    outputs, inputs = weight.shape[:2]
    height, width = (result if chosen is not None or choose is None else images).shape[2:]
    vectors = kernels.vectors(outputs)
    transformed = _panels(weight, vectors, kernels)
    bias = torch.zeros(outputs) if bias is None else bias
    least = 4 * _ROWS if transformed.nbytes > _LARGE_KERNELS else _ROWS
    room = _room(_BLOCK, inputs + outputs, least)
    sizes = (len(images), height, width, inputs, outputs, vectors, room)
    arguments = (images, chosen, transformed, bias, result, choose, *sizes)
    _check(call("convolve", kernels.lanes, *arguments, half=kernels.half), images)


def _panels(weight: Tensor, vectors: int, kernels: _Kernels) -> Tensor:
    """`weight` (K, C, 3, 3), transformed, in the order that the products read; see `convolve` in convolution.c."""
    # Put into that order before the transform makes four times as much of it.
    cut = weight.reshape(-1, vectors * kernels.lanes, weight.shape[1] // kernels.depth, kernels.depth, 9)
    transformed = _TRANSFORM @ cut.permute(4, 0, 2, 1, 3).reshape(9, -1)
    return transformed.bfloat16() if kernels.half else transformed


def _kernel_gradient(
    images: Tensor, gradients: Tensor, chosen: Tensor | None, kernels: _Kernels
) -> tuple[Tensor, Tensor]:
    count, inputs, height, width = images.shape
    outputs, threads = gradients.shape[1], torch.get_num_threads()
    sums, bias_sums = torch.zeros(threads, _PLACES, inputs, outputs), torch.zeros(threads, outputs)
    room = _room(_GRADIENT_BLOCK, inputs + outputs, 4 * _ROWS)
    sizes = (count, height, width, inputs, outputs, kernels.vectors(outputs), room)
    arguments = (images, gradients, chosen, sums, bias_sums, *sizes)
    _check(call("kernel_gradient", kernels.lanes, *arguments, half=kernels.half), images)
    transformed = _TRANSFORM.T @ sums.sum(0).view(_PLACES, inputs * outputs)
    return transformed.view(3, 3, inputs, outputs).permute(3, 2, 0, 1), bias_sums.sum(0)


def _check(failed: int, images: Tensor) -> None:
    if failed:
        raise TenfoldError(
            f"there is no memory left for a convolution of {list(images.shape)} numbers. "
            "Close other programs, or set a smaller fit.batch_size."
        )


def _room(size: int, channels: int, least: int) -> int:
    """How many tiles a block of about `size` bytes holds, in whole rows of the products."""
    return max(least, size // (4 * _PLACES * channels) // _ROWS * _ROWS)
