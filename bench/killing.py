"""Commands that are killed at their N-th change of a file: a process that has loaded tenfold forks for each of them.

    with Killing(folder, scratch) as commands:
        done = commands.run("train", "digits", "--out", "runs")       # done.status, done.changes, done.out
        killed = commands.run("train", "digits", "--out", "runs", at=17)   # killed.what: the call it was killed at

`killing.c`, compiled here and preloaded, counts and kills. Forking spares each command the seconds of loading.
"""

import atexit
import contextlib
import gc
import importlib
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
_FOLDER, _WHAT, _SIZE = 24, 24 + 4096, 24 + 3 * 4096
# What commands load on first use; loaded before forking.
MODULES = (
    "torch._dynamo",
    "tenfold.workbench.verbs",
    "tenfold.sweeps.conduct",
    "tenfold.comparison",
    "tenfold.inference.command",
    "tenfold.inference.predict",
    "tenfold.workbench.show",
    "matplotlib.backends.backend_svg",
    "matplotlib.backends.backend_agg",
    "scipy.optimize",
    "scipy.special",
    "pyarrow.parquet",
    "filelock",
    "safetensors.torch",
)


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit status (-9: killed), what it said, how many changes, and where it was killed."""

    status: int
    out: str
    changes: int
    what: str
    seconds: float


class Killing:
    """Runs commands in `folder`, below which changes count; their cache is in it. `scratch` is for this class.

    `figures`: whether the reports of the commands from now on have any; their drawing takes most of the time.
    """

    figures = True

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self.scratch = folder, scratch
        folder.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(parents=True, exist_ok=True)
        self.library = compiled(scratch)
        self.memory = scratch / "state"
        self.memory.write_bytes(bytes(_SIZE))
        self.log = scratch / "said"
        environment = {
            **os.environ,
            "LD_PRELOAD": str(self.library),
            "TENFOLD_FAULTS": str(self.memory),
            "TENFOLD_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(self.memory), str(self.log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def __enter__(self) -> "Killing":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()

    def run(self, *words: str | Path, at: int = 0) -> Done:
        """`tenfold WORDS`, killed at its change number `at`, counted from 1; 0 lets it end."""
        began = time.monotonic()
        task = {"words": list(map(str, words)), "at": at, "folder": str(self.folder), "figures": self.figures}
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        out = self.log.read_text(encoding="utf-8", errors="replace")
        return Done(answer["status"], out, answer["changes"], answer["what"], time.monotonic() - began)

    def stop(self) -> None:
        """Ask the command that is running, if one is, to end (SIGTERM)."""
        root = struct.unpack_from("<qqq", self.memory.read_bytes())[2]
        with contextlib.suppress(ProcessLookupError):
            if root > 0:
                os.kill(root, signal.SIGTERM)

    def outlived(self, seconds: float) -> bool:
        """Whether a process of a command that was run here is alive after so long."""
        mark, end = f"TENFOLD_FAULTS={self.memory}".encode(), time.monotonic() + seconds
        while alive := [process for process in psutil.pids() if _has(process, mark)]:
            if alive == [self.process.pid]:
                return False
            if time.monotonic() > end:
                return True
            time.sleep(0.02)
        return False


def _has(process: int, mark: bytes) -> bool:
    """Whether a living process was started with `mark` in its environment."""
    try:
        return mark in Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def compiled(scratch: Path) -> Path:
    """The library that counts and kills."""
    library = scratch / "killing.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(HERE / "killing.c"), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def serve(memory: Path, log: Path) -> None:
    """Fork for each task that comes in; say how it ended."""
    for name in MODULES:
        importlib.import_module(name)
    # The first drawing looks for its fonts and reads them.
    importlib.import_module("tenfold.workbench.clock").figure_seconds()
    gc.freeze()  # A child's collections would copy what it shares with this process.
    with memory.open("r+b") as file:
        state = mmap.mmap(file.fileno(), _SIZE)
    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if not child:
            _become(task, state, log)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        _, changes, _ = struct.unpack_from("<qqq", state)
        what = state[_WHAT:_SIZE].split(b"\0")[0].decode(errors="replace")
        answer = {"status": status, "changes": changes, "what": what}
        state[:_SIZE] = bytes(_SIZE)  # what the command's processes do from now on does not count
        print(json.dumps(answer), flush=True)


def _become(task: dict[str, Any], state: mmap.mmap, log: Path) -> None:
    """Be the command of a task, in a process that ends as the command does."""
    os.setsid()
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(task["folder"])
    sys.argv = ["tenfold", *task["words"]]
    folder = task["folder"].encode()
    state[_FOLDER : _FOLDER + len(folder)] = folder
    state[:_FOLDER] = struct.pack("<qqq", task["at"], 0, os.getpid())
    from tenfold import cli
    from tenfold.report import page

    if not task["figures"]:
        page.draw_figures = lambda run, evidence, splits=None: None

    status = 0
    try:
        cli.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 70
    # The end of an interpreter, without the second that it would spend on freeing what it shares.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
