"""The C files beside this one, compiled for this machine when they are first needed, and kept in the cache.

A variant of the kernels (vectors of so many lanes, images of float32 or bfloat16) is compiled when a layer first asks
for it: a run needs one or two of the four. Its files are compiled side by side.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tenfold.kernels.compiling import SWITCH, Build, Functions, find_compiler, made, processor, reason

__all__ = ["SWITCH", "Library", "Variant", "library"]

FOLDER = Path(__file__).parent
SOURCES, HEADERS = (tuple(sorted(FOLDER.glob(pattern))) for pattern in ("*.c", "*.h"))
# What they offer: each takes a pointer to its problem and returns 0, or 1 where memory is short.
FUNCTIONS = ("convolve", "filter_gradient", "norm", "norm_apply", "norm_gradient", "pool", "pool_gradient")
# For this very processor; products may be added without rounding between, and nothing else is loosened.
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fopenmp", "-fPIC")
# What a processor must have, by the names of /proc/cpuinfo, beyond vectors of 8 lanes, which every compiler can make.
_WIDE, _BFLOAT16 = frozenset({"avx512f"}), frozenset({"avx512_bf16", "avx512bw", "avx512vl"})


class Variant(NamedTuple):
    """One compilation of the kernels: the lanes of its vectors, and whether its images are of bfloat16."""

    lanes: int
    bfloat16: bool


@dataclass(frozen=True)
class Library:
    """The kernels that this machine can have: the variants, the widest vectors first, and who makes them.

    `absent` says why there are none.
    """

    variants: tuple[Variant, ...] = ()
    compiler: str = ""
    absent: str = ""

    def fitting(self, *channels: int, bfloat16: bool = False) -> Variant | None:
        """The one of widest vectors that each of these numbers of `channels` fills, or None."""
        for variant in self.variants:
            fits = variant.bfloat16 == bfloat16 and all(count % variant.lanes == 0 for count in channels)
            # A compiler older than the processor makes some of them.
            if fits and not isinstance(made(self.compiler, build_of(variant)), Exception):
                return variant
        return None

    def functions(self, variant: Variant) -> Functions:
        """The functions of one that `fitting` gave."""
        found = made(self.compiler, build_of(variant))
        if isinstance(found, Exception):
            raise found
        return found

    def words(self, *, bfloat16: bool = False) -> str:
        """Whose kernels train, found by making one: of this precision, if any."""
        failures: list[Exception] = []
        for variant in sorted(self.variants, key=lambda variant: variant.bfloat16 != bfloat16):
            found = made(self.compiler, build_of(variant))
            if not isinstance(found, Exception):
                return "tenfold's own where they suit"
            failures.append(found)
        why = f"{self.compiler} made no usable library: {reason(failures[0])}" if failures else self.absent
        return f"PyTorch's ({why})"


@functools.cache
def library() -> Library:
    """What this machine can have. Nothing is compiled yet."""
    compiler, absent = find_compiler()
    return Library(_variants(), compiler) if compiler else Library(absent=absent)


@functools.cache
def build_of(variant: Variant) -> Build:
    """How a variant is compiled."""
    name = f"{variant.lanes}{'-bfloat16' * variant.bfloat16}"
    own = (f"-DLANES={variant.lanes}", *["-DBFLOAT16"] * variant.bfloat16)
    return Build("kernels", name, SOURCES, HEADERS, FUNCTIONS, FLAGS, own)


def _variants() -> tuple[Variant, ...]:
    """What this processor has instructions for."""
    features = set(processor().split())
    widths = (16, 8) if features >= _WIDE else (8,)
    precisions = (False, True) if features >= _BFLOAT16 else (False,)
    return tuple(Variant(lanes, bfloat16) for bfloat16 in precisions for lanes in widths)
