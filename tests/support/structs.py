"""Whether a struct of ctypes lies in memory as C's does."""

import ctypes
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tenfold.kernels.compiling import find_compiler


def places(struct: type[ctypes.Structure], before: str = "", offset: int = 0) -> Iterator[tuple[str, int]]:
    """The names of all fields, those of inner structs by their path, with their offsets."""
    for name, kind, *_ in struct._fields_:
        at = offset + getattr(struct, name).offset
        if issubclass(kind, ctypes.Structure):
            yield from places(kind, f"{before}{name}.", at)
        else:
            yield f"{before}{name}", at


def check_lies_as_in_c(
    struct: type[ctypes.Structure], file: Path, name: str, folder: Path, *flags: str
) -> None:
    """Compile a program that prints where the fields of `file`'s struct `name` are, and compare."""
    fields = dict(places(struct))
    lines = "".join(f'printf("%zu\\n", offsetof({name}, {field}));' for field in fields)
    source, program = folder / "offsets.c", folder / "offsets"
    source.write_text(
        f'#include "{file}"\n#include <stddef.h>\n#include <stdio.h>\n'
        f'int main(void) {{ {lines} printf("%zu", sizeof({name})); }}'
    )
    subprocess.run([find_compiler()[0], *flags, str(source), "-o", str(program), "-lm"], check=True)
    offsets = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert list(map(int, offsets.split())) == [*fields.values(), ctypes.sizeof(struct)]
