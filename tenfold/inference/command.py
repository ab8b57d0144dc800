"""`tenfold predict` on the command line: answers go to standard output or a file, all else to standard error."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tenfold.core.errors import InputError
from tenfold.core.numbers import interval, percent
from tenfold.core.terminal import is_live, make_console
from tenfold.core.text import plural
from tenfold.inference.answers import Answers
from tenfold.inference.on_cluster import Asked, answers_on_cluster, check_place
from tenfold.inference.opening import FEW, Model, open_model
from tenfold.inference.pictures import Pictures, pictures_of
from tenfold.inference.predict import Question, answered
from tenfold.inference.writers import choose_format, writer

if TYPE_CHECKING:
    from tenfold.models import OwnModel

# A log line at least this often, in seconds, where no terminal shows a bar.
LOG_EVERY = 30.0
# With fewer labelled pictures the right ones are counted, and no accuracy is stated.
ENOUGH = 20


def predict_command(
    run: str,
    words: Sequence[str],
    question: Question,
    *,
    top: int | None = None,
    form: str | None = None,
    out: Path | None = None,
    device: str = "auto",
    own: "OwnModel | None" = None,
    cluster: str | None = None,
) -> bool:
    """Answer about the pictures that `words` name; whether all of them could be read.

    `own` is the user's own module, where the run's model is one. On a Ray `cluster` (its address), `out` is a folder
    of Parquet files.

    Raises InputError, before any picture is read, for words, options and a run that cannot be used.
    """
    if not words:
        raise InputError(
            f"no pictures were named: `tenfold predict {run} picture.jpg`, a folder, or - for a list."
        )
    parts = None if cluster is None else check_place(out, form, top)
    form = "parquet" if parts else choose_format(form, out, top)
    model = open_model(run, own)
    question.check(model)
    for note in model.notes:
        _say(note)
    pictures = pictures_of(words, model.contract.class_names)
    own_data = model.owns(words)
    if cluster is not None and parts is not None:
        places = tuple(word for word in words if Path(word).exists())
        asked = Asked(run, model.contract.weights, question, str(Path.cwd()), places, device, own_data, own)
        return _on_cluster(cluster, asked, pictures, parts)
    few = pictures.count is not None and pictures.count <= FEW and not own_data
    predictor = model.predictor(few, device, exactly=own_data)
    totals = _Totals()
    try:
        with writer(form, out, top) as write, _progress(pictures.count) as note:
            for answers in answered(model, predictor, pictures, question):
                write.write(answers)
                totals.add(answers)
                note(totals.pictures + totals.unreadable)
            if not totals.pictures + totals.unreadable:
                raise InputError(
                    "no pictures came: expected names, one a line, or a picture's bytes after -."
                )
    except BrokenPipeError:  # the reader, `head` for instance, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    totals.tell(out)
    if few and not model.exported and not model.has_onnx() and device in {"auto", "cpu"}:
        _prepare(model)
    return not totals.unreadable


def _on_cluster(address: str, asked: Asked, pictures: Pictures, out: Path) -> bool:
    totals = _Totals()
    with _progress(pictures.count) as note:
        for part in answers_on_cluster(address, asked, pictures, out, _say):
            totals.count(part.pictures, part.right, part.labelled, part.unreadable)
            note(totals.pictures + totals.unreadable)
    totals.tell(out)
    return not totals.unreadable


class _Totals:
    def __init__(self) -> None:
        self.pictures = self.unreadable = self.right = self.labelled = 0

    def add(self, answers: Answers) -> None:
        """Count a block, and list what could not be read."""
        self.count(len(answers), *answers.right, answers.unreadable)

    def count(self, pictures: int, right: int, labelled: int, unreadable: Sequence[tuple[str, str]]) -> None:
        """Count so many answers, and list what could not be read."""
        self.pictures += pictures
        self.unreadable += len(unreadable)
        self.right, self.labelled = self.right + right, self.labelled + labelled
        for name, reason in unreadable:
            _say(f"{name}: cannot be read: {reason}")

    def tell(self, out: Path | None) -> None:
        """How many there were, and how many are named as their folders say."""
        if self.labelled:
            _say(accuracy_line(self.right, self.labelled))
            if others := self.pictures - self.labelled:
                _say(f"{plural(others, 'picture')} not counted in this: no class of the model is their label")
        if out is not None:
            _say(f"{plural(self.pictures, 'picture')} answered in {out}")
        if self.unreadable:
            _say(
                f"{self.unreadable:,} of {plural(self.pictures + self.unreadable, 'picture')} cannot be read"
            )


def accuracy_line(right: int, labelled: int) -> str:
    """How many labelled pictures are named as their class folders say; with enough of them, the accuracy."""
    from tenfold.runs.metrics import exact_interval

    counted = f"{right:,} of {labelled:,} pictures are named as their class folders say"
    if labelled < ENOUGH:
        return f"{counted}; these are too few to state an accuracy"
    ends = interval(map(float, exact_interval(right, labelled)))
    return f"accuracy {percent(right / labelled)} (95% interval {ends}%): {counted}"


def _prepare(model: Model) -> None:
    """Make what answers sooner, once the answer is out."""
    sys.stdout.flush()
    _say("preparing this run for quick answers; later calls skip this")
    model.make_onnx()


def _say(text: str) -> None:
    print(f"tenfold: {text}", file=sys.stderr, flush=True)


@contextmanager
def _progress(total: int | None) -> Iterator:
    """A function of the pictures done: a bar with the remaining time on a terminal, else a line now and then."""
    if total is not None and total <= FEW:
        yield lambda done: None
    elif is_live(make_console(stderr=True)):
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=make_console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(task, completed=done)
    else:
        yield _Log(total).note


class _Log:
    def __init__(self, total: int | None) -> None:
        self.total = total
        self.began = self.logged = time.monotonic()

    def note(self, done: int) -> None:
        """Write a line where the last one is some time ago."""
        now = time.monotonic()
        if now - self.logged < LOG_EVERY:
            return
        self.logged = now
        rate = done / (now - self.began)
        rest = f" of {self.total:,}, {(self.total - done) / rate:,.0f} s left" if self.total else ""
        _say(f"{done:,}{rest}, {rate:,.0f} pictures/s")
