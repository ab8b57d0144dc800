"""What a person sees of a sweep: a live table in a terminal, a line for each trial that ended in a log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tenfold.core.numbers import duration, percent
from tenfold.core.terminal import is_live, make_console, print_table
from tenfold.sweeps.ledger import Candidate, Ledger, Trial
from tenfold.sweeps.space import label

if TYPE_CHECKING:
    from tenfold.sweeps.results import Results

# A log says at least this often, in seconds, that a sweep goes on.
LOG_EVERY = 60.0
# The candidates that the table at the end has room for.
SHOWN = 20
# The columns that a narrow terminal does without, least important first.
_LEAST = ("parameters", "training time", "best epoch", "± points")


class SweepDisplay:
    """Shows a sweep on a console; nothing at all if the console is quiet."""

    def __init__(self, progress: bool = True) -> None:
        self.console = make_console(quiet=not progress)
        self.latest: dict[int, dict[str, Any]] = {}
        self.live: Live | None = None
        self.logged = time.monotonic()
        self.warned = False

    @contextmanager
    def running(self, ledger: Ledger, folder: Path, workers: str) -> Iterator[None]:
        """Say what is about to happen, and keep the live table while the block runs."""
        plan = ledger.plan
        count = (
            "as many candidates as the time allows" if plan.trials is None else f"{plan.trials} candidates"
        )
        seeds = f" with {plan.seeds} seeds each" if plan.seeds > 1 else ""
        done = sum(trial.ended for trial in ledger.trials)
        self._print(
            f"[bold]{escape(plan.title)}[/], {plan.search} search, {count}{seeds}, to {escape(str(folder))}"
        )
        self._print(f"on {workers}" + (f"; {done} trials were done before" if done else ""))
        if not is_live(self.console):
            yield
            return
        with Live(console=self.console, transient=True, refresh_per_second=4) as self.live:
            yield
        self.live = None

    def epoch(self, number: int, record: dict[str, Any]) -> None:
        """Note a trial's latest epoch."""
        self.latest[number] = record

    def ended(self, ledger: Ledger, trial: Trial) -> None:
        """One lasting line for what became of a trial."""
        self.latest.pop(trial.number, None)
        self.logged = time.monotonic()
        outcome = trial.outcome
        what = f"trial {trial.number} ({trial_label(ledger, trial)})"
        if trial.state == "failed":
            self._print(f"{escape(what)} [red]failed[/]: {escape(outcome['error'])}")
        elif trial.state == "waiting":
            self._print(f"{escape(what)} [yellow]goes on[/]: {escape(outcome['error'])}")
        else:
            paused = f", paused after epoch {outcome['epochs']}" if trial.state == "paused" else ""
            best = "  *" if _best(ledger) is ledger.candidates[trial.candidate] else ""
            self._print(
                f"{escape(what)}  validation accuracy {percent(outcome['score'], 2)} at epoch "
                f"{outcome['best_epoch']} of {outcome['epochs']}, {duration(outcome['seconds'])}{paused}{best}"
            )

    def update(self, ledger: Ledger, seconds_left: float | None, time_left: float) -> None:
        """Draw the live table anew; in a log, write a line now and then."""
        if seconds_left is not None and seconds_left > time_left > 0 and not self.warned:
            self.warned = True
            self._print(
                f"[yellow]at this pace[/] all trials take about {duration(seconds_left)} more, and the time is up in "
                f"{duration(time_left)}; the same command goes on with the others."
            )
        if self.live is not None:
            self.live.update(Group(self._running_table(ledger), Text(_summary(ledger, seconds_left))))
        elif time.monotonic() - self.logged > LOG_EVERY:
            self.logged = time.monotonic()
            self._print(escape(_summary(ledger, seconds_left)))

    def paused(self, folder: Path, why: str) -> None:
        """How to go on."""
        self._print(f"{why}. `{escape(continue_command(folder))}` goes on where it stands.")

    def finished(self, results: "Results") -> None:
        """The table, the verdict, and where the report lies."""
        self._results(results)
        for sentence in results.verdict:
            self._print(escape(sentence))
        self._print(f"report  {escape(str(results.report))}")

    def _results(self, results: "Results") -> None:
        rows = [("*" if row.winner else "", *row.cells) for row in results.rows[:SHOWN]]
        print_table(self.console, ("", *results.columns), rows, _LEAST)
        if len(results.rows) > SHOWN:
            where = escape(str(results.path / "results.csv"))
            self._print(f"and {len(results.rows) - SHOWN} more; all are in {where}")

    def _running_table(self, ledger: Ledger) -> Table:
        table = Table("trial", "", "epoch", "loss", "validation accuracy", box=None, pad_edge=False)
        for trial in ledger.trials:
            if trial.state == "running":
                record = self.latest.get(trial.number)
                cells = (
                    (str(record["epoch"]), f"{record['loss']:.4f}", percent(record["validation_accuracy"], 2))
                    if record
                    else ("starting",)
                )
                table.add_row(str(trial.number), escape(trial_label(ledger, trial)), *cells)
        return table

    def _print(self, text: str) -> None:
        self.console.print(text)


def trial_label(ledger: Ledger, trial: Trial) -> str:
    """A trial's values, and its seed where there are several."""
    values = label(ledger.candidates[trial.candidate].values)
    return values if ledger.plan.seeds == 1 else f"{values}, seed {ledger.plan.base.fit.seed + trial.seed}"


def continue_command(folder: Path) -> str:
    """The command that goes on with a sweep."""
    out = "" if folder.parent == Path("runs") else f" --out {quote(str(folder.parent))}"
    return f"tenfold sweep --name {quote(folder.name)}{out}"


def _best(ledger: Ledger) -> Candidate | None:
    scored = [candidate for candidate in ledger.candidates if candidate.scores and not candidate.failed]
    return min(scored, key=Candidate.rank, default=None)


def _summary(ledger: Ledger, seconds_left: float | None) -> str:
    trials = ledger.trials
    failed = sum(trial.state == "failed" for trial in trials)
    planned = ledger.plan.trials
    parts = [
        f"{sum(trial.state == 'done' for trial in trials)} of "
        f"{'?' if planned is None else planned * ledger.plan.seeds} trials done"
    ]
    parts += [f"{failed} failed"] if failed else []
    pruned = sum(candidate.pruned for candidate in ledger.candidates)
    parts += [f"{pruned} candidates left behind"] if pruned else []
    best = _best(ledger)
    parts += (
        [f"best so far {percent(best.score, 2)} with {label(best.values)}"]
        if best and best.score is not None
        else []
    )
    parts += [f"about {duration(seconds_left)} left"] if seconds_left is not None else []
    return "; ".join(parts)
