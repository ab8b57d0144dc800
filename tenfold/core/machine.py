"""What of the machine this process may use: its cores, and its memory, which the system or a container may limit."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import resource

CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# The share of a container's memory that is left to the libraries' code, which is read from the disk again and again
# where it does not fit.
SPARED = 1 / 8
# Bytes that the kernel counts as data and that learning does not touch: of allocators, and of stacks for each core.
UNTOUCHED, STACKS = 3 << 26, 2 << 23


def own_cores() -> int:
    """How many of the machine's cores are this process's, where those that were started on it share them."""
    found = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, found // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def machine_memory() -> int:
    """Bytes of memory that this process may use at most: the machine's, or its container's where that has a limit."""
    if sys.platform == "win32":
        import ctypes

        kibibytes = ctypes.c_ulonglong()
        ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kibibytes))
        return kibibytes.value * 2**10
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([memory, *(limit for limit, _ in _containers())])


def container_left() -> int | None:
    """Bytes that the container of this process has left for data; None where it has no limit (Linux).

    What it holds of files does not count: the system gives that up where memory is needed.
    """
    if sys.platform == "win32":
        return None
    machine, left = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), []
    for limit, folder in _containers():
        if limit < machine:
            with suppress(OSError, ValueError):  # not readable here
                left.append(int((1 - SPARED) * limit) - _held(folder))
    return max(0, min(left)) if left else None


@contextmanager
def kept_to_container() -> Iterator[None]:
    """Let the process take no more than its container has left, for a block that loads no libraries (Linux).

    Those map much that they never touch, Arrow more than a GiB, and the kernel can only limit what is mapped.
    """
    left = container_left()
    with limited_to(None if left is None else left + UNTOUCHED + STACKS * own_cores()):
        yield


@contextmanager
def limited_to(more: int | None) -> Iterator[None]:
    """Let the process take so many more bytes and then refuse it, as the kernel counts data (Linux's RLIMIT_DATA).

    So used-up memory is an error that can be explained, where the system would kill the process. None: no limit.
    """
    if sys.platform != "linux" or more is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    least = min(limit for limit in (_data_size() + more, *before) if limit != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_DATA, (least, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def address_space() -> int | None:
    """Bytes of address space that this process may have (`ulimit -v`); None where nothing limits it."""
    if sys.platform == "win32":
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _data_size() -> int:
    """Bytes of private memory that this process has mapped."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 2**10
    raise RuntimeError("/proc/self/status has no VmData")


# Containers: Linux's memory cgroups, of version 1 or 2 ------------------------------------------------------


def _containers() -> Iterator[tuple[int, Path]]:
    """(limit in bytes, folder) of each memory cgroup that this process is in and that has a limit."""
    try:
        lines = OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, place = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        root, file = (CGROUPS / "memory", "memory.limit_in_bytes") if kinds else (CGROUPS, "memory.max")
        folder = root / place.lstrip("/")
        # In a container the path may be the one outside of it, of which only the root is there.
        for above in (folder, *folder.parents):
            with suppress(OSError, ValueError):  # no such file, or "max"
                yield int((above / file).read_text(encoding="ascii")), above
            if above == root:
                break


def _held(cgroup: Path) -> int:
    """Bytes that a memory cgroup holds, without those that are cached of files."""
    old = cgroup / "memory.usage_in_bytes"
    used = int((old if old.is_file() else cgroup / "memory.current").read_text(encoding="ascii"))
    lines = (cgroup / "memory.stat").read_text(encoding="ascii").splitlines()
    counts = {name: int(count) for name, count in (line.split() for line in lines)}
    prefix = "total_" if old.is_file() else ""
    return used - sum(counts.get(f"{prefix}{kind}_file", 0) for kind in ("active", "inactive"))
