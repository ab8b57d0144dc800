"""What of the machine this process may use."""

import ctypes
import os
import sys
from pathlib import Path


def own_cores() -> int:
    """How many of the machine's cores are this process's, where those that were started on it share them."""
    found = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, found // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def machine_memory() -> int:
    """Bytes of memory that this process may use at most: the machine's, or its container's where that has a limit."""
    if sys.platform == "win32":
        kibibytes = ctypes.c_ulonglong()
        ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kibibytes))
        return kibibytes.value * 2**10
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such file, or "max"
        return memory
    return min(memory, limit)
