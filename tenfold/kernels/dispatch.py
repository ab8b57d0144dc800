"""When the kernels suit, and how they are called."""

import torch
from torch import Tensor

from tenfold.kernels.library import library


def suits(images: Tensor, *channels: int) -> bool:
    """Whether the kernels can take `images` (N, C, H, W) to and from so many `channels`."""
    if images.device.type != "cpu" or images.dtype != torch.float32 or not images.numel():
        return False
    # Tensors without memory, by which an export follows a model, are of other types.
    if torch.is_autocast_enabled("cpu") or type(images) is not Tensor:
        return False
    lanes = library().lanes
    return lanes > 0 and all(count % lanes == 0 for count in (images.shape[1], *channels))


def last(images: Tensor) -> Tensor:
    """`images` (N, C, H, W) in the memory that the kernels read and write: (N, H, W, C)."""
    return images.contiguous(memory_format=torch.channels_last)


def call(name: str, *arguments: Tensor | int | None) -> int:
    """Call a C function with tensors by their memory, None as NULL, and PyTorch's number of threads at the end."""
    values = (a.data_ptr() if isinstance(a, Tensor) else a for a in arguments)
    return getattr(library().functions, name)(*values, torch.get_num_threads())
