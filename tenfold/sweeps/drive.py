"""The driver: starts trials as workers become free, and notes what becomes of them, until nothing is left to do."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tenfold.core.errors import InputError
from tenfold.models import OwnModel
from tenfold.sweeps.display import SweepDisplay
from tenfold.sweeps.journal import Event, Journal
from tenfold.sweeps.ledger import Ledger, Trial
from tenfold.sweeps.local_workers import Workers
from tenfold.sweeps.propose import propose
from tenfold.sweeps.settings import Crew
from tenfold.sweeps.trial import Report, TrialTask

# How long to wait for a report before looking at the clock, in seconds.
TICK = 0.5


@dataclass
class Driver:
    """Carries a sweep on from where its journal stands. `deadline` is on the monotonic clock."""

    journal: Journal
    ledger: Ledger
    crew: Crew
    display: SweepDisplay
    command: str = ""
    own: OwnModel | None = None
    deadline: float = float("inf")
    epochs_done: int = field(default=0, init=False)
    first_epoch: float | None = field(default=None, init=False)

    @property
    def folder(self) -> Path:
        """The sweep's folder."""
        return self.journal.folder

    @cached_property
    def workers(self) -> Workers:
        """The crew, hired when it is first asked for."""
        return self.crew.hire(self.folder)

    def run(self) -> bool:
        """Train until nothing is left (True), or until the time is up (False)."""
        while time.monotonic() < self.deadline:
            self._start_trials()
            if self.workers.idle() and not any(trial.state == "running" for trial in self.ledger.trials):
                return True
            for report in self.workers.reports(min(TICK, max(0.0, self.deadline - time.monotonic()))):
                self._note(report)
            self.display.update(self.ledger, self._seconds_left(), self.deadline - time.monotonic())
        return False

    def _start_trials(self) -> None:
        while self.workers.idle() and (trial := self._next_trial()) is not None:
            try:
                task = self._task(trial)
            except InputError as error:  # Values that a sampler put together, and that do not fit together.
                self._end(trial, "failed", {"error": " ".join(str(error).split())})
                continue
            self._happen({"event": "started", "trial": trial.number, "until": task.until})
            self.workers.start(task)

    def _next_trial(self) -> Trial | None:
        ledger = self.ledger
        while True:
            if ledger.ready:
                return ledger.ready[0]
            uncut = all(candidate.rung == 0 and not candidate.pruned for candidate in ledger.candidates)
            if uncut and (values := propose(ledger.plan, ledger.candidates)) is not None:
                self._happen({"event": "candidate", "candidate": len(ledger.candidates), "values": values})
            elif ledger.arrived and (cut := ledger.next_cut()):
                self._happen(cut)
            else:
                return None

    def _task(self, trial: Trial) -> TrialTask:
        candidate, plan = self.ledger.candidates[trial.candidate], self.ledger.plan
        return TrialTask(
            trial=trial.number,
            folder=str(self.folder / trial.folder),
            recipe=plan.candidate_recipe(candidate.values, trial.seed).to_toml(),
            source=plan.source,
            until=plan.rungs[candidate.rung],
            memory=self.crew.memory,
            device=plan.device,
            command=self.command,
            model=self.own.code if self.own else None,
        )

    def _note(self, report: Report) -> None:
        trial = self.ledger.trial(report["trial"])
        if report["event"] == "epoch":
            self.epochs_done += 1
            self.first_epoch = self.first_epoch or time.monotonic()
            self.display.epoch(trial.number, report)
        elif report["event"] == "lost":
            self._happen({"event": "lost", "trial": trial.number, "reason": report["reason"]})
            self.display.ended(self.ledger, trial)
        else:
            self._end(trial, report["state"], report["outcome"])

    def _end(self, trial: Trial, state: str, outcome: dict[str, Any]) -> None:
        rung = self.ledger.candidates[trial.candidate].rung
        self._happen(
            {"event": "ended", "trial": trial.number, "rung": rung, "state": state, "outcome": outcome}
        )
        self.display.ended(self.ledger, trial)

    def _happen(self, event: Event) -> None:
        self.journal.append(event)
        self.ledger.apply(event)

    def _seconds_left(self) -> float | None:
        """How long the epochs still planned will take at the pace since the first one ended.

        What was before it is done once: workers start, images are read, a backbone's features are computed.
        """
        left = self.ledger.epochs_left()
        if self.first_epoch is None or self.epochs_done < 2 or left is None:
            return None
        return (time.monotonic() - self.first_epoch) / (self.epochs_done - 1) * left
