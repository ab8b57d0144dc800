"""When the kernels suit, and how they are called."""

from typing import Any

import torch
from torch import Tensor

from tenfold.core.errors import TenfoldError
from tenfold.kernels.library import Variant, library


def suiting(images: Tensor, *channels: int, smallest: int = 1, half: bool | None = None) -> Variant | None:
    """The kernels that take `images` (N, C, H, W) and have so many `channels`, or None where none do.

    `channels`: all that must fill vectors. `smallest`: of H and W. `half`: the kernels for bfloat16; by default where
    the images are.
    """
    # What follows a model, by tensors without memory or by tracing, must find PyTorch's operators.
    if type(images) is not Tensor or traced() or images.device.type != "cpu":
        return None
    plain = images.dtype in (torch.float32, torch.bfloat16)
    if not plain or not images.numel() or min(images.shape[2:]) < smallest:
        return None
    return library().fitting(*channels, half=images.dtype == torch.bfloat16 if half is None else half)


def halves() -> bool:
    """Whether layers are to compute in bfloat16 here: under autocast."""
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


def traced() -> bool:
    """Whether a trace, of an export or of TensorBoard's graph, takes down the operators of PyTorch that run."""
    tracing: bool = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return tracing or torch.compiler.is_exporting()


def last(images: Tensor) -> Tensor:
    """`images` (N, C, H, W) in the memory that the kernels read and write: (N, H, W, C)."""
    return images.contiguous(memory_format=torch.channels_last)


def call(name: str, variant: Variant, *arguments: Any) -> int:
    """Call a C function with tensors by their memory, None as NULL, and PyTorch's number of threads at the end."""
    values = (a.data_ptr() if isinstance(a, Tensor) else a for a in arguments)
    return getattr(library().variants[variant], name)(*values, torch.get_num_threads())


def check(failed: int, images: Tensor) -> None:
    """Raise TenfoldError where a C function told by 1 that memory is short."""
    if failed:
        raise TenfoldError(
            f"there is no memory left for a layer's {list(images.shape)} numbers. "
            "Close other programs, or set a smaller fit.batch_size."
        )
