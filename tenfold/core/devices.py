"""The device and the precision to compute with, and the memory of this process."""

import ctypes
import gc
import platform
import sys

import torch

from tenfold.core.errors import InputError, nearest

# glibc's M_MMAP_MAX (blocks apart from the heap: none), M_TRIM_THRESHOLD and M_TOP_PAD (bytes); malloc.h.
_HEAP = {-4: 0, -1: (1 << 31) - 1, -2: 1 << 26}
DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" is CUDA, else Apple's MPS, else the CPU. Raises InputError if it is absent."""
    if name not in DEVICES:
        raise InputError(
            f"--device {name}: there is no such device{nearest(name, DEVICES)}; valid: {', '.join(DEVICES)}"
        )
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    if not present[name]:
        raise InputError(
            f"--device {name}: PyTorch {torch.__version__} finds no such device on this machine. "
            "Use --device cpu (or auto), or install the driver and the PyTorch build for it."
        )
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> str:
    """The precision of that name on `device`; "auto" is bfloat16 where there are units for it, else float32.

    Such units are a GPU's tensor cores, Intel's AMX, and the dot products of AVX-512 (AMD from Zen 4 on). Without
    them, bfloat16 only saves memory, and is slower.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    units = device.type == "cpu" and (
        torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    )
    return "bfloat16" if units else "float32"


def keep_freed_memory() -> None:
    """Let glibc keep large blocks that are freed, for the next step, instead of giving them back to the system.

    A training step takes and frees the same tens of megabytes again and again; fresh pages for them, zeroed by the
    kernel, cost a small network up to a third of its time (docs/log.md). Elsewhere than on glibc, nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in _HEAP.items():
            mallopt(parameter, value)


def release_freed_memory() -> None:
    """Let glibc give all memory that was freed back to the system, at the end of a stage that needed much of it."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def device_name(device: torch.device) -> str:
    """A name for people, such as "cpu" or "cuda (NVIDIA H200)"."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def peak_memory_mib() -> float | None:
    """The most memory that this process has held at once, in MiB; None on Windows, where Python does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
