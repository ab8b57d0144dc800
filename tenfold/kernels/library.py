"""The C files beside this one, compiled once for this machine by the system's compiler, and kept in the cache."""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tenfold.core.errors import TenfoldError
from tenfold.core.files import atomic, cache_folder

FOLDER = Path(__file__).parent
SOURCES = tuple(FOLDER / name for name in ("convolution.c", "norm.c", "pool.c"))
# For this very processor; products may be added without rounding between, and nothing else is loosened.
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fopenmp", "-shared", "-fPIC")
# Set to "off", everything is left to PyTorch.
SWITCH = "TENFOLD_KERNELS"
_SECONDS = 120
# What a processor must have, by the names of /proc/cpuinfo, beyond vectors of 8 lanes, which every compiler can make.
_WIDE, _HALF = frozenset({"avx512f"}), frozenset({"avx512_bf16", "avx512bw", "avx512vl"})
_POINTER, _LONG, _INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
_ARGUMENTS = {
    "convolve": [*[_POINTER] * 7, *[_LONG] * 5, _INT, _LONG, _INT],
    "kernel_gradient": [*[_POINTER] * 6, *[_LONG] * 5, _INT, _LONG, _INT],
    "norm_apply": [*[_POINTER] * 3, *[_LONG] * 2, _INT, _INT],
    "norm": [*[_POINTER] * 6, ctypes.c_double, *[_LONG] * 2, _INT, _INT],
    "norm_gradient": [*[_POINTER] * 6, *[_LONG] * 2, _INT, _INT],
    "pool": [*[_POINTER] * 3, *[_LONG] * 4, _INT],
    "pool_gradient": [*[_POINTER] * 3, *[_LONG] * 4, _INT],
}


class Variant(NamedTuple):
    """One compilation of the kernels: the lanes of its vectors, and whether its images are of bfloat16."""

    lanes: int
    half: bool


@dataclass(frozen=True)
class Library:
    """The loaded functions of each variant, the widest vectors first; and words on it."""

    variants: Mapping[Variant, ctypes.CDLL]
    words: str

    def fitting(self, *channels: int, half: bool = False) -> Variant | None:
        """The one of widest vectors that each of these numbers of `channels` fills, or None."""
        variants = (variant for variant in self.variants if variant.half == half)
        return next((v for v in variants if all(count % v.lanes == 0 for count in channels)), None)


@functools.cache
def library() -> Library:
    """The compiled kernels, at the first call compiled or read from the cache."""
    if os.environ.get(SWITCH) == "off":
        return _absent(f"{SWITCH}=off")
    if platform.system() != "Linux":
        return _absent(f"tenfold's own are not tried on {platform.system()}")
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", ""), "cc", "gcc", "clang"))), None)
    if compiler is None:
        return _absent("no C compiler was found for tenfold's own")
    wanted = _variants()
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(functools.partial(_load, compiler), wanted))
    # A compiler older than the processor may make some of them.
    made = {
        variant: found
        for variant, found in zip(wanted, outcomes, strict=True)
        if isinstance(found, ctypes.CDLL)
    }
    if not made:
        return _absent(f"{compiler} made no usable library: {_reason(outcomes[0])}")
    return Library(made, "tenfold's own where they suit")


def _variants() -> list[Variant]:
    """What this processor has instructions for."""
    features = set(_processor().split())
    widths = [16, 8] if features >= _WIDE else [8]
    return [
        Variant(lanes, half) for half in (False, True) if features >= _HALF or not half for lanes in widths
    ]


def _load(compiler: str, variant: Variant) -> ctypes.CDLL | Exception:
    """The compiled variant, or what kept it from being one."""
    try:
        functions = ctypes.CDLL(str(_compiled(compiler, variant)))
    except (OSError, TenfoldError, subprocess.SubprocessError) as error:
        return error
    for name, arguments in _ARGUMENTS.items():
        getattr(functions, name).argtypes = arguments
    return functions


def _absent(why: str) -> Library:
    return Library({}, f"PyTorch's ({why})")


def _compiled(compiler: str, variant: Variant) -> Path:
    """The library's file for these sources, this compiler and this processor."""
    path = cache_folder() / "kernels" / f"{_key(compiler)}-{variant.lanes}{'-half' * variant.half}.so"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            flags = [*FLAGS, f"-DLANES={variant.lanes}", *["-DHALF"] * variant.half]
            command = [compiler, *flags, *map(str, SOURCES), "-o", str(temporary)]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
    return path


def _key(compiler: str) -> str:
    """What the compiled code depends on; a cache folder may be shared by machines that differ."""
    found = Path(compiler).resolve()
    texts = [path.read_text(encoding="utf-8") for path in (*SOURCES, FOLDER / "vectors.h")]
    parts = (texts, FLAGS, str(found), found.stat().st_mtime_ns, _processor())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    """The processor's features, or else its kind."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())


def _reason(error: object) -> str:
    """What the compiler found wrong first, or else its last line: a picture of the place may follow the error."""
    lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if "error:" in line), lines[-1])
