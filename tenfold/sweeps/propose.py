"""Which values to try next: the grid in order, or what Optuna's samplers make of the candidates so far.

A proposal depends on the plan and the ledger alone, never on a sampler's memory, so a sweep that was interrupted
proposes what it would have proposed.
"""

import logging
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from tenfold.core.randomness import seed_for
from tenfold.sweeps.ledger import Candidate
from tenfold.sweeps.plan import SweepPlan
from tenfold.sweeps.space import Dimension, Values, grid

# How often a sampler may repeat a candidate before the space counts as used up.
MOST_REPEATS = 30

logging.getLogger("optuna").setLevel(logging.WARNING)


def propose(plan: SweepPlan, candidates: Sequence[Candidate]) -> dict[str, Any] | None:
    """The values of the next candidate, or None where there is nothing new to try."""
    number = len(candidates)
    if plan.trials is not None and number >= plan.trials:
        return None
    if plan.search == "grid":
        return grid(plan.dimensions)[number]
    known = [candidate.values for candidate in candidates]
    for repeat in range(MOST_REPEATS):
        values = _sample(plan, candidates, seed_for(plan.base.fit.seed, "propose", number, repeat) % 2**32)
        if values not in known:
            return values
    return None


def study_of(plan: SweepPlan, candidates: Sequence[Candidate]) -> optuna.Study:
    """Optuna's view of the candidates: those with a score are complete, the others are still running."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler())
    study.add_trials([_frozen(plan, candidate) for candidate in candidates if not candidate.failed])
    return study


def _sample(plan: SweepPlan, candidates: Sequence[Candidate], seed: int) -> dict[str, Any]:
    study = study_of(plan, candidates)
    samplers = optuna.samplers
    study.sampler = samplers.TPESampler(seed=seed) if plan.search == "tpe" else samplers.RandomSampler(seed)
    asked = study.ask(_distributions(plan))
    return {
        key: list(dimension.values)[asked.params[key]] if isinstance(dimension, Values) else asked.params[key]
        for key, dimension in plan.dimensions.items()
    }


def _distributions(plan: SweepPlan) -> dict[str, BaseDistribution]:
    return {key: _distribution(dimension) for key, dimension in plan.dimensions.items()}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Values):  # By place, so that a value may be a list.
        return CategoricalDistribution(range(len(dimension.values)))
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _frozen(plan: SweepPlan, candidate: Candidate) -> FrozenTrial:
    arrived = candidate.arrived or candidate.pruned
    params = {
        key: dimension.values.index(_hashable(candidate.values[key]))
        if isinstance(dimension, Values)
        else candidate.values[key]
        for key, dimension in plan.dimensions.items()
    }
    return create_trial(
        params=params,
        distributions=_distributions(plan),
        value=candidate.score if arrived else None,
        state=TrialState.COMPLETE if arrived else TrialState.RUNNING,
    )


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
