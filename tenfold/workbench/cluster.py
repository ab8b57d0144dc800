"""`--cluster ADDRESS --workers N`: the same command in workers of a Ray cluster, which learn together.

Ray Train starts them, tells each its rank and joins them (torch.distributed). Each runs the command in the folder
where it was given, which all nodes must see; what a worker says comes back through a queue, and is printed here.
"""

import io
import os
import runpy
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tenfold import __version__
from tenfold.core.cluster import connect, first_line, handed_on, need_ray
from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.text import plural
from tenfold.core.world import RankError, patience, processes_meant

# Ray would print what is printed a second time.
QUIET = {"RAY_TRAIN_ENABLE_PRINT_PATCH": "0"}
# Seconds between two looks whether the workers have ended, while they say nothing.
LOOK = 0.2
# Seconds that a rank which lost another one waits before it ends: Ray finds in 2 which one it was.
FOUND = 6.0


@dataclass(frozen=True)
class Asked:
    """A command for `workers` workers on the cluster at `address`; `words` are those after `tenfold`."""

    address: str
    workers: int
    words: tuple[str, ...]
    device: str = "auto"

    @property
    def again(self) -> str:
        """How a run goes on that was lost."""
        return (
            f"`tenfold resume RUN --cluster {self.address} --workers {self.workers}` goes on from the last "
            "checkpoint; `tenfold runs` lists the runs"
        )


def launch(asked: Asked) -> None:
    """Run the command in its workers, and print what they say.

    Raises InputError where the cluster cannot do it, TenfoldError, which names the rank, where a worker is lost, and
    SystemExit with the status of one that said itself why it ended.
    """
    if processes_meant() > 1:
        raise InputError("--cluster: these are several processes already (torchrun); leave it out.")
    ray = connect(asked.address, handed_on() | QUIET)
    try:
        each = resources_each(asked, [node["Resources"] for node in ray.nodes() if node["Alive"]])
        with _shared_folder() as folder:
            _follow(ray, asked, each, folder)
    except KeyboardInterrupt:
        print(f"stopped. {asked.again}.", file=sys.stderr)
        raise
    finally:
        ray.shutdown()


def resources_each(asked: Asked, nodes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What each worker is given of the `nodes`, by Ray's names: its share of the CPUs, and a GPU where there are any.

    Raises InputError where there are fewer of them than workers.
    """
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    gpus = 0 if asked.device == "cpu" else sum(int(node.get("GPU", 0)) for node in nodes)
    for kind, count in (("GPU", gpus), ("CPU", sum(cpus))):
        if not count and kind == "CPU":
            raise InputError(
                f"--cluster {asked.address}: its nodes offer no CPUs. Add a node (`ray start --address`)."
            )
        if 0 < count < asked.workers:
            without = ", or --device cpu" if kind == "GPU" else ""
            raise InputError(
                f"--workers {asked.workers}: the cluster {asked.address} has {plural(count, kind)}, and each worker "
                f"takes one. Use --workers {count}{without}, or add nodes."
            )
    share = next(n for n in range(max(cpus), 0, -1) if sum(cpu // n for cpu in cpus) >= asked.workers)
    return {"CPU": share, **({"GPU": 1} if gpus else {})}


@contextmanager
def _shared_folder() -> Iterator[Path]:
    """A new folder here, by which a node knows that it sees this very place; Ray's own notes lie in it."""
    try:
        made = TemporaryDirectory(prefix=".tenfold-", dir=Path.cwd(), ignore_cleanup_errors=True)
    except OSError as error:
        raise InputError(
            f"{Path.cwd()}: cannot be written ({error.strerror}). Give the command in a folder that can be, and that "
            "all nodes see."
        ) from None
    with made as folder:
        yield Path(folder)


# Here --------------------------------------------------------------------------------------------------------


@dataclass
class _Known:
    """What is known of the workers by what they sent: where each rank runs, and how it ended."""

    places: dict[int, str] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)

    def hear(self, message: tuple[str, Any]) -> None:
        """Take up, or print, what a worker sent."""
        kind, what = message
        if kind == "began":
            self.places |= what
        elif kind == "ended":
            self.ended |= what
        else:
            print(what, end="", file=sys.stdout if kind == "out" else sys.stderr, flush=True)


def _follow(ray: Any, asked: Asked, each: dict[str, float], folder: Path) -> None:
    """Start the workers, and print what they say until the last one has ended."""
    here = need_ray("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    queues = need_ray("ray.util.queue")
    queue = queues.Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
    errors: list[BaseException] = []

    def fit() -> None:
        try:
            _fit(asked, each, folder, queue)
        except BaseException as error:
            errors.append(error)

    # In a thread of its own, so that Ctrl-C is not Ray's.
    fitting = threading.Thread(target=fit, daemon=True)
    fitting.start()
    known = _Known()
    while fitting.is_alive() or not queue.empty():
        try:
            known.hear(queue.get(timeout=LOOK))
        except queues.Empty:
            continue
    if errors:
        _explain(errors[0], asked, known)


def _fit(asked: Asked, each: dict[str, float], folder: Path, queue: Any) -> None:
    """Ray Train's part: start the workers, give them their ranks, and wait for their end."""
    train, torch = need_ray("ray.train"), need_ray("ray.train.torch")
    trainer = torch.TorchTrainer(
        work,
        train_loop_config={
            "words": asked.words,
            "folder": str(folder),
            "version": __version__,
            "queue": queue,
        },
        torch_config=torch.TorchConfig(timeout_s=int(patience())),
        scaling_config=train.ScalingConfig(
            num_workers=asked.workers, use_gpu="GPU" in each, resources_per_worker=each
        ),
        run_config=train.RunConfig(
            name="ray",
            storage_path=str(folder),
            failure_config=train.FailureConfig(
                max_failures=0, controller_failure_limit=0, max_preemption_failures=0
            ),
        ),
    )
    trainer.fit()


def _explain(error: Any, asked: Asked, known: _Known) -> None:
    """Raise what ends the command. A worker that failed, and did not say so itself, was lost."""
    if not isinstance(error, need_ray("ray.train").WorkerGroupError):
        raise TenfoldError(
            f"--cluster {asked.address}: Ray could not start {asked.workers} workers there, or lost them "
            f"({first_line(error)}). `ray status` shows what is free. {asked.again}."
        ) from error
    lost = sorted(error.worker_failures.keys() - known.ended.keys())
    if lost:
        rank, why = lost[0], first_line(error.worker_failures[lost[0]])
        place = known.places.get(rank, "not yet begun")
        raise TenfoldError(
            f"rank {rank} of {asked.workers} ({place}) was lost, and with it the run: {why} {asked.again}."
        ) from None
    causes = {
        rank: status for rank, status in known.ended.items() if status not in (0, RankError.exit_status)
    }
    raise SystemExit(causes[min(causes)] if causes else 1)


# In a worker -------------------------------------------------------------------------------------------------


class _Relay(io.TextIOBase):
    """A text stream, no terminal, whose words appear where the command was given."""

    encoding = "utf-8"

    def __init__(self, queue: Any, kind: str) -> None:
        self.queue, self.kind = queue, kind

    def write(self, text: str) -> int:
        """Send it."""
        if text:
            self.queue.put((self.kind, text))
        return len(text)


def work(task: dict[str, Any]) -> None:
    """What each worker does: the command, with the rank that Ray Train gave it; fails where the command does."""
    ray, queue = need_ray(), task["queue"]
    rank, node = int(os.environ["RANK"]), ray.util.get_node_ip_address()
    queue.put(("began", {rank: f"process {os.getpid()} on {node}"}))
    with redirect_stdout(_Relay(queue, "out")), redirect_stderr(_Relay(queue, "err")):
        status = _run(task, node)
    queue.put(("ended", {rank: status}))
    if status == RankError.exit_status:
        time.sleep(FOUND)
    if status:
        raise TenfoldError(f"status {status}")


def _run(task: dict[str, Any], node: str) -> int:
    """Run the command as `python -m tenfold` does; its exit status."""
    folder = Path(task["folder"])
    try:
        if not folder.is_dir():
            raise InputError(
                f"node {node} does not see the folder {folder.parent} of this machine. Give the command in a folder "
                "that all nodes share, by its same path."
            )
        if task["version"] != __version__:
            raise InputError(
                f"node {node} has tenfold {__version__}, and {task['version']} gave the command. Install the same "
                "version on every node."
            )
        os.chdir(folder.parent)
        sys.argv = ["tenfold", *task["words"]]
        runpy.run_module("tenfold", run_name="__main__")
    except InputError as error:
        print(f"tenfold: {error}", file=sys.stderr)
        return error.exit_status
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    return 0
