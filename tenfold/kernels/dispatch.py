"""When the kernels suit, and how they are called."""

import torch
from torch import Tensor

from tenfold.kernels.library import library


def suits(images: Tensor, *channels: int, smallest: int = 1) -> bool:
    """Whether the kernels can take `images` (N, C, H, W) to and from so many `channels`; `smallest`: of H and W."""
    # An export follows a model by tensors of other types, which have no memory, or by tracing PyTorch's operators.
    if type(images) is not Tensor or traced() or torch.is_autocast_enabled("cpu"):
        return False
    if images.device.type != "cpu" or images.dtype != torch.float32 or not images.numel():
        return False
    if min(images.shape[2:]) < smallest:
        return False
    lanes = library().lanes
    return lanes > 0 and all(count % lanes == 0 for count in (images.shape[1], *channels))


def traced() -> bool:
    """Whether a trace, such as that of TensorBoard's graph, takes down the operators of PyTorch that run."""
    return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]


def last(images: Tensor) -> Tensor:
    """`images` (N, C, H, W) in the memory that the kernels read and write: (N, H, W, C)."""
    return images.contiguous(memory_format=torch.channels_last)


def call(name: str, *arguments: Tensor | int | None) -> int:
    """Call a C function with tensors by their memory, None as NULL, and PyTorch's number of threads at the end."""
    values = (a.data_ptr() if isinstance(a, Tensor) else a for a in arguments)
    return getattr(library().functions, name)(*values, torch.get_num_threads())
