"""The verdict on a sweep in words: plain rules over the candidates' scores, each sentence with its numbers.

Differences between candidates are held against the noise between seeds with Tukey's test (all pairs, one pooled
deviation), because the winner is picked for being the best of many, which pairwise t-tests would forget.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tenfold.core.numbers import duration, percent, points
from tenfold.findings.base import Finding, interval, listed
from tenfold.sweeps.ledger import Candidate, Ledger
from tenfold.sweeps.space import candidate_label, is_number, label, value_label

LEVEL = 0.05
# A candidate that cannot be told from the winner is worth a sentence if it is so much smaller.
WORTHWHILE = 0.8


@dataclass(frozen=True)
class Noise:
    """What the seeds alone change: `deviation` pooled over candidates, `margin` that a difference must exceed."""

    deviation: float
    margin: float


def noise_of(scores: Sequence[Sequence[float]]) -> Noise | None:
    """The noise between seeds, from each candidate's scores; None where no seed was repeated.

    `margin` is Tukey's honestly significant difference for equally many seeds a candidate (Tukey 1949).
    """
    groups, seeds = len(scores), min(map(len, scores), default=0)
    if groups < 2 or seeds < 2:
        return None
    variance = float(np.mean([np.var(each, ddof=1) for each in scores]))
    return Noise(variance**0.5, _quantile(groups, groups * (seeds - 1)) * (variance / seeds) ** 0.5)


@cache
def _quantile(groups: int, freedom: int) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1 - LEVEL, groups, freedom))


def judge(ledger: Ledger, importance: Mapping[str, float]) -> list[Finding]:
    """Everything that can be said of a sweep, in order. `importance` is each key's share of the differences."""
    complete = sorted((c for c in ledger.candidates if c.complete), key=Candidate.rank)
    noise = noise_of([candidate.scores for candidate in complete])
    rules = (
        _winner(ledger),
        _test(ledger),
        _differences(ledger, complete, noise),
        _cheaper(complete, noise),
        _edge(ledger, complete, noise),
        _importance(importance if _apart(complete, noise) else {}),
        _left_behind(ledger),
        _failed(ledger),
    )
    return [finding for rule in rules for finding in rule]


def told_apart(better: Candidate, worse: Candidate, noise: Noise | None) -> bool:
    """Whether a difference is larger than the noise between seeds explains."""
    return noise is not None and _score(better) - _score(worse) > noise.margin


def _apart(complete: Sequence[Candidate], noise: Noise | None) -> bool:
    """Whether any candidate is told from the best: otherwise no key can matter more than another."""
    return any(told_apart(complete[0], candidate, noise) for candidate in complete[1:])


def _winner(ledger: Ledger) -> Iterator[Finding]:
    winner = ledger.winner
    if winner is None:
        done = sum(candidate.complete for candidate in ledger.candidates)
        yield Finding(
            f"No winner is named yet: {done} candidates are trained to the end.", "winner", "verdict"
        )
        return
    spread = (
        ""
        if winner.deviation is None
        else (f" (standard deviation {points(winner.deviation)} over {len(winner.scores)} seeds)")
    )
    yield Finding(
        f"{candidate_label(winner.values)} wins with a validation accuracy of {percent(_score(winner))}{spread}.",
        "winner",
        "verdict",
        {"accuracy": _score(winner), "scores": winner.scores},
    )


def _test(ledger: Ledger) -> Iterator[Finding]:
    test = ledger.tested
    if not test:
        return
    over = f", the mean over {len(test['accuracies'])} seeds" if len(test["accuracies"]) > 1 else ""
    yield Finding(
        f"On the test images it reaches {percent(test['accuracy'])}{over} ({interval(*test['accuracy_ci95'])}, "
        f"n = {test['n']:,}). They were read once, after it was chosen; its validation accuracy is the best of many "
        "and so flatters it.",
        "test",
        "verdict",
        {"accuracies": test["accuracies"], "n": test["n"]},
    )


def _differences(ledger: Ledger, complete: Sequence[Candidate], noise: Noise | None) -> Iterator[Finding]:
    if len(complete) < 2:
        return
    best, *others = complete
    largest = _score(best) - _score(complete[-1])
    if noise is None:
        yield Finding(
            f"With one seed each, the differences (at most {points(largest)}) cannot be told from the noise between "
            "seeds; --seeds 3 or more would tell.",
            "differences",
            "verdict",
            {"largest": largest},
        )
        return
    numbers = {"deviation": noise.deviation, "margin": noise.margin, "largest": largest, "test": "Tukey, 5%"}
    worse = [candidate for candidate in others if told_apart(best, candidate, noise)]
    if not worse:
        keys = list(ledger.plan.space)
        what = (
            f"no ideal value of {keys[0]} among those tried" if len(keys) == 1 else "no best combination here"
        )
        yield Finding(
            f"There is {what}: none of the {len(complete)} candidates differs from another by more than the noise "
            f"between seeds explains (at most {points(largest)}, and {points(noise.margin)} would be needed).",
            "differences",
            "verdict",
            numbers,
        )
        return
    alike = [candidate for candidate in others if candidate not in worse]
    rest = f"; it cannot be told from {listed([candidate_label(c.values) for c in alike])}" if alike else ""
    yield Finding(
        f"It is better than {listed([candidate_label(c.values) for c in worse])} by more than the noise between "
        f"seeds explains ({points(noise.margin)}){rest}.",
        "differences",
        "verdict",
        numbers,
    )


def _cheaper(complete: Sequence[Candidate], noise: Noise | None) -> Iterator[Finding]:
    if noise is None or not complete:
        return
    best = complete[0]
    alike = [candidate for candidate in complete[1:] if not told_apart(best, candidate, noise)]
    smallest = min(alike, key=_parameters, default=best)
    if _parameters(smallest) > WORTHWHILE * _parameters(best):
        return
    yield Finding(
        f"{candidate_label(smallest.values)} cannot be told from it and is smaller: {_parameters(smallest):,.0f} "
        f"parameters instead of {_parameters(best):,.0f}. Its training took "
        f"{duration(smallest.mean('seconds') or 0)}, the winner's {duration(best.mean('seconds') or 0)}.",
        "cheaper",
        "verdict",
        {"difference": _score(best) - _score(smallest), "margin": noise.margin},
    )


def _edge(ledger: Ledger, complete: Sequence[Candidate], noise: Noise | None) -> Iterator[Finding]:
    """The winner of one numeric key lies at the end of the values tried, and beats its neighbour."""
    keys = list(ledger.plan.space)
    if len(keys) != 1 or len(complete) < 2:
        return
    key = keys[0]
    if not all(is_number(candidate.values[key]) for candidate in complete):
        return
    ordered = sorted(complete, key=lambda candidate: candidate.values[key])
    for end, neighbour, side in ((ordered[-1], ordered[-2], "largest"), (ordered[0], ordered[1], "smallest")):
        if end is complete[0] and told_apart(end, neighbour, noise):
            yield Finding(
                f"{value_label(end.values[key])} is the {side} value of {key} tried, so that a "
                f"{side.removesuffix('st')}r one may be better still.",
                "edge",
                "verdict",
                {"value": end.values[key], "neighbour": neighbour.values[key]},
            )


def _importance(importance: Mapping[str, float]) -> Iterator[Finding]:
    if len(importance) < 2:
        return
    key, share = next(iter(importance.items()))
    yield Finding(
        f"Of the keys, {key} matters most: it explains {percent(share, 0)} of the differences between candidates.",
        "importance",
        "verdict",
        dict(importance),
    )


def _left_behind(ledger: Ledger) -> Iterator[Finding]:
    pruned = sum(candidate.pruned and not candidate.failed for candidate in ledger.candidates)
    if pruned:
        rungs = [str(rung) for rung in ledger.plan.rungs if rung is not None]
        yield Finding(
            f"{pruned} of {len(ledger.candidates)} candidates were left behind by successive halving, which compared "
            f"them after epoch {listed(rungs)}; what they would have reached in the end is not known.",
            "left_behind",
            "verdict",
            {"rungs": rungs, "pruned": pruned},
        )


def _failed(ledger: Ledger) -> Iterator[Finding]:
    failed = [trial for trial in ledger.trials if trial.state == "failed"]
    if failed:
        first = failed[0]
        yield Finding(
            f"{len(failed)} of {len(ledger.trials)} trials failed, so that their candidates cannot win; the first, "
            f"{first.folder} ({label(ledger.candidates[first.candidate].values)}): {first.outcome['error']}",
            "failed",
            "verdict",
            {trial.folder: trial.outcome["error"] for trial in failed},
        )


def _score(candidate: Candidate) -> float:
    return candidate.score if candidate.score is not None else float("nan")


def _parameters(candidate: Candidate) -> float:
    return candidate.mean("parameters") or 0.0
