"""What a C function is given: one struct, made of tensors, and the call."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from tenfold.core.errors import TenfoldError
from tenfold.kernels.library import Variant, library


class Struct(ctypes.Structure):
    """A struct of the C files. Tensors stand for their memory and None for NULL; both live as long as the struct."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**{name: f.data_ptr() if isinstance(f, Tensor) else f for name, f in fields.items()})
        self.made_of = fields


def pointers(*names: str) -> tuple[tuple[str, type], ...]:
    """Fields of a struct that point to memory."""
    return tuple((name, ctypes.c_void_p) for name in names)


def longs(*names: str) -> tuple[tuple[str, type], ...]:
    """Fields of a struct that are sizes or steps."""
    return tuple((name, ctypes.c_long) for name in names)


def solve(function: str, problem: Any, variant: Variant, images: Tensor) -> None:
    """Give a problem over `images`, whose field `threads` is set to PyTorch's number, to a C function.

    Raises TenfoldError where the function returns 1: memory is short.
    """
    problem.threads = torch.get_num_threads()
    if library().functions(variant)[function](ctypes.byref(problem)):
        raise TenfoldError(
            f"there is no memory left for a layer's {list(images.shape)} numbers. "
            "Close other programs, or set a smaller fit.batch_size."
        )
