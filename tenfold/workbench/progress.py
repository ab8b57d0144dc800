"""What a person sees while a run goes on: a live line in a terminal, plain lines in a notebook or a log file."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column

from tenfold.core.numbers import interval, percent
from tenfold.core.progress import Progress
from tenfold.core.terminal import is_live, make_console
from tenfold.core.text import plural
from tenfold.data import Splits, left_out_lines
from tenfold.models import Classifier
from tenfold.recipe import Stop
from tenfold.runs.folder import Run
from tenfold.training.learner import Epoch
from tenfold.training.method import Step
from tenfold.training.schedules import improves
from tenfold.training.transfer import Fitting

# A log line at least this often, in seconds, so that a long epoch does not look like a hung process.
LOG_EVERY = 30.0
_REFRESHES_A_SECOND = 4
# In a narrower terminal, a bar would leave the numbers no room.
_WIDTH_FOR_A_BAR = 100
# With fewer test images the right ones are counted, and no accuracy is stated: its interval would span 30 points.
ENOUGH = 20


def display_for(progress: bool) -> "Display":
    """A display on standard output that suits what it is: terminal, notebook or file; silent if not `progress`."""
    return Display(make_console(quiet=not progress))


class Display:
    """Shows decoding, training and the result; on a terminal with a live bar."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = is_live(console)
        self.bar: Bar | None = None
        self.task = TaskID(0)
        self.epochs, self.unit = 0, "epoch"
        self.minutes: float | None = None
        self.work: tuple[float, ...] = ()
        self.recent: list[float] = []
        self.began = self.logged = time.monotonic()
        self.best: float | None = None
        self.stop = Stop()

    @contextmanager
    def decoding(self, what: str = "reading images") -> Iterator[Progress]:
        """Give a function (done, total) that shows how far reading the images, or other work on each, is."""
        with self._progress() as bar:
            task = bar.add_task(what, total=None, visible=False)
            self.logged = time.monotonic()

            def note(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total, visible=True)
                if not self.live and time.monotonic() - self.logged > LOG_EVERY:
                    self.logged = time.monotonic()
                    self.console.print(f"{what}: {done:,} of {total:,}")

            yield note

    def verified(self, different: int) -> None:
        """How many images differed from what the cache was made from."""
        found = (
            f"{plural(different, 'image')} changed since the cache was made: it is made anew"
            if different
            else "no image differs from what the cache was made from"
        )
        self.console.print(f"verified: {found}")

    def planned(self, words: str, minutes: float | None = None) -> None:
        """What was chosen, for the time given if one was."""
        time_given = "" if minutes is None else f" for {minutes:g} minute{'' if minutes == 1 else 's'}"
        self.console.print(f"plan{time_given}: {words}")

    def said(self, name: str, words: str) -> None:
        """A line about a step of the plan."""
        self._rows((name, escape(words)))

    @contextmanager
    def training(
        self, run: Run, task: Fitting, splits: Splits, device: str, folds: int = 0
    ) -> Iterator[None]:
        """Say what is trained on what, and keep the live bar while the block runs; of a fold, the bar is all."""
        self.unit = f"fold {run.name}/{folds}, {task.unit}" if folds else task.unit
        if not folds:
            self._begun(run, task.model, splits, device)
        with self._watching(run, task.recipe.fit.epochs):
            yield

    def _begun(self, run: Run, model: Classifier, splits: Splits, device: str) -> None:
        # What the folds' models test is not the final model's to test.
        parts = [splits.train, splits.validation] if splits.folds else splits
        counts = ", ".join(f"{len(split):,} {split.name}" for split in parts)
        trainable, _ = model.parameter_counts()
        _, height, width = splits.image_shape
        if splits.folds:
            self.console.print("final model, which predict, export and serve use:")
        self.console.print(
            f"[bold]{run.recipe.model.name}[/], {trainable:,} parameters, on {device}, to {escape(str(run.path))}"
        )
        self.console.print(f"images of {height}x{width} in {len(splits.class_names)} classes: {counts}")
        if not splits.folds:
            self._understood(splits)

    def folding(self, splits: Splits) -> None:
        """Say what is cross-validated."""
        self.console.print(
            f"cross-validation: each of {len(splits.test):,} images is tested once, by one of {len(splits.folds)} "
            "models that never saw it"
        )
        self._understood(splits)

    def folded(self, run: Run, folds: int) -> None:
        """One lasting line for a fold that is done."""
        saved = run.metrics
        training, test = saved["training"], saved["test"]
        self.console.print(
            f"fold {run.name}/{folds}  best {_best(training)} of {training['epochs']}  validation accuracy "
            f"{saved['validation']['accuracy']:7.2%}  test accuracy {test['accuracy']:7.2%} of {test['n']:,} images  "
            f"{training['seconds']:.1f} s"
        )

    def _understood(self, splits: Splits) -> None:
        """How the source was read, and what of it should not be passed over."""
        self.console.print(escape(f"understood as {splits.layout}"))
        if splits.fed:
            self.console.print(escape(splits.fed))
        for notice in splits.notices:
            self.note(notice)
        for line in left_out_lines(splits):
            self.console.print(f"[yellow]left out[/] {escape(line)}")

    @contextmanager
    def _watching(self, run: Run, epochs: int) -> Iterator[None]:
        self.epochs, self.stop, self.recent, self.best = epochs, run.recipe.stop, [], None
        self.minutes, self.work = run.recipe.fit.minutes, run.recipe.fit.work(self.epochs)
        for record in run.saved(Run.history) or ():
            self._is_best(Epoch(**record))
        self.began = self.logged = time.monotonic()
        with self._progress() as self.bar:
            self.task = self.bar.add_task("", total=None, visible=False)
            yield

    def step(self, step: Step) -> None:
        """Move the bar; in a log, write a line now and then."""
        text = (
            f"{self._place(step.epoch)}  loss {step.loss:.4f}  accuracy "
            f"{step.accuracy:.2%}  {step.images_per_second:,.0f} images/s  {self._remaining(step)} left"
        )
        if self.live and self.bar is not None:
            self.bar.update(self.task, description=text, completed=step.step, total=step.steps, visible=True)
        elif time.monotonic() - self.logged > LOG_EVERY:
            self.logged = time.monotonic()
            self.console.print(f"{text}  step {step.step}/{step.steps}")

    def epoch(self, epoch: Epoch) -> None:
        """One lasting line for a finished epoch; a star marks the best one so far."""
        self.recent.append(epoch.seconds / self.work[epoch.epoch - 1])
        self.logged = time.monotonic()
        self.console.print(
            f"{self._place(epoch.epoch)}  loss {epoch.loss:.4f}  accuracy "
            f"{epoch.accuracy:7.2%}  validation loss {epoch.validation_loss:.4f}  accuracy "
            f"{epoch.validation_accuracy:7.2%}  {self._monitored(epoch)}rate {epoch.learning_rate:.2g}  "
            f"{epoch.seconds:.1f} s"
            f"{'  *' if self._is_best(epoch) else ''}"
        )

    def interrupted(self, run: Run) -> None:
        """How to go on."""
        self.console.print(f"stopped. `{escape(run.command('resume'))}` goes on where it stopped.")

    def note(self, text: str) -> None:
        """Something that the user should know, on a line of its own."""
        self.console.print(f"[yellow]note[/] {escape(text)}")

    def finished(self, run: Run) -> None:
        """The result, where the report lies, and what to do next."""
        test, training = run.metrics["test"], run.metrics["training"]
        self._rows(
            ("stopped", f"{training['stop_reason']}; best {_best(training)}, restored"),
            ("training", f"{training['seconds']:.1f} s, {training['images_per_second']:,.0f} images/s"),
            *_result(test, run.metrics.get("folds", ())),
            ("report", escape(str(run.report))),
            ("next", escape(f"{run.predict_command} says what is on a picture")),
        )

    def tested(self, run: Run, test: dict[str, Any], folder: Path) -> None:
        """The result on another source, and where it lies; what a few images say of the model, and what not."""
        saved = ("saved in", escape(str(folder)))
        if test["n"] >= ENOUGH:
            self._rows(*_result(test), saved)
            return
        right = round(test["accuracy"] * test["n"])
        self._rows(
            ("right", f"[bold]{right} of {test['n']}[/] test images, too few to state an accuracy"),
            saved,
            ("next", escape(f"{run.predict_command} says what is on a picture, and how sure that is")),
        )

    def _rows(self, *rows: tuple[str, str]) -> None:
        for name, text in rows:
            self.console.print(f"{name:<15}{text}")

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Say what is being done for some seconds, so that it does not look like a hung process."""
        if self.live:
            with self.console.status(what):
                yield
        else:
            self.console.print(what)
            yield

    def _progress(self) -> Bar:
        bar = [BarColumn(bar_width=20)] if self.console.width >= _WIDTH_FOR_A_BAR else []
        return Bar(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            *bar,
            TextColumn("{task.percentage:>3.0f}%", table_column=Column(no_wrap=True)),
            console=self.console,
            transient=True,
            disable=not self.live,
            refresh_per_second=_REFRESHES_A_SECOND,
        )

    def _place(self, epoch: int) -> str:
        """Which epoch it is, of how many where the clock does not decide."""
        return f"{self.unit} {epoch:>{len(str(self.epochs))}}" + ("" if self.minutes else f"/{self.epochs}")

    def _remaining(self, step: Step) -> str:
        """Time to the end: by the clock where that decides, else by the epochs so far or, in the first, its steps.

        An epoch of the hardest images only, or of smaller ones, takes that much less.
        """
        if self.minutes:
            return _duration(max(0.0, 60 * self.minutes - (time.monotonic() - self.began)))
        done = self.work[step.epoch - 1] * step.step / step.steps
        a_pass = [*self.recent, (time.monotonic() - self.began) / done][: len(self.recent) or 1][-3:]
        return _duration((sum(self.work[step.epoch - 1 :]) - done) * sum(a_pass) / len(a_pass))

    def _monitored(self, epoch: Epoch) -> str:
        """What judges the epoch, where that is neither its loss nor its accuracy."""
        name = self.stop.monitor.removeprefix("validation_")
        if name in ("loss", "accuracy"):
            return ""
        return f"{name.replace('_', ' ')} {asdict(epoch)[self.stop.monitor]:.4f}  "

    def _is_best(self, epoch: Epoch) -> bool:
        value = asdict(epoch)[self.stop.monitor]
        better = improves(self.stop.monitor, value, self.best, self.stop.min_delta)
        self.best = value if better else self.best
        return better


def _best(training: Mapping[str, Any]) -> str:
    """The best epoch; of a path of strengths, the best of those."""
    return (
        f"strength {training['strength']:g}" if "strength" in training else f"epoch {training['best_epoch']}"
    )


def _result(test: dict[str, Any], folds: Sequence[Mapping[str, Any]] = ()) -> list[tuple[str, str]]:
    groups = f" in {test['groups']:,} groups" if "groups" in test else ""
    ends = f"(95% interval {interval(test['accuracy_ci95'], 2)}%, n = {test['n']:,}{groups})"
    if folds:
        ends += f", each image by one of {len(folds)} models that never saw it"
    return [
        ("test accuracy", f"[bold]{percent(test['accuracy'], 2)}[/] {ends}"),
        ("macro F1", f"{test['f1_macro']:.4f}"),
    ]


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
