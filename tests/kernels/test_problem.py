"""Python's structs lie in memory as the C files' do: names, order, offsets and sizes."""

import pytest
from kernel_cases import needs_kernels
from structs import check_lies_as_in_c

from tenfold.kernels.convolution import ConvolutionProblem
from tenfold.kernels.library import FOLDER
from tenfold.kernels.norm import NormProblem
from tenfold.kernels.pool import PoolProblem

PROBLEMS = {
    "Convolution": ("convolution.h", ConvolutionProblem),
    "Norm": ("norm.c", NormProblem),
    "Pool": ("pool.c", PoolProblem),
}


@needs_kernels
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_lies_in_memory_as_in_c(name, tmp_path):
    file, struct = PROBLEMS[name]
    check_lies_as_in_c(struct, FOLDER / file, name, tmp_path, "-fopenmp", "-DLANES=8")
