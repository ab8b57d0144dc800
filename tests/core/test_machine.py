"""What of the machine is this process's."""

import os

from tenfold.core.machine import machine_memory, own_cores


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
