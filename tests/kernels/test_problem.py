"""Python's structs lie in memory as the C files' do: names, order, offsets and sizes."""

import ctypes
import subprocess

import pytest
from kernel_cases import needs_kernels

from tenfold.kernels.convolution import ConvolutionProblem
from tenfold.kernels.library import FOLDER, library
from tenfold.kernels.norm import NormProblem
from tenfold.kernels.pool import PoolProblem

PROBLEMS = {
    "Convolution": ("convolution.h", ConvolutionProblem),
    "Norm": ("norm.c", NormProblem),
    "Pool": ("pool.c", PoolProblem),
}


def places(struct, before="", offset=0):
    """The names of all fields, those of inner structs by their path, with their offsets."""
    for name, kind, *_ in struct._fields_:
        at = offset + getattr(struct, name).offset
        if issubclass(kind, ctypes.Structure):
            yield from places(kind, f"{before}{name}.", at)
        else:
            yield f"{before}{name}", at


@needs_kernels
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_lies_in_memory_as_in_c(name, tmp_path):
    file, struct = PROBLEMS[name]
    fields = dict(places(struct))
    lines = "".join(f'printf("%zu\\n", offsetof({name}, {field}));' for field in fields)
    source = tmp_path / "offsets.c"
    source.write_text(
        f'#include "{FOLDER / file}"\n#include <stddef.h>\n#include <stdio.h>\n'
        f'int main(void) {{ {lines} printf("%zu", sizeof({name})); }}'
    )
    command = [
        library().compiler,
        "-fopenmp",
        "-DLANES=8",
        str(source),
        "-o",
        str(tmp_path / "offsets"),
        "-lm",
    ]
    subprocess.run(command, check=True)
    offsets = subprocess.run([tmp_path / "offsets"], capture_output=True, text=True, check=True).stdout
    assert list(map(int, offsets.split())) == [*fields.values(), ctypes.sizeof(struct)]
