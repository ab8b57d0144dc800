"""When the kernels suit, and the memory that they take."""

import torch
from torch import Tensor

from tenfold.kernels.library import Variant, library


def suiting(
    images: Tensor, *channels: int, smallest: int = 1, bfloat16: bool | None = None
) -> Variant | None:
    """The kernels that take `images` (N, C, H, W) and have so many `channels`, or None where none do.

    `channels`: all that must fill vectors. `smallest`: of H and W. `bfloat16`: the kernels for it; by default
    where the images are.
    """
    # What follows a model, by tensors without memory or by tracing, must find PyTorch's operators.
    if type(images) is not Tensor or traced() or images.device.type != "cpu":
        return None
    plain = images.dtype in (torch.float32, torch.bfloat16)
    if not plain or not images.numel() or min(images.shape[2:]) < smallest:
        return None
    return library().fitting(
        *channels, bfloat16=images.dtype == torch.bfloat16 if bfloat16 is None else bfloat16
    )


def in_bfloat16() -> bool:
    """Whether layers are to compute in bfloat16 here: under autocast."""
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


def traced() -> bool:
    """Whether a trace, of an export or of TensorBoard's graph, takes down the operators of PyTorch that run."""
    tracing: bool = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return tracing or torch.compiler.is_exporting()


def last(images: Tensor) -> Tensor:
    """`images` (N, C, H, W) in the memory that the kernels read and write: (N, H, W, C)."""
    return images.contiguous(memory_format=torch.channels_last)
