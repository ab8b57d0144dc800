"""C files compiled for this machine when they are first needed, and kept in the cache.

The system's C compiler makes a library of them for this very processor. Whoever asks for one does without it where it
cannot be had. PyTorch is not needed.
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

from tenfold.core.errors import TenfoldError
from tenfold.core.files import atomic, cache_folder

# Set to "off", nothing is compiled.
SWITCH = "TENFOLD_KERNELS"
_SECONDS = 120
_LOCK = threading.Lock()

Functions = Mapping[str, Callable[..., int]]


@dataclass(frozen=True, eq=False)  # compared by identity: it is looked up at every layer
class Build:
    """What becomes one library: C files, their headers, the functions that they offer, and the compiler's flags.

    Libraries of one `family` are made of the same files with the flags in `common`; `name` says which of them it is,
    and `own` are the flags that only this one has.
    """

    family: str
    name: str
    sources: tuple[Path, ...]
    headers: tuple[Path, ...]
    functions: tuple[str, ...]
    common: tuple[str, ...]
    own: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """All of the compiler's flags."""
        return (*self.common, *self.own)


@functools.cache
def find_compiler() -> tuple[str, str]:
    """The C compiler's path, or "" and why nothing is compiled here."""
    if os.environ.get(SWITCH) == "off":
        return "", f"{SWITCH}=off"
    if platform.system() != "Linux":
        return "", f"tenfold's own are not tried on {platform.system()}"
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", ""), "cc", "gcc", "clang"))), None)
    return (compiler, "") if compiler else ("", "no C compiler was found for tenfold's own")


def made(compiler: str, build: Build) -> Functions | Exception:
    """The functions of a library, or what kept it from being made; at the first call read or compiled."""
    with _LOCK:
        return _loaded_or_compiled(compiler, build)


@functools.cache
def _loaded_or_compiled(compiler: str, build: Build) -> Functions | Exception:
    try:
        folder, version = place(compiler, build)
        path = folder / f"{version}-{build.name}.so"
        with contextlib.suppress(OSError):
            return _loaded(path, build)
        # It was never made, or removed by a process of another version, or is damaged.
        folder.mkdir(parents=True, exist_ok=True)
        _compile(compiler, build, path)
        _remove_others(folder, version)
        return _loaded(path, build)
    except (OSError, TenfoldError, subprocess.SubprocessError) as error:
        return error


def _loaded(path: Path, build: Build) -> Functions:
    functions = ctypes.CDLL(str(path))
    return {name: functions[name] for name in build.functions}


def _compile(compiler: str, build: Build, path: Path) -> None:
    """Compile the files side by side, and link them to a library."""
    with atomic(path) as temporary, tempfile.TemporaryDirectory() as folder:
        objects = [str(Path(folder, f"{source.stem}.o")) for source in build.sources]
        commands = [
            [compiler, *build.flags, "-c", str(source), "-o", made]
            for source, made in zip(build.sources, objects, strict=True)
        ]
        with ThreadPoolExecutor() as pool:
            list(pool.map(_run, commands))
        # Linkers write a file of their own in the place of the one that is held.
        linked = Path(folder, "linked.so")
        _run([compiler, *build.flags, "-shared", *objects, "-o", str(linked)])
        shutil.copyfile(linked, temporary)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)


def _remove_others(folder: Path, version: str) -> None:
    """Remove what other versions of a family left for this processor, and what 0.1 left beside its folder.

    A process that has one of them loaded keeps it: the system frees a file when nobody uses it any more.
    """
    others = [path for path in folder.glob("*.so") if not path.name.startswith(version)]
    for path in (*others, *folder.parent.glob("*.so")):
        with contextlib.suppress(OSError):
            path.unlink()


def place(compiler: str, build: Build) -> tuple[Path, str]:
    """The folder for this processor, since machines that differ may share a cache; and what else code depends on."""
    found = Path(compiler).resolve()
    texts = [path.read_text(encoding="utf-8") for path in (*build.sources, *build.headers)]
    version = _digest(texts, build.common, str(found), found.stat().st_mtime_ns)
    return cache_folder() / build.family / _digest(processor()), version


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def processor() -> str:
    """The processor's features, or else its kind."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())


def reason(error: object) -> str:
    """What the compiler found wrong first, or else its last line: a picture of the place may follow the error."""
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    lines = (said or str(error)).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if "error:" in line), lines[-1])
