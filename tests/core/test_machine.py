"""What of the machine is this process's."""

import os
import subprocess
import sys

import pytest

from tenfold.core import machine
from tenfold.core.machine import (
    address_space,
    container_left,
    kept_to_container,
    limited_to,
    machine_memory,
    own_cores,
)

on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs the limits of the Linux kernel"
)


def test_processes_that_were_started_together_share_the_cores(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    alone = own_cores()
    assert 1 <= alone <= (os.cpu_count() or 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(alone))
    assert own_cores() == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert own_cores() == 1


def test_the_memory_is_at_most_the_machines():
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 2**28 < machine_memory() <= physical


def make_containers(root, monkeypatch, own, files):
    """Cgroups below `root` as a kernel shows them, and this process in `own` of them."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "own").write_text(own)
    monkeypatch.setattr(machine, "CGROUPS", root)
    monkeypatch.setattr(machine, "OWN_CGROUPS", root / "own")


GIB = 1 << 30


@on_linux
@pytest.mark.parametrize("place", ["/job/step", "/not/here"])
def test_a_containers_limit_counts_wherever_it_is_set(place, tmp_path, monkeypatch):
    """Version 2: a limit of an outer group, or of the root that a container sees; files in memory do not count."""
    outer = "job" if place == "/job/step" else "."
    usage = {"memory.max": f"{GIB}\n", "memory.current": f"{GIB // 2}\n"}
    usage["memory.stat"] = f"anon 5\nactive_file {GIB // 8}\ninactive_file {GIB // 8}\n"
    files = {f"{outer}/{name}": text for name, text in usage.items()} | {"job/step/memory.max": "max\n"}
    make_containers(tmp_path, monkeypatch, f"0::{place}\n", files)
    assert machine_memory() == GIB
    assert container_left() == (1 - machine.SPARED) * GIB - GIB // 4


@on_linux
def test_containers_of_version_1(tmp_path, monkeypatch):
    files = {
        "memory/a/memory.limit_in_bytes": f"{GIB}\n",
        "memory/a/memory.usage_in_bytes": f"{GIB - 1}\n",
        "memory/a/memory.stat": "total_active_file 0\ntotal_inactive_file 0\nhierarchical_memory_limit 1\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    make_containers(tmp_path, monkeypatch, "5:cpu,cpuacct:/b\n4:memory:/a\n", files)
    assert machine_memory() == GIB
    assert container_left() == 0


@on_linux
@pytest.mark.parametrize("own", ["", "0::/\n", "4:memory:/\n"])
def test_without_a_limit_there_is_none(own, tmp_path, monkeypatch):
    make_containers(tmp_path, monkeypatch, own, {"memory.max": "max\n"})
    assert container_left() is None
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "missing")
    assert container_left() is None


@pytest.mark.slow
@on_linux
def test_a_block_is_kept_to_its_container(tmp_path, monkeypatch):
    usage = {"memory.max": f"{GIB}\n", "memory.current": f"{GIB // 2}\n", "memory.stat": "anon 5\n"}
    make_containers(tmp_path, monkeypatch, "0::/\n", usage)
    with kept_to_container():
        bytearray(GIB // 4)
        with pytest.raises(MemoryError):
            bytearray(2 * GIB)
    bytearray(2 * GIB)
    (tmp_path / "memory.max").write_text("max\n")
    with kept_to_container():
        bytearray(2 * GIB)


@on_linux
def test_a_limit_holds_for_its_block_alone():
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited_to(64 << 20):
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        assert 64 << 20 < soft < 1 << 45
        assert hard == before[1]
        with limited_to(1 << 40):  # one within another allows no more
            assert resource.getrlimit(resource.RLIMIT_DATA)[0] == soft
        with pytest.raises(MemoryError):
            bytearray(1 << 32)  # more than the process can have let go of and kept
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with limited_to(None):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


@on_linux
def test_a_limit_of_address_space_is_known():
    code = "from tenfold.core.machine import address_space; print(address_space())"
    limited = ["prlimit", f"--as={GIB}", sys.executable, "-c", code]
    assert subprocess.run(limited, capture_output=True, text=True, check=True).stdout.strip() == str(GIB)
    assert address_space() is None or address_space() > GIB
