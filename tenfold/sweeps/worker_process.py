"""A worker process: tasks come in as JSON lines, reports go out as JSON lines; libraries and data stay loaded.

    python -m tenfold.sweeps.worker_process

It ends when its input does, so it never outlives the driver, whatever becomes of that.
"""

import json
import os
import queue
import signal
import sys
import threading
from typing import Any, TextIO

from tenfold.data import Source, Splits, read_splits
from tenfold.recipe import Data
from tenfold.sweeps.trial import TrialTask, carry_out


def main() -> None:
    """Carry out tasks until the input ends."""
    # Anything that a library prints must not get between the reports.
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, tasks), daemon=True).start()
    open_data = OpenData()
    _send(reports, {"event": "ready"})
    while True:
        task = TrialTask(**tasks.get())
        for report in carry_out(task, open_data):
            _send(reports, {"trial": task.trial, **report})


class OpenData:
    """Opens each source once for every way of decoding it, and keeps it open."""

    def __init__(self) -> None:
        self.opened: dict[str, Splits] = {}

    def __call__(self, data: Data, source: Source) -> Splits:
        """The splits of a source."""
        key = f"{data!r} {source!r}"
        if key not in self.opened:
            self.opened[key] = read_splits(data, source)
        return self.opened[key]


def _listen(lines: TextIO, tasks: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in lines:
        tasks.put(json.loads(line))
    os._exit(0)  # The driver is gone; what is unfinished goes on from its checkpoint.


def _send(reports: TextIO, report: dict[str, Any]) -> None:
    reports.write(json.dumps(report) + "\n")
    reports.flush()


if __name__ == "__main__":
    main()
