"""Trials on the nodes of a Ray cluster: one warm actor a slot, images through the object store once a node.

Nodes need tenfold installed, and nothing else: a trial's run folder is sent to its actor and comes back with its
end, so no path has to be shared. A node that is lost takes only what its trials did since their last return.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tenfold.core.cluster import connect, first_line, need_ray
from tenfold.core.errors import TenfoldError
from tenfold.core.files import atomic
from tenfold.data import Source, Splits, read_splits
from tenfold.recipe import Data, parse_recipe
from tenfold.sweeps.trial import Report, TrialTask, carry_out

ray: Any = need_ray()

# More pixels than this are not sent: every node opens the source by its path instead.
MOST_SENT = 4 * 2**30
# How long to wait for the cluster's first free node, in seconds.
FIRST_NODE = 120.0

Files = dict[str, bytes]


class RayWorkers:
    """Up to `count` trials at a time (default: as many as fit) on the cluster at `address`.

    Each has `threads` CPUs, and a GPU of its own where the cluster has any. Raises InputError where nothing answers
    at the address.
    """

    def __init__(self, address: str, count: int | None, threads: int) -> None:
        connect(address)
        resources = ray.cluster_resources()
        self.address, self.threads = address, threads
        self.gpus = 1 if resources.get("GPU", 0) >= 1 else 0
        room = int(resources.get("GPU", 0) if self.gpus else resources.get("CPU", 0) / threads)
        self.slots = [_Slot(self._actor()) for _ in range(count or max(1, room))]
        self.data: dict[str, Any] = {}
        self.opened = time.monotonic()

    def idle(self) -> bool:
        """Whether an actor has nothing to do."""
        return any(slot.ready and slot.task is None for slot in self.slots)

    def start(self, task: TrialTask) -> None:
        """Send a task, its run folder as far as it got, and the way to its images."""
        slot = next(slot for slot in self.slots if slot.ready and slot.task is None)
        slot.task = task
        train = slot.actor.train.options(num_returns="streaming")
        slot.waiting = train.remote(task.to_json(), _pack(Path(task.folder)), self._images(task))

    def reports(self, timeout: float) -> list[Report]:
        """What the actors reported within `timeout` seconds; a run folder that came back is written first."""
        waiting = [slot.waiting for slot in self.slots if slot.waiting is not None]
        found: list[Report] = []
        ready, _ = ray.wait(waiting, timeout=timeout, fetch_local=False) if waiting else ([], [])
        for slot in [slot for slot in self.slots if slot.waiting in ready]:
            try:
                found += slot.receive()
            except ray.exceptions.RayError as error:
                found += slot.lost(error)
                slot.actor, slot.ready = self._actor(), False
                slot.waiting = slot.actor.ready.remote()
        self._check_room()
        return found

    def described(self) -> str:
        """How many there are, and where."""
        each = f"{self.threads} CPU{'' if self.threads == 1 else 's'}{' and a GPU' if self.gpus else ''}"
        return f"{len(self.slots)} workers of {each} on the Ray cluster {self.address}"

    def close(self) -> None:
        """End the actors and leave the cluster."""
        for slot in self.slots:
            ray.kill(slot.actor)
        ray.shutdown()

    def _actor(self) -> Any:
        options = {"num_cpus": self.threads, "num_gpus": self.gpus, "max_restarts": 0}
        return ray.remote(**options)(Trainer).remote(self.threads)

    def _images(self, task: TrialTask) -> list[Any]:
        """A reference to the task's splits in the object store, or nothing where a node opens them itself."""
        data, source = parse_recipe(task.recipe).data, Source(**task.source)
        key = f"{data!r} {source!r}"
        if key not in self.data:
            try:
                splits = read_splits(data, source)
            except TenfoldError:  # The trial will fail with it, and say so.
                return []
            small = not splits.streamed and splits.train.pixels.nbytes <= MOST_SENT
            self.data[key] = [ray.put(_portable(splits))] if small else []
        return self.data[key]

    def _check_room(self) -> None:
        if any(slot.ready for slot in self.slots):
            self.opened = time.monotonic()
        elif time.monotonic() - self.opened > FIRST_NODE:
            raise TenfoldError(
                f"--cluster {self.address}: no node had {self.threads} CPUs free for {FIRST_NODE:g} s. Free some, "
                "add a node, or lower --threads; the same command goes on then."
            )


@dataclass
class _Slot:
    """An actor, what is awaited of it, and the task that it has."""

    actor: Any
    ready: bool = False
    task: TrialTask | None = None
    waiting: Any = None

    def __post_init__(self) -> None:
        self.waiting = self.actor.ready.remote()

    def receive(self) -> list[Report]:
        """The next thing that the actor says."""
        if self.task is None:
            ray.get(self.waiting)
            self.ready, self.waiting = True, None
            return []
        report: Report = ray.get(next(self.waiting))
        trial = self.task.trial
        if report["event"] == "ended":
            _unpack(report.pop("files"), Path(self.task.folder))
            self.task = self.waiting = None
        return [{"trial": trial, **report}]

    def lost(self, error: Exception) -> list[Report]:
        """What to report when the actor is gone."""
        task, self.task = self.task, None
        if task is None:
            return []
        return [{"event": "lost", "trial": task.trial, "reason": first_line(error)}]


class Trainer:
    """What runs on a node: trains in a folder of its own, with the images kept from trial to trial."""

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.opened: dict[str, Splits] = {}

    def ready(self) -> bool:
        """Answers once the process is up."""
        return True

    def train(self, task: dict[str, Any], files: Files, images: list[Any]) -> Iterator[Report]:
        """The reports of a trial; the last one has its run folder's "files"."""
        with TemporaryDirectory(prefix="tenfold-") as folder:
            _unpack(files, Path(folder))

            def open_splits(data: Data, source: Source) -> Splits:
                key = f"{data!r} {source!r}"
                if key not in self.opened:
                    self.opened[key] = ray.get(images[0]) if images else read_splits(data, source)
                return self.opened[key]

            for report in carry_out(TrialTask(**{**task, "folder": folder}), open_splits):
                yield {**report, "files": _pack(Path(folder))} if report["event"] == "ended" else report


def _portable(splits: Splits) -> Splits:
    """The splits with their shared pixels as one plain array, which Ray stores once and maps on each node."""
    pixels = np.asarray(splits.train.pixels)
    parts = {split.name: replace(split, pixels=pixels) for split in splits}
    return replace(splits, **parts)


def _pack(folder: Path) -> Files:
    """Every file of a run folder, the checkpoint last: what is written last is what the others belong to."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    files.sort(key=lambda path: (path.parent.name == "checkpoint", path))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _unpack(files: Files, folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(content)
