"""Where a sweep stands: candidates and trials, as the lines of its journal leave them.

A candidate is a choice of values; a trial is a candidate with one seed, and a run folder. A trial's `score` is the
validation accuracy of its best epoch (by the recipe's `stop.monitor`), a candidate's the mean over its trials.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from tenfold.sweeps.journal import Event, Journal, damage
from tenfold.sweeps.plan import REDUCTION, SweepPlan

# A trial whose worker is lost this often is taken to be the cause.
MOST_LOSSES = 3


@dataclass
class Trial:
    """One training. `reached` counts the rungs behind it; `outcome` is what its worker last reported."""

    number: int
    candidate: int
    seed: int
    state: str = "waiting"  # or running, paused, done, failed
    reached: int = 0
    losses: int = 0
    outcome: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The name of its run folder."""
        return f"trial-{self.number:04}"

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to train."""
        return self.state in {"done", "failed"}


@dataclass
class Candidate:
    """One choice of values, and its trials, one a seed."""

    number: int
    values: dict[str, Any]
    trials: list[Trial]
    rung: int = 0
    pruned: bool = False

    @property
    def failed(self) -> bool:
        """Whether a trial of it failed, so that it cannot win."""
        return any(trial.state == "failed" for trial in self.trials)

    @property
    def complete(self) -> bool:
        """Whether all its trials trained to the end."""
        return all(trial.state == "done" for trial in self.trials)

    @property
    def arrived(self) -> bool:
        """Whether every trial came as far as the candidate may go for now."""
        return all(trial.ended or trial.reached > self.rung for trial in self.trials)

    @property
    def scores(self) -> list[float]:
        """The scores of the trials that have one."""
        return [trial.outcome["score"] for trial in self.trials if trial.outcome.get("score") is not None]

    @property
    def score(self) -> float | None:
        """The mean score over its trials, where it has one."""
        return fmean(self.scores) if self.scores else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the score over the seeds; None with fewer than two."""
        return stdev(self.scores) if len(self.scores) > 1 else None

    def mean(self, key: str) -> float | None:
        """The mean of a number of its trials' outcomes."""
        values = [trial.outcome[key] for trial in self.trials if trial.outcome.get(key) is not None]
        return fmean(values) if values else None

    def rank(self) -> tuple[float, float, float, int]:
        """Sorts the better first: by score, then lower loss, fewer parameters, and the order of proposal."""
        score, loss, parameters = self.score, self.mean("loss"), self.mean("parameters")
        return (
            -(score if score is not None else float("-inf")),
            loss if loss is not None else float("inf"),
            parameters if parameters is not None else float("inf"),
            self.number,
        )


def read_ledger(journal: Journal) -> "Ledger":
    """The state that a journal tells of. Raises InputError, naming the line, where one does not make sense."""
    ledger = Ledger([])
    for number, event in enumerate(journal.events, start=1):
        try:
            ledger.apply(event)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise damage(journal.path, number, f"{type(error).__name__}: {error}") from None
    return ledger


class Ledger:
    """The state of a sweep; `apply` is the only thing that changes it."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.candidates: list[Candidate] = []
        self.winner: Candidate | None = None
        self.tested: dict[str, Any] | None = None
        for event in events:
            self.apply(event)

    @property
    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return [trial for candidate in self.candidates for trial in candidate.trials]

    def forget_running(self) -> None:
        """Take up what a driver that is gone had begun: its trials go on from their checkpoints."""
        for trial in self.trials:
            if trial.state == "running":
                trial.state = "waiting"

    def apply(self, event: Event) -> None:
        """Let one line of the journal happen."""
        happen = {
            "plan": self._plan,
            "candidate": self._candidate,
            "started": self._started,
            "ended": self._ended,
            "lost": self._lost,
            "cut": self._cut,
            "retry": self._retry,
            "winner": self._winner,
            "tested": self._tested,
        }
        happen[event["event"]](event)

    def _plan(self, event: Event) -> None:
        self.plan = SweepPlan(**event["plan"])

    def _candidate(self, event: Event) -> None:
        number, seeds = event["candidate"], self.plan.seeds
        trials = [Trial(number * seeds + seed, number, seed) for seed in range(seeds)]
        self.candidates.append(Candidate(number, event["values"], trials))

    def _started(self, event: Event) -> None:
        self.trial(event["trial"]).state = "running"

    def _ended(self, event: Event) -> None:
        trial = self.trial(event["trial"])
        trial.state, trial.outcome = event["state"], event["outcome"]
        trial.reached = event["rung"] + 1

    def _lost(self, event: Event) -> None:
        trial = self.trial(event["trial"])
        trial.losses += 1
        trial.state = "failed" if trial.losses == MOST_LOSSES else "waiting"
        trial.outcome = {**trial.outcome, "error": event["reason"]}

    def _cut(self, event: Event) -> None:
        for candidate in self.candidates:
            candidate.pruned = candidate.pruned or candidate.number not in event["kept"]
            candidate.rung += 0 if candidate.pruned else 1

    def _retry(self, event: Event) -> None:
        trial = self.trial(event["trial"])
        trial.state, trial.losses, trial.outcome = "waiting", 0, {}

    def _winner(self, event: Event) -> None:
        self.winner = self.candidates[event["candidate"]]

    def _tested(self, event: Event) -> None:
        self.tested = event["test"]

    def trial(self, number: int) -> Trial:
        """A trial by its number."""
        candidate, seed = divmod(number, self.plan.seeds)
        return self.candidates[candidate].trials[seed]

    # What is to be done next -----------------------------------------------------------------------------------

    @property
    def alive(self) -> list[Candidate]:
        """The candidates that were not left behind."""
        return [candidate for candidate in self.candidates if not candidate.pruned]

    @property
    def ready(self) -> list[Trial]:
        """The trials that may be trained now, in order."""
        return [
            trial
            for candidate in self.alive
            for trial in candidate.trials
            if trial.state in {"waiting", "paused"} and trial.reached <= candidate.rung
        ]

    @property
    def arrived(self) -> bool:
        """Whether every candidate came as far as it may go for now."""
        return all(candidate.arrived for candidate in self.alive)

    def next_cut(self) -> Event | None:
        """Who goes on to the next rung: the best of those that arrived; None where there is no further rung.

        Synchronous successive halving (Jamieson and Talwalkar 2016): it depends on scores alone, not on which
        worker was quicker.
        """
        contenders = [candidate for candidate in self.alive if not candidate.failed]
        rung = max((candidate.rung for candidate in self.candidates), default=0)
        if rung + 1 >= len(self.plan.rungs) or not contenders:
            return None
        count = -(-len(contenders) // REDUCTION)
        kept = sorted(contenders, key=Candidate.rank)[:count]
        return {"event": "cut", "rung": rung, "kept": sorted(candidate.number for candidate in kept)}

    def choose_winner(self) -> Candidate | None:
        """The best candidate of those whose trials all trained to the end."""
        return min((c for c in self.candidates if c.complete), key=Candidate.rank, default=None)

    def epochs_left(self) -> float | None:
        """About how many epochs are still to be trained; None where time alone ends the search.

        A whole training has as many as those that ended had, which patience ends early, or the recipe's before that.
        """
        plan, total, behind = self.plan, 0.0, 0.0
        if plan.trials is None:
            return None
        done = [trial.outcome["epochs"] for trial in self.trials if trial.state == "done"]
        whole = sum(done) / len(done) if done else plan.base.fit.epochs
        count = plan.trials
        for rung in plan.rungs:
            until = whole if rung is None else min(rung, whole)
            total += count * plan.seeds * (until - behind)
            count, behind = -(-count // REDUCTION), until
        over = (whole if trial.state == "failed" else trial.outcome.get("epochs", 0) for trial in self.trials)
        return max(0.0, total - sum(over))
