"""What a sweep is to do, whole: settled and checked before anything runs, and written down first."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from tenfold.core.errors import InputError
from tenfold.data import Source
from tenfold.recipe import Recipe, Sweep, load_recipe, parse_recipe
from tenfold.sweeps.settings import SweepSettings
from tenfold.sweeps.space import Range, Space, grid, grid_size, label, read_space, write_space

# More combinations than anybody means to train; --trials says otherwise.
LARGEST_GRID = 2000
DEFAULT_TRIALS = 20
# Successive halving: the share of candidates that goes on is 1 / REDUCTION, at most twice.
REDUCTION = 4


@dataclass(frozen=True)
class SweepPlan:
    """The settings that make a sweep what it is; workers and places are not among them.

    `space` is as `write_space` writes it; `trials` counts candidates and is None only where time alone (`timed`)
    ends a random or TPE search.
    """

    title: str
    recipe: str
    space: dict[str, Any]
    source: dict[str, Any]
    seeds: int = 1
    search: str = "grid"
    trials: int | None = None
    prune: bool = False
    device: str = "auto"

    @cached_property
    def base(self) -> Recipe:
        """The recipe that every candidate changes."""
        return parse_recipe(self.recipe)

    @cached_property
    def dimensions(self) -> Space:
        """The space, read."""
        return read_space(self.base, self.space)

    def candidate_recipe(self, values: Mapping[str, Any], seed: int = 0) -> Recipe:
        """The recipe of a candidate's trial number `seed`. Raises InputError where values do not fit together."""
        base = self.base
        return load_recipe(base, {**values, "fit.seed": base.fit.seed + seed})

    @property
    def rungs(self) -> tuple[int | None, ...]:
        """The epochs at which the weaker candidates are left behind; None, at the end, is the whole training."""
        epochs = self.base.fit.epochs
        early = {-(-epochs // REDUCTION**power) for power in (2, 1)} - {epochs}
        return (*sorted(early), None) if self.prune else (None,)

    def to_json(self) -> dict[str, Any]:
        """As the journal's first line holds it."""
        return asdict(self)


def plan_sweep(title: str, recipe: Recipe, settings: SweepSettings, source: Source) -> SweepPlan:
    """Settle a sweep from the recipe's `[sweep]` table and the settings given besides, which come first.

    Raises InputError for an unknown key, an empty range, a value that no trial can take (naming the trial), and a
    grid larger than `trials` allows.
    """
    if recipe.data.folds is not None and recipe.data.fold is None:
        raise InputError(
            f"data.folds={recipe.data.folds}: a sweep chooses on validation images. Leave it out, and cross-validate "
            f"the winner: `tenfold train RECIPE.toml --folds {recipe.data.folds}`."
        )
    table = recipe.sweep or Sweep()
    base = recipe.model_copy(update={"sweep": None})
    space = read_space(base, {**_flat(table.space), **settings.space})
    seeds = settings.seeds or table.seeds
    if not space and seeds == 1:
        raise InputError(
            "there is nothing to vary: give KEY=VALUE,VALUE (model.filters=16,32), KEY=LOW..HIGH "
            "(optimizer.lr=1e-4..1e-1:log) or --seeds N, or take a recipe with a [sweep] table such as sweep-filters."
        )
    ranges = any(isinstance(dimension, Range) for dimension in space.values())
    plan = SweepPlan(
        title=title,
        recipe=base.to_toml(),
        space=write_space(space),
        source=source.to_json(),
        seeds=seeds,
        search=settings.search or table.search or ("tpe" if ranges else "grid"),
        trials=settings.trials or table.trials,
        prune=table.prune if settings.prune is None else settings.prune,
        device=settings.device,
    )
    if plan.prune and "fit.epochs" in space:
        raise InputError("fit.epochs cannot vary with --prune, which compares candidates after equal epochs.")
    if plan.search == "grid":
        return _checked_grid(plan, space)
    # Halving has to know how many candidates there will be.
    timed = settings.minutes is not None and not plan.prune
    return replace(plan, trials=plan.trials or (None if timed else DEFAULT_TRIALS))


def _checked_grid(plan: SweepPlan, space: Space) -> SweepPlan:
    size, allowed = grid_size(space), plan.trials or LARGEST_GRID
    if size > allowed:
        runs = f", {size * plan.seeds:,} runs with {plan.seeds} seeds each" if plan.seeds > 1 else ""
        raise InputError(
            f"the grid has {size:,} candidates{runs}; {allowed:,} is the most "
            f"{'that --trials allows' if plan.trials else 'without --trials'}. List fewer values, raise --trials to "
            f"{size}, or let --search tpe choose {allowed:,} of them."
        )
    faults: dict[str, str] = {}
    for number, values in enumerate(grid(space)):
        try:
            plan.candidate_recipe(values)
        except InputError as error:
            for fault in str(error).splitlines()[1:]:
                faults.setdefault(fault, f"trial {number * plan.seeds} ({label(values)}):{fault}")
    if faults:
        raise InputError(
            "\n".join(["the sweep cannot be run:", *(f"  {fault}" for fault in faults.values())])
        )
    return replace(plan, trials=size)


def differences(old: SweepPlan, new: SweepPlan) -> list[str]:
    """What two plans differ in, for people."""
    before, after = ({**plan.to_json(), "source": {**plan.source, "base": None}} for plan in (old, new))
    return [
        f"{key} was {before[key]!r}, now {after[key]!r}" if key != "recipe" else "the recipe is another"
        for key in before
        if before[key] != after[key] and key != "title"
    ]


def _flat(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys, whether TOML was given `"model.filters" = ...` or `model.filters = ...`."""
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
