"""The kernels in C: are their results those of another checkout to the last bit, and what do they cost?

    python bench/kernels.py                                 # times of this checkout, and hashes of its results
    python bench/kernels.py --against ../before --rounds 7  # in turn with another's; exit 1 where bits differ

Each round is a process of its own, and the checkouts take turns, so that what disturbs the machine disturbs both. The
results that are hashed are those of every kernel on fixed inputs: in float32 and bfloat16, by vectors of 8 and of 16
lanes, by one, two and three threads. The layers that are timed are those of `fast-86` (a batch of 250) and the first
ones of `model-s` (64), each on one thread in seconds of the processor, which other programs disturb less than the
clock's. "First use" is what the first convolution takes longer than the next with an empty cache: what is compiled.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from tenfold.kernels import Stem, conv3x3, conv3x3_behind, max_pool, rectified_norm

FIRST_USE = "first use"
# (inputs, outputs, side, pooled) of the convolutions that are timed, and how many images.
FAST = [(32, 32, 16, False), (32, 64, 16, True), (64, 64, 8, False), (64, 96, 8, True), (96, 96, 4, False)]
NOTEBOOK = [(32, 32, 32, False), (32, 64, 16, False)]
FAST_BATCH, NOTEBOOK_BATCH = 250, 64
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
REPEATS = 15
PLACES: tuple[Literal["before", "after"], ...] = ("before", "after")


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def channels_last(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return draw(*shape, seed=seed).to(dtype).contiguous(memory_format=torch.channels_last)


# What is compared ---------------------------------------------------------------------------------


def with_gradients(function: Callable[..., Tensor], *leaves: Tensor) -> list[Tensor]:
    """The result, and the gradients of all leaves that can have one."""
    leaves = tuple(leaf.detach().requires_grad_() for leaf in leaves)
    result = function(*leaves)
    gradients = draw(*result.shape, seed=9).to(result.dtype)
    return [result.detach(), *torch.autograd.grad(result, leaves, gradients)]


def convolved(inputs: int, outputs: int, sides: tuple[int, int], dtype: torch.dtype) -> Iterator[Tensor]:
    images, weight = draw(5, inputs, *sides).to(dtype), draw(outputs, inputs, 3, 3, seed=1)
    yield from with_gradients(conv3x3, images, weight, draw(outputs, seed=2))
    yield from with_gradients(lambda i, w: conv3x3(i, w, pool=True), images, weight)


def behind_stem(outputs: int, dtype: torch.dtype) -> Iterator[Tensor]:
    del dtype  # a stem's images are of float32; autocast says what it makes of them
    for made, patch, stride, margin in ((24, 2, 1, 1), (10, 3, 2, 0), (36, 4, 2, 2)):
        stem = Stem(draw(made, 3, patch, patch), draw(made, seed=1), stride, margin)
        images, weight = draw(5, 3, 18, 15, seed=2), draw(outputs, made, 3, 3, seed=3)
        for pool in (False, True):
            yield from with_gradients(lambda w, s=stem, i=images, p=pool: conv3x3_behind(s, i, w, p), weight)


def normed(channels: int, dtype: torch.dtype) -> Iterator[Tensor]:
    norm = nn.BatchNorm2d(channels, momentum=0.3)
    for values in (norm.weight, norm.bias):
        values.data = draw(channels, seed=3)
    images = draw(7, channels, 13, 9).add(0.5).to(dtype)
    for place in PLACES:
        result, *gradients = with_gradients(partial(rectified_norm, norm, relu=place), images)
        yield from (result, *gradients, norm.running_mean, norm.running_var)  # pyright: ignore[reportReturnType]
        learned = rectified_norm(norm, images, place)
        yield from torch.autograd.grad(learned.float().square().sum(), (norm.weight, norm.bias))
        with torch.no_grad():
            yield rectified_norm(norm.eval(), images, place)
        norm.train()


def pooled(channels: int, dtype: torch.dtype) -> Iterator[Tensor]:
    yield from with_gradients(max_pool, draw(5, channels, 11, 8).mul(2).round().to(dtype))


def comparisons() -> Iterator[tuple[str, Callable[[torch.dtype], Iterator[Tensor]]]]:
    """Names of results and what makes them, given the precision of images."""
    for lanes, wide in ((8, 24), (16, 48)):
        for outputs in (wide, 2 * wide // 3 * 2):
            yield (
                f"convolution, {lanes} lanes, {outputs} outputs",
                lambda d, i=wide, o=outputs: convolved(i, o, (7, 10), d),
            )
        yield f"stem, {lanes} lanes", lambda d, o=wide: behind_stem(o, d)
        yield f"norm, {lanes} lanes", lambda d, c=wide: normed(c, d)
        yield f"pooling, {lanes} lanes", lambda d, c=wide: pooled(c, d)
    yield "convolution, 16 lanes, kernels larger than the cache", lambda d: convolved(256, 192, (6, 5), d)


def hashes() -> dict[str, str]:
    found, threads = {}, torch.get_num_threads()
    for name, make in comparisons():
        for precision, dtype in DTYPES.items():
            digest = hashlib.sha256()
            for count in (1, 2, 3):
                torch.set_num_threads(count)
                with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                    for tensor in make(dtype):
                        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
            found[f"{name}, {precision}"] = digest.hexdigest()[:16]
    torch.set_num_threads(threads)
    return found


# What is timed ------------------------------------------------------------------------------------


def timed(step: Callable[[], object]) -> float:
    """The least milliseconds of the processor for `step`, after two that do not count."""
    for _ in range(2):
        step()
    taken = []
    for _ in range(REPEATS):
        began = time.process_time()
        step()
        taken.append(time.process_time() - began)
    return 1e3 * min(taken)


def layers() -> Iterator[tuple[str, Callable[[], Tensor], tuple[Tensor, ...]]]:
    """Name, forward pass and leaves of each layer that is timed."""
    for precision, dtype in DTYPES.items():
        stem = Stem(draw(24, 3, 2, 2), draw(24), margin=1)
        images = channels_last(FAST_BATCH, 3, 32, 32, dtype=torch.float32)
        weight = draw(32, 24, 3, 3).requires_grad_()
        yield (
            f"stem and 24 to 32 at 32x32, pooled, {precision}",
            lambda s=stem, i=images, w=weight: conv3x3_behind(s, i, w, True),
            (weight,),
        )
        shapes = [(FAST_BATCH, *shape) for shape in FAST] + [(NOTEBOOK_BATCH, *shape) for shape in NOTEBOOK]
        for count, inputs, outputs, side, pool in shapes:
            images = channels_last(count, inputs, side, side, dtype=dtype).requires_grad_()
            weight = draw(outputs, inputs, 3, 3).requires_grad_()
            name = f"{inputs} to {outputs} at {side}x{side}{', pooled' * pool}, {precision}"
            yield name, lambda i=images, w=weight, p=pool: conv3x3(i, w, pool=p), (images, weight)
        images = channels_last(FAST_BATCH, 32, 16, 16, dtype=dtype).requires_grad_()
        norm = nn.BatchNorm2d(32)
        yield (
            f"norm of 32 at 16x16, {precision}",
            lambda i=images, n=norm: rectified_norm(n, i, "after"),
            (images,),
        )
        yield f"pooling of 32 at 16x16, {precision}", lambda i=images: max_pool(i), (images,)


def milliseconds() -> dict[str, float]:
    """Milliseconds of each layer, forward and back."""
    found = {}
    torch.set_num_threads(1)
    for name, forward, leaves in layers():
        with torch.autocast("cpu", torch.bfloat16, enabled=name.endswith("bfloat16")):
            gradients = torch.ones_like(forward())
            found[f"{name}, forward"] = timed(torch.no_grad()(forward))
            found[f"{name}, both"] = timed(
                lambda f=forward, x=leaves, g=gradients: torch.autograd.grad(f(), x, g)
            )
    return found


def first_use() -> dict[str, float]:
    """Milliseconds, of the clock and of the processor, that the first convolution takes longer than the second."""
    images, weight = draw(2, 32, 8, 8), draw(32, 32, 3, 3)
    began, used = time.perf_counter(), all_processor_seconds()
    conv3x3(images, weight)
    first, first_used = time.perf_counter() - began, all_processor_seconds() - used
    second = timed(lambda: conv3x3(images, weight))
    return {f"{FIRST_USE}, clock": 1e3 * first - second, f"{FIRST_USE}, processor": 1e3 * first_used - second}


def all_processor_seconds() -> float:
    """Of this process and of those that it waited for: the compiler's."""
    return sum(os.times()[:4])


def report() -> None:
    """What a round's process prints."""
    print(json.dumps({"milliseconds": {**first_use(), **milliseconds()}, "hashes": hashes()}))


# The comparison -----------------------------------------------------------------------------------


def play(checkout: Path) -> dict[str, dict]:
    """A round of the kernels of a checkout, with a cache of its own."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "TENFOLD_CACHE": cache}
        command = [sys.executable, __file__, "--round"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{checkout}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def print_times(rounds: list[list[dict]]) -> None:
    """The least of all rounds; with two checkouts the ratio of this one's to the other's, and that of each round."""
    mine, *others = rounds
    overall: list[float] = []
    for name in mine[0]["milliseconds"]:
        taken = [one["milliseconds"][name] for one in mine]
        line = f"{name:52} {min(taken):9.2f} ms"
        for other in others:
            theirs = [one["milliseconds"][name] for one in other]
            ratios = sorted(t / u for t, u in zip(taken, theirs, strict=True))
            line += f"  x {min(taken) / min(theirs):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
            if not name.startswith(FIRST_USE):
                overall.append(min(taken) / min(theirs))
        print(line)
    if overall:
        print(f"geometric mean of {len(overall)} ratios: {statistics.geometric_mean(overall):.3f}")


def main() -> None:
    """Play the rounds, print times, hashes and what differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, help="the root of another checkout")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to keep what was measured")
    parser.add_argument("--round", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.round:
        return report()
    checkouts = [Path(__file__).parents[1], *filter(None, [options.against])]
    played = [[play(checkout) for checkout in checkouts] for _ in range(options.rounds)]
    rounds = [list(of_one) for of_one in zip(*played, strict=True)]
    print_times(rounds)
    mine, *others = (of_one[0]["hashes"] for of_one in rounds)
    for name, value in mine.items():
        print(
            f"{name:66} {value}", *("the same" if value == other.get(name) else "CHANGED" for other in others)
        )
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=2) + "\n")
    sys.exit(any(other != mine for other in others))


if __name__ == "__main__":
    main()
