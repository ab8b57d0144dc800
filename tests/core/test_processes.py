"""Workers end with the process that they work for, however that ends; results come in order."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tenfold.core.processes import in_order

DECODING = """
import time
from tenfold.core.signals import raised
from tenfold.data import decode_pool
decode_pool.INLINE_SECONDS = 0
def work(chunk):
    time.sleep(0.1)
    return [chunk]
with raised():
    for number, found in enumerate(decode_pool._spread(work, iter(range(10_000)))):
        if number == 3:
            print("begun", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_decoding_processes_end_with_the_one_that_started_them(number):
    command = [sys.executable, "-c", DECODING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"begun\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) > 1
        process.send_signal(number)
        began = time.monotonic()
        assert process.wait(60) == (-9 if number == signal.SIGKILL else 143)
        assert process.stdout.read() == b""  # until nobody holds it open
        assert not psutil.wait_procs(children, timeout=20)[1]
        assert time.monotonic() - began < 20


def test_results_come_in_order_and_what_nobody_waits_for_is_not_begun():
    begun = []

    def slow_first(number: int) -> int:
        begun.append(number)
        time.sleep(0.05 if number == 0 else 0)
        return -number

    with ThreadPoolExecutor(2) as pool:
        results = in_order(lambda number: pool.submit(slow_first, number), iter(range(1000)), 3)
        assert [next(results) for _ in range(3)] == [(0, 0), (1, -1), (2, -2)]
        results.close()
    assert len(begun) <= 7
