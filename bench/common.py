"""What several benchmarks share: peers' processes, the machine in words, matrix products, a model's work."""

import json
import os
import platform
import time
from pathlib import Path

import psutil
import torch
from torch.utils.flop_counter import FlopCounterMode

from tenfold.models import build_model
from tenfold.recipe.components import Choice

PEERS = Path(__file__).parent / "peers"
RESULTS_PAGE = Path(__file__).parents[1] / "docs" / "results.md"


def notebook_command(
    python: str, script: str, data: Path, recipe: str, steps: int, warmup: int, *more: str
) -> list[str]:
    """The command that trains a notebook's network by a script of bench/peers/ for so many steps of 64 images."""
    words = [f"--data={data.resolve()}", f"--recipe={recipe}", f"--steps={steps}", f"--warmup={warmup}"]
    return [python, str(PEERS / script), *words, *more]


def last_report(name: str, status: int, output: str, errors: str) -> dict:
    """What a peer's process reported as JSON in its last line; it ends the benchmark where the process failed."""
    if status:
        raise SystemExit(f"{name} failed:\n{errors[-3000:]}")
    return json.loads(output.splitlines()[-1])


def written_between(begin: str, end: str, lines: list[str], page: Path = RESULTS_PAGE) -> None:
    """Put a table in its place in a document: between the comments `begin` and `end`, of which each is there once."""
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page}: no place for the table: {begin.strip()} ... {end.strip()}")
    page.write_text(before + begin + "\n".join(lines) + "\n" + end + after, encoding="utf-8")


def matmul_rate(dtype: torch.dtype = torch.float32, size: int = 2048, seconds: float = 3.0) -> float:
    """The best GFLOP/s of matrix products of `dtype` on all of PyTorch's threads.

    Where one product of `size` would take longer than `seconds`, as in bfloat16 without units for it, a small one
    counts.
    """
    small = product_rate(dtype, 256, seconds / 10)
    return small if 2 * size**3 / 1e9 / small > seconds else product_rate(dtype, size, seconds)


def product_rate(dtype: torch.dtype, size: int, seconds: float) -> float:
    matrix, best = torch.randn(size, size).to(dtype), 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        matrix @ matrix
        best = max(best, 2 * size**3 / (time.perf_counter() - began) / 1e9)
    return best


def gflop_an_image(
    model: Choice, image_shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10
) -> float:
    """Multiplications and additions, in 1e9, of one (C, H, W) image's forward and backward pass.

    What is frozen (a whitening convolution) has a forward pass only, and counts so. Convolutions count as plain sums,
    also where a method of fewer multiplications takes their place.
    """
    # Without data, so that it is PyTorch's operators that are counted and not what stands for them on this machine.
    network = build_model(model, image_shape, classes).to("meta")
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, *image_shape, device="meta")).sum().backward()
    return counter.get_total_flops() / 2 / 1e9


def machine() -> dict[str, str | float]:
    """What raw results say of the machine, and how busy it was when they began."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def print_machine(rates: dict[str, float]) -> None:
    """Processor, memory, load, threads, and the measured `rates` of matrix products (GFLOP/s) by precision."""
    memory = psutil.virtual_memory().total / 2**30
    print(f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB; {platform.platform()}")
    print(f"load average {os.getloadavg()[0]:.1f} at the start; {torch.get_num_threads()} PyTorch threads")
    for precision, rate in rates.items():
        print(f"matrix product: {rate:.0f} GFLOP/s in {precision}")


def _processor() -> str:
    models = [line.split(":")[1].strip() for line in cpu_info() if line.startswith("model name")]
    return models[0] if models else platform.processor()


def cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []
