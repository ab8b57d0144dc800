"""Fast kernels for training on a CPU, with their gradients; everything else is left to PyTorch.

Where the machine has a C compiler, the C files beside this one are compiled when they are first needed, and used for
images whose channels fill whole vectors: 3x3 convolutions with a quarter of the multiplications, batch norm joined
with a ReLU, pooling. In float32 results differ from PyTorch's by rounding alone. Under autocast to bfloat16, on
processors with products of it, images take half the memory and products half the time or less, at a rounding that is
two to four times PyTorch's there. `TENFOLD_KERNELS=off` leaves all of it to PyTorch. README.md has a map.
"""

from tenfold.kernels.convolution import Stem, conv3x3, conv3x3_behind
from tenfold.kernels.library import SWITCH, library
from tenfold.kernels.norm import rectified_norm
from tenfold.kernels.pool import max_pool

__all__ = ["SWITCH", "Stem", "conv3x3", "conv3x3_behind", "describe", "max_pool", "rectified_norm"]


def describe(*, bfloat16: bool = False) -> str:
    """Whose kernels train here, for `environment.json`: tenfold's, or PyTorch's and why.

    What is not compiled yet is compiled for it: kernels of bfloat16, where that is what will be trained in.
    """
    return library().words(bfloat16=bfloat16)
