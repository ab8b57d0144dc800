"""The C files beside this one, compiled for this machine when they are first needed, and kept in the cache.

A variant of the kernels (vectors of so many lanes, images of float32 or bfloat16) is compiled when a layer first asks
for it: a run needs one or two of the four. Its files are compiled side by side.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tenfold.core.errors import TenfoldError
from tenfold.core.files import atomic, cache_folder

FOLDER = Path(__file__).parent
SOURCES, HEADERS = (tuple(sorted(FOLDER.glob(pattern))) for pattern in ("*.c", "*.h"))
# What they offer: each takes a pointer to its problem and returns 0, or 1 where memory is short.
FUNCTIONS = ("convolve", "filter_gradient", "norm", "norm_apply", "norm_gradient", "pool", "pool_gradient")
# For this very processor; products may be added without rounding between, and nothing else is loosened.
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fopenmp", "-fPIC")
# Set to "off", everything is left to PyTorch.
SWITCH = "TENFOLD_KERNELS"
_SECONDS = 120
# What a processor must have, by the names of /proc/cpuinfo, beyond vectors of 8 lanes, which every compiler can make.
_WIDE, _BFLOAT16 = frozenset({"avx512f"}), frozenset({"avx512_bf16", "avx512bw", "avx512vl"})
_LOCK = threading.Lock()

Functions = Mapping[str, Callable[..., int]]


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
            if fits and not isinstance(_made(self.compiler, variant), Exception):
                return variant
        return None

    def functions(self, variant: Variant) -> Functions:
        """The functions of one that `fitting` gave."""
        made = _made(self.compiler, variant)
        if isinstance(made, Exception):
            raise made
        return made

    def words(self, *, bfloat16: bool = False) -> str:
        """Whose kernels train, found by making one: of this precision, if any."""
        failures: list[Exception] = []
        for variant in sorted(self.variants, key=lambda variant: variant.bfloat16 != bfloat16):
            made = _made(self.compiler, variant)
            if not isinstance(made, Exception):
                return "tenfold's own where they suit"
            failures.append(made)
        why = f"{self.compiler} made no usable library: {_reason(failures[0])}" if failures else self.absent
        return f"PyTorch's ({why})"


@functools.cache
def library() -> Library:
    """What this machine can have. Nothing is compiled yet."""
    if os.environ.get(SWITCH) == "off":
        return Library(absent=f"{SWITCH}=off")
    if platform.system() != "Linux":
        return Library(absent=f"tenfold's own are not tried on {platform.system()}")
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", ""), "cc", "gcc", "clang"))), None)
    if compiler is None:
        return Library(absent="no C compiler was found for tenfold's own")
    return Library(_variants(), compiler)


def _variants() -> tuple[Variant, ...]:
    """What this processor has instructions for."""
    features = set(_processor().split())
    widths = (16, 8) if features >= _WIDE else (8,)
    precisions = (False, True) if features >= _BFLOAT16 else (False,)
    return tuple(Variant(lanes, bfloat16) for bfloat16 in precisions for lanes in widths)


def _made(compiler: str, variant: Variant) -> Functions | Exception:
    """The functions of a variant, or what kept it from being made; at the first call read or compiled."""
    with _LOCK:
        return _loaded_or_compiled(compiler, variant)


@functools.cache
def _loaded_or_compiled(compiler: str, variant: Variant) -> Functions | Exception:
    try:
        folder, version = _place(compiler)
        path = folder / f"{version}-{variant.lanes}{'-bfloat16' * variant.bfloat16}.so"
        with contextlib.suppress(OSError):
            return _loaded(path)
        # It was never made, or removed by a process of another version, or is damaged.
        folder.mkdir(parents=True, exist_ok=True)
        _compile(compiler, variant, path)
        _remove_others(folder, version)
        return _loaded(path)
    except (OSError, TenfoldError, subprocess.SubprocessError) as error:
        return error


def _loaded(path: Path) -> Functions:
    functions = ctypes.CDLL(str(path))
    return {name: functions[name] for name in FUNCTIONS}


def _compile(compiler: str, variant: Variant, path: Path) -> None:
    """Compile the files side by side, and link them to a library."""
    flags = [*FLAGS, f"-DLANES={variant.lanes}", *["-DBFLOAT16"] * variant.bfloat16]
    with atomic(path) as temporary, tempfile.TemporaryDirectory() as folder:
        objects = [str(Path(folder, f"{source.stem}.o")) for source in SOURCES]
        commands = [
            [compiler, *flags, "-c", str(source), "-o", made]
            for source, made in zip(SOURCES, objects, strict=True)
        ]
        with ThreadPoolExecutor() as pool:
            list(pool.map(_run, commands))
        # Linkers write a file of their own in the place of the one that is held.
        linked = Path(folder, "linked.so")
        _run([compiler, *flags, "-shared", *objects, "-o", str(linked)])
        shutil.copyfile(linked, temporary)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)


def _remove_others(folder: Path, version: str) -> None:
    """Remove what other versions of the kernels left for this processor, and what 0.1 left beside its folder.

    A process that has one of them loaded keeps it: the system frees a file when nobody uses it any more.
    """
    others = [path for path in folder.glob("*.so") if not path.name.startswith(version)]
    for path in (*others, *folder.parent.glob("*.so")):
        with contextlib.suppress(OSError):
            path.unlink()


@functools.cache
def _place(compiler: str) -> tuple[Path, str]:
    """The folder for this processor, since machines that differ may share a cache; and what else code depends on."""
    found = Path(compiler).resolve()
    texts = [path.read_text(encoding="utf-8") for path in (*SOURCES, *HEADERS)]
    version = _digest(texts, FLAGS, str(found), found.stat().st_mtime_ns)
    return cache_folder() / "kernels" / _digest(_processor()), version


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    """The processor's features, or else its kind."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())


def _reason(error: object) -> str:
    """What the compiler found wrong first, or else its last line: a picture of the place may follow the error."""
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    lines = (said or str(error)).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if "error:" in line), lines[-1])
