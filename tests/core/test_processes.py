"""Workers end with the process that they work for, however that ends, and let go of its output."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

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
