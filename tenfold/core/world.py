"""The processes that learn one model together, and which of them this one is: the one place that knows of ranks.

`torchrun`, `tenfold train --processes` and Ray start the processes and say in their environment who they are
(RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT: PyTorch's names). A process that was started alone is a world
of its own, in which everything here costs nothing.
"""

import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from tenfold.core.errors import InputError, TenfoldError

# Seconds that a rank waits for the others' part of a sum; one of them hangs, or its machine is gone, after that.
PATIENCE = "TENFOLD_PATIENCE"
USUAL_PATIENCE = 300.0
# Seconds between two looks of a rank that waits for the first one's word, which may take hours.
LOOK = 0.02

Made = TypeVar("Made")


@dataclass(frozen=True)
class World:
    """One process among `size`, which work in step; `rank` counts from 0. The first one writes, and speaks.

    Every method is called by all of them, at the same place of their way.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    def add(self, tensor: Tensor) -> Tensor:
        """`tensor` summed over the processes, in place; the same bits in each. Raises RankError."""
        if not self.alone:
            with _explained(self):
                torch.distributed.all_reduce(tensor)
        return tensor

    def add_all(self, tensors: Sequence[Tensor]) -> None:
        """Sum each of `tensors` over the processes, in place, by one message. They have one type and device."""
        if self.alone or not tensors:
            return
        together = self.add(torch.cat([tensor.reshape(-1) for tensor in tensors]))
        for tensor, part in zip(tensors, together.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def first_says(self, number: float) -> float:
        """The first process's number, such as what its clock shows."""
        if self.alone:
            return number
        told = torch.tensor([number if self.first else 0.0], dtype=torch.float64, device=self._device())
        return self.add(told).item()

    def follow_first(self, tensors: Iterable[Tensor]) -> None:
        """Make `tensors` what they are in the first process."""
        if not self.alone:
            with _explained(self):
                for tensor in tensors:
                    torch.distributed.broadcast(tensor, 0)

    def in_turns(self, mine: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The parts of all processes, dealt out in turns: this one's are `parts[rank::size]` of them."""
        if self.alone:
            return list(mine)
        hands: list[Any] = [None] * self.size
        with _explained(self):
            torch.distributed.all_gather_object(hands, list(mine))
        return [hand[turn] for turn in range(len(hands[0])) for hand in hands if turn < len(hand)]

    def agree(self, make: Callable[[], Made]) -> Made:
        """What `make` gives in the first process, which the others wait for, as long as it takes.

        Where it raises there, the others end quietly with the same exit status: the first one says why.
        """
        return make() if self.alone else _told(self, make)

    def in_line(self, make: Callable[[], Made]) -> Made:
        """What `make` gives in each process, of which the first goes first: for what it leaves for the others."""
        mine: list[Made] = []
        self.agree(lambda: mine.append(make()))
        return mine[0] if self.first else make()

    def _device(self) -> torch.device:
        """Where numbers must be that are sent."""
        nccl = torch.distributed.get_backend() == "nccl"
        return torch.device("cuda", self.local_rank) if nccl else torch.device("cpu")


ALONE = World()


class RankError(TenfoldError):
    """Another process of the world is gone, or does not answer: whoever watches over them looks for that one."""

    exit_status = 3


def processes_meant() -> int:
    """How many processes were started together, by this one's environment. Raises InputError for no number."""
    return max(1, _number("WORLD_SIZE", 1))


def launch_name() -> str | None:
    """What names the launch, through all its restarts; None where there was none."""
    return os.environ.get("TORCHELASTIC_RUN_ID") if processes_meant() > 1 else None


def restarted() -> bool:
    """Whether these processes take the place of others that were lost."""
    return _restarts() > 0


def _restarts() -> int:
    return _number("TORCHELASTIC_RESTART_COUNT", 0)


def _number(variable: str, usual: int) -> int:
    """What a variable of the environment counts; `usual` where it is not set, or empty."""
    text = os.environ.get(variable) or str(usual)
    if not text.isdecimal():
        raise InputError(
            f"{variable}={text}: expected a whole number; unset it to work without other processes."
        )
    return int(text)


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """The world that this process was started in, and leaves afterwards; processes speak through `device`'s library.

    Raises InputError where the environment names a world that cannot be joined.
    """
    if processes_meant() == 1 or torch.distributed.is_initialized():
        yield _present()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {device.type}: processes learn together on a CPU or on CUDA GPUs only.")
    wait = timedelta(seconds=patience())
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    with _explained(World(_number("RANK", 0), processes_meant())):
        store, rank, size = next(rendezvous("env://", timeout=wait))
        # What processes that were lost have left in the store must not be taken for these ones' words.
        store = PrefixStore(f"tenfold {_restarts()}", store)
        torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=wait)
    try:
        yield _present()
    finally:
        torch.distributed.destroy_process_group()


def own_device(device: torch.device) -> torch.device:
    """The device of this process: where its machine has several GPUs, the one of its own."""
    return torch.device("cuda", _number("LOCAL_RANK", 0)) if device.type == "cuda" else device


def _present() -> World:
    if not torch.distributed.is_initialized():
        return ALONE
    rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    return World(rank, size, _number("LOCAL_RANK", 0))


def patience() -> float:
    """Seconds that a rank waits for another one. Raises InputError for what is no number of them."""
    text = os.environ.get(PATIENCE, str(USUAL_PATIENCE))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86_400:
        raise InputError(f"{PATIENCE}={text}: expected seconds, 1 to 86400; unset it for {USUAL_PATIENCE:g}.")
    return seconds


@contextmanager
def _explained(world: World) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        slow = "imed out" in str(error) or "imeout" in str(error)
        fault = f"did not answer for {patience():g} s ({PATIENCE})" if slow else "is gone"
        raise RankError(
            f"rank {world.rank} of {world.size}: another process {fault}. `tenfold resume` goes on from the last "
            "checkpoint, with as many processes as there are then."
        ) from error


_agreements = 0


def _told(world: World, make: Callable[[], Made]) -> Made:
    """Through the store that the processes met by, because a wait for a message has an end."""
    from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

    global _agreements
    _agreements += 1
    store, key = PrefixStore("tenfold", _get_default_store()), str(_agreements)
    if world.first:
        try:
            made = make()
        except BaseException as error:
            _tell(store, key, world, _Ended(error.exit_status if isinstance(error, TenfoldError) else 1))
            raise
        _tell(store, key, world, made)
        return made
    while not store.check([key]):
        time.sleep(LOOK)
    told = pickle.loads(bytes.fromhex(store.get(key).decode()))
    store.add(f"{key} heard", 1)
    if isinstance(told, _Ended):
        raise SystemExit(told.status)
    return told


@dataclass(frozen=True)
class _Ended:
    """What the others are told where the first process ends, with its exit status."""

    status: int


def _tell(store: Any, key: str, world: World, what: Any) -> None:
    """Say it, and wait until all have heard: the store may end with this process."""
    store.set(key, pickle.dumps(what).hex())
    end = time.monotonic() + patience()
    while store.add(f"{key} heard", 0) < world.size - 1 and time.monotonic() < end:
        time.sleep(LOOK)
