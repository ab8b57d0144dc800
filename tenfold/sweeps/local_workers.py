"""Worker processes on this machine: started once, warm from then on, replaced where one dies."""

import json
import os
import selectors
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

import torch

from tenfold.core.text import plural
from tenfold.sweeps.trial import Report, TrialTask

# How long a worker may take to end by itself, in seconds; it is killed then.
GRACE = 5.0


class Workers(Protocol):
    """What the driver needs of those who carry out trials, wherever they are."""

    def idle(self) -> bool:
        """Whether another trial can be started now."""
        ...

    def start(self, task: TrialTask) -> None:
        """Give a task to an idle worker."""
        ...

    def reports(self, timeout: float) -> list[Report]:
        """What the workers reported, waiting at most `timeout` seconds; "lost" where a worker died over a trial."""
        ...

    def described(self) -> str:
        """Who and where they are, for people."""
        ...

    def close(self) -> None:
        """End the workers; what they were at is left to its checkpoints."""
        ...


class LocalWorkers:
    """Up to `count` worker processes with `threads` threads each; what they print goes to `log`."""

    def __init__(self, count: int, threads: int, log: Path) -> None:
        self.count, self.threads, self.log = count, threads, log
        self.workers: list[_Worker] = []
        self.selector = selectors.DefaultSelector()

    def idle(self) -> bool:
        """Whether a worker has nothing to do, or another one may be started."""
        return len(self.workers) < self.count or any(worker.trial is None for worker in self.workers)

    def start(self, task: TrialTask) -> None:
        """Give a task to an idle worker, or to a new one."""
        worker = next((worker for worker in self.workers if worker.trial is None), None) or self._hire()
        worker.start(task)

    def reports(self, timeout: float) -> list[Report]:
        """What the workers reported within `timeout` seconds."""
        found: list[Report] = []
        for key, _ in self.selector.select(timeout):
            worker: _Worker = key.data
            found += worker.read()
            if worker.dead:
                self.selector.unregister(worker.output)
                self.workers.remove(worker)
                found += worker.bury(self.log)
        return found

    def described(self) -> str:
        """How many there are, and with how many threads."""
        return f"{plural(self.count, 'worker')} of {plural(self.threads, 'thread')}"

    def close(self) -> None:
        """Terminate all workers, and wait for them."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.end()
        self.workers.clear()
        self.selector.close()

    def _hire(self) -> "_Worker":
        number = _free_number({worker.number for worker in self.workers})
        worker = _Worker(number, self.threads, self.log)
        self.workers.append(worker)
        self.selector.register(worker.output, selectors.EVENT_READ, worker)
        return worker


class _Worker:
    """One process, and the lines that it has not finished writing."""

    def __init__(self, number: int, threads: int, log: Path) -> None:
        self.number, self.trial, self.dead, self.rest = number, None, False, b""
        # A session of its own keeps the terminal's Ctrl-C from it: the driver decides what becomes of its trial.
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tenfold.sweeps.worker_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(number, threads),
                start_new_session=True,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout

    def start(self, task: TrialTask) -> None:
        self.trial = task.trial
        try:
            self.input.write(json.dumps(task.to_json()).encode() + b"\n")
            self.input.flush()
        except BrokenPipeError:
            pass  # It died while idle; its output's end says so.

    def read(self) -> list[Report]:
        chunk = os.read(self.output.fileno(), 1 << 20)
        self.dead = not chunk
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        found = [json.loads(line) for line in lines]
        if any(report["event"] == "ended" for report in found):
            self.trial = None
        return [report for report in found if report["event"] != "ready"]

    def bury(self, log: Path) -> list[Report]:
        self.end()
        if self.trial is None:
            return []
        return [{"event": "lost", "trial": self.trial, "reason": _how_it_ended(self.process.returncode, log)}]

    def end(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(self.output)
            with suppress(BrokenPipeError):
                self.input.close()
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def _free_number(taken: set[int]) -> int:
    return next(number for number in range(len(taken) + 1) if number not in taken)


def _environment(number: int, threads: int) -> dict[str, str]:
    """The worker's environment: its share of the threads, and one GPU where there are several."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", _gpus()).split(",") if name]
    if len(visible) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]
    return environment


def _gpus() -> str:
    return ",".join(map(str, range(torch.cuda.device_count())))


def _how_it_ended(status: int, log: Path) -> str:
    if status < 0:
        return (
            f"the worker process was killed by signal {-status}{' (out of memory?)' if status == -9 else ''}"
        )
    return f"the worker process ended with status {status}; {log} has what it printed"


def threads_each(workers: int) -> int:
    """This machine's threads, divided among so many workers."""
    return max(1, torch.get_num_threads() // workers)
