"""What is said of a sweep, as two values: what it is to try, and who carries it out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from tenfold.core.cluster import prepare
from tenfold.core.errors import InputError, nearest
from tenfold.sweeps.local_workers import LocalWorkers, Workers, threads_each
from tenfold.workbench.request import SourceOptions

SEARCHES = ("grid", "random", "tpe")


class SweepOptions(SourceOptions, total=False):
    """The keywords of `tenfold.sweep` that its values are made from; their meaning and defaults stand there."""

    seeds: int | None
    search: str | None
    trials: int | None
    prune: bool | None
    minutes: float | None
    device: str
    workers: int | None
    threads: int | None
    memory: int | None
    cluster: str | None


@dataclass(frozen=True)
class SweepSettings:
    """What to try: what is not said (None) is as the recipe's `[sweep]` table has it.

    `space` maps keys to lists of values or ranges; `trials` counts candidates, each trained with so many `seeds`.
    Raises InputError for what no sweep can have.
    """

    space: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | None = None
    search: str | None = None
    trials: int | None = None
    prune: bool | None = None
    minutes: float | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.search is not None and self.search not in SEARCHES:
            raise InputError(
                f"--search {self.search}: there is no such search{nearest(self.search, SEARCHES)}; "
                f"valid: {', '.join(SEARCHES)}"
            )
        _at_least_one(seeds=self.seeds, trials=self.trials)

    @property
    def any_said(self) -> bool:
        """Whether anything is said that makes a sweep another one; time and device do not."""
        return bool(self.space) or any(
            value is not None for value in (self.seeds, self.search, self.trials, self.prune)
        )


@dataclass(frozen=True)
class Crew:
    """Who trains: so many `workers` of so many `threads` each, here or on a Ray `cluster` (its address).

    `memory` is the MiB that one trial may take. Raises InputError for numbers below 1.
    """

    workers: int | None = None
    threads: int | None = None
    memory: int | None = None
    cluster: str | None = None

    def __post_init__(self) -> None:
        _at_least_one(workers=self.workers, threads=self.threads, memory=self.memory)

    def hire(self, folder: Path) -> Workers:
        """The workers; those of this machine write what they print below `folder`."""
        if self.cluster is not None:
            prepare(self.cluster)
            from tenfold.sweeps.ray_cluster import RayWorkers

            return RayWorkers(self.cluster, self.workers, self.threads or 1)
        workers = self.workers or 1
        return LocalWorkers(workers, self.threads or threads_each(workers), folder / "workers.log")


Value = TypeVar("Value", SweepSettings, Crew)


def values_of(
    space: Mapping[str, Any] | None, options: SweepOptions
) -> tuple[SweepSettings, Crew, SourceOptions]:
    """The values that the keywords of `tenfold.sweep` say, and those that name the source.

    Raises TypeError for a keyword that there is not, as Python does.
    """
    known = SweepOptions.__annotations__
    for name in options:
        if name not in known:
            raise TypeError(f"sweep() got an unexpected keyword argument {name!r}")
    said: dict[str, Any] = {**options, "space": space or {}}
    settings, crew = _taken(SweepSettings, said), _taken(Crew, said)
    return settings, crew, SourceOptions(**said)


def _taken(kind: type[Value], said: dict[str, Any]) -> Value:
    """The value of those keywords that are its fields, which are removed from `said`."""
    return kind(**{one.name: said.pop(one.name) for one in fields(kind) if one.name in said})


def _at_least_one(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise InputError(f"--{name} {number}: expected 1 or more; leave it out for the default.")
