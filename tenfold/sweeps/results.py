"""What came of a sweep: table, verdict, figures and page, made from the journal and the trials' histories alone."""

import csv
import io
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tenfold.core.errors import InputError
from tenfold.core.numbers import duration, percent
from tenfold.findings.base import Finding
from tenfold.recipe import Stop
from tenfold.runs.folder import Run
from tenfold.sweeps import figures
from tenfold.sweeps.journal import Journal
from tenfold.sweeps.ledger import Candidate, Ledger, read_ledger
from tenfold.sweeps.propose import study_of
from tenfold.sweeps.space import Values, is_number, value_label
from tenfold.sweeps.verdict import judge, noise_of, told_apart
from tenfold.training.schedules import improves

# With fewer candidates, shares of importance would be made of noise.
ENOUGH_FOR_IMPORTANCE = 8
_TREES = 32


@dataclass(frozen=True)
class Row:
    """A candidate in the table; `state` is winner, done, left behind, failed, or unfinished."""

    candidate: int
    state: str
    values: Mapping[str, Any]
    accuracy: float | None
    deviation: float | None
    scores: list[float]
    best_epoch: float | None
    epochs: float | None
    parameters: float | None
    seconds: float | None
    folders: list[str]

    @property
    def winner(self) -> bool:
        """Whether it was chosen."""
        return self.state == "winner"

    @property
    def cells(self) -> list[str]:
        """For people, as `Results.columns` are headed."""
        return [
            *map(value_label, self.values.values()),
            "–" if self.accuracy is None else percent(self.accuracy, 2),
            "–" if self.deviation is None else f"{100 * self.deviation:.2f}",
            "–" if self.best_epoch is None else f"{self.best_epoch:.3g} of {self.epochs:.3g}",
            "–" if self.parameters is None else f"{self.parameters:,.0f}",
            "–" if self.seconds is None else duration(self.seconds),
            self.state,
        ]


@dataclass(frozen=True)
class Results:
    """A sweep's results; `findings` are the verdict's sentences with their numbers."""

    path: Path
    ledger: Ledger
    importance: Mapping[str, float] = field(default_factory=dict)

    @property
    def report(self) -> Path:
        """The report page."""
        return self.path / "report.html"

    @property
    def findings(self) -> list[Finding]:
        """The verdict, each sentence with what it rests on."""
        return judge(self.ledger, self.importance)

    @property
    def verdict(self) -> list[str]:
        """The verdict in words."""
        return [finding.sentence for finding in self.findings]

    @property
    def winner(self) -> dict[str, Any] | None:
        """The values that were chosen, or None as long as none are."""
        return None if self.ledger.winner is None else dict(self.ledger.winner.values)

    @property
    def test(self) -> dict[str, Any] | None:
        """The winner's test accuracy: mean, 95 % interval, and each seed's; None until it is named."""
        return self.ledger.tested

    @property
    def winning_runs(self) -> list[Run]:
        """The winner's run folders, one a seed."""
        return [] if self.ledger.winner is None else self.runs(self.ledger.winner)

    @property
    def columns(self) -> list[str]:
        """The headings of `Row.cells`."""
        rest = ["validation accuracy", "± points", "best epoch", "parameters", "training time", ""]
        return [*self.ledger.plan.space, *rest]

    @property
    def rows(self) -> list[Row]:
        """The candidates: the winner, what was trained to the end, what was left behind, what failed."""
        order = {
            state: place
            for place, state in enumerate(("winner", "done", "left behind", "unfinished", "failed"))
        }
        candidates = sorted(self.ledger.candidates, key=Candidate.rank)
        return sorted((self._row(candidate) for candidate in candidates), key=lambda row: order[row.state])

    def runs(self, candidate: Candidate) -> list[Run]:
        """The run folders of a candidate."""
        return [Run(self.path / trial.folder) for trial in candidate.trials]

    def draw(self) -> dict[str, Figure]:
        """The figures that there are numbers for, by name."""
        points = self._points()
        drawn: dict[str, Figure] = {}
        if curves := self._curves():
            drawn["curves"] = figures.overlay(curves)
        if len(points) > 1:
            axes = [self._axis(key) for key in self.ledger.plan.space]
            drawn |= {
                f"accuracy_{number}": figures.by_value(points, axis) for number, axis in enumerate(axes)
            }
            if len(axes) > 1:
                drawn["parallel"] = figures.parallel(points, axes)
        if len(self.importance) > 1:
            drawn["importance"] = figures.importances(self.importance)
        return drawn

    def _row(self, candidate: Candidate) -> Row:
        return Row(
            candidate=candidate.number,
            state=self._state(candidate),
            values=candidate.values,
            accuracy=candidate.score,
            deviation=candidate.deviation,
            scores=candidate.scores,
            best_epoch=candidate.mean("best_epoch"),
            epochs=candidate.mean("epochs"),
            parameters=candidate.mean("parameters"),
            seconds=candidate.mean("seconds"),
            folders=[trial.folder for trial in candidate.trials],
        )

    def _state(self, candidate: Candidate) -> str:
        if candidate is self.ledger.winner:
            return "winner"
        if candidate.failed:
            return "failed"
        if candidate.complete:
            return "done"
        return "left behind" if candidate.pruned else "unfinished"

    def as_csv(self) -> str:
        """The table of candidates as CSV text."""
        keys = list(self.ledger.plan.space)
        lines = io.StringIO()
        table = csv.writer(lines, lineterminator="\n")
        rest = [
            "candidate",
            "state",
            "accuracy",
            "deviation",
            "best_epoch",
            "epochs",
            "parameters",
            "seconds",
        ]
        table.writerow([*keys, *rest, "folders"])
        for row in self.rows:
            values = [value_label(row.values[key]) for key in keys]
            facts = asdict(row)
            table.writerow([*values, *(facts[name] for name in rest), " ".join(row.folders)])
        return lines.getvalue()

    def _ranked(self) -> list[Candidate]:
        """The candidates that a figure can show: not failed, and with a score for every seed."""
        order = {row.candidate: place for place, row in enumerate(self.rows)}
        seeds = self.ledger.plan.seeds
        shown = [c for c in self.ledger.candidates if not c.failed and len(c.scores) == seeds]
        return sorted(shown, key=lambda candidate: order[candidate.number])

    def _points(self) -> list[figures.Point]:
        ranked = self._ranked()
        complete = [candidate for candidate in ranked if candidate.complete]
        noise = noise_of([candidate.scores for candidate in complete])
        winner = self.ledger.winner

        def rank(candidate: Candidate) -> str:
            if candidate is winner:
                return "winner"
            if candidate.pruned or not candidate.complete:
                return "pruned"
            same = winner is not None and noise is not None and not told_apart(winner, candidate, noise)
            return "alike" if same else "other"

        return [figures.Point(c.values, c.scores, rank(c)) for c in ranked]

    def _curves(self) -> list[figures.Curves]:
        curves = []
        for candidate in self._ranked():
            histories = [run.history for run in self.runs(candidate)]
            epochs = min(map(len, histories))

            def mean(column: str, histories: Any = histories, epochs: int = epochs) -> list[float]:
                return np.mean(
                    [[record[column] for record in h[:epochs]] for h in histories], axis=0
                ).tolist()

            name = ", ".join(
                f"{key.split('.')[-1]} {value_label(value)}" for key, value in candidate.values.items()
            )
            stop = self.runs(candidate)[0].recipe.stop
            best = kept_epoch(mean(stop.monitor), stop)
            curves.append(
                figures.Curves(
                    name or "the recipe as it is", mean("accuracy"), mean("validation_accuracy"), best
                )
            )
        return curves

    def _axis(self, key: str) -> figures.Axis:
        dimension = self.ledger.plan.dimensions[key]
        if not isinstance(dimension, Values):
            return figures.Axis(key, dimension.log)
        if all(map(is_number, dimension.values)):
            return figures.Axis(key, figures.spread_out(dimension.values))
        return figures.Axis(key, names=[value_label(value) for value in dimension.values])


def kept_epoch(values: list[float], stop: Stop) -> int:
    """The epoch, from 1, that `stop` would keep of what it monitors: over several seeds, of the mean curve."""
    best = 0
    for epoch, value in enumerate(values):
        if improves(stop.monitor, value, values[best] if epoch else None, stop.min_delta):
            best = epoch
    return best + 1


def read_results(path: Path) -> Results:
    """The results of the sweep in a folder, as far as it got. Raises InputError where there is no sweep."""
    journal = Journal(path)
    if not journal.events:
        raise InputError(f"{path}: is not the folder of a sweep. `tenfold sweep` makes one below runs/.")
    ledger = read_ledger(journal)
    return Results(path, ledger, importance_of(ledger))


def importance_of(ledger: Ledger) -> dict[str, float]:
    """Each key's share of the variance between candidates, the largest first (fANOVA, Hutter et al. 2014).

    Empty with one key, or with too few candidates to say.
    """
    scored = [
        c for c in ledger.candidates if not c.failed and c.score is not None and (c.arrived or c.pruned)
    ]
    if len(ledger.plan.space) < 2 or len(scored) < ENOUGH_FOR_IMPORTANCE:
        return {}
    import optuna

    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
    try:
        shares = optuna.importance.get_param_importances(study_of(ledger.plan, scored), evaluator=evaluator)
    except (RuntimeError, ValueError) as error:  # Every score is the same, or every value of each key.
        logging.getLogger(__name__).info("no importance: %s", error)
        return {}
    return {key: float(share) for key, share in shares.items()}
