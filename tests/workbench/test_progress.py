"""The display: plain lines in a log, a live bar in a terminal, and names printed as they are."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console
from small import small_recipe

from tenfold.data.reading import BadFile
from tenfold.models import build_model
from tenfold.runs.folder import Run, load_run
from tenfold.training.learner import Epoch
from tenfold.training.method import Step
from tenfold.training.transfer import Fitting
from tenfold.workbench.progress import LOG_EVERY, Display, display_for


def epoch(number: int, validation_loss: float) -> Epoch:
    return Epoch(number, 1.25, 0.5, validation_loss, 0.625, 0.001, 2.0)


def step(number: int, epoch: int = 1) -> Step:
    return Step(epoch, 12, number, 10, 1.5, 0.25, 1234.5)


@pytest.fixture
def run(tmp_path) -> Run:
    """A run folder that has only its recipe, with markup in its name."""
    folder = tmp_path / "[red]run"
    folder.mkdir()
    (folder / "recipe.toml").write_text(small_recipe("fit.epochs=12").to_toml())
    return load_run(folder)


def fitting(run: Run, splits) -> Fitting:
    return Fitting(build_model(run.recipe.model, (1, 8, 8), 10), splits, run.recipe)


@pytest.fixture
def shown(run, few_digits):
    """Let `work` use a display on a log or a terminal while training; give what it wrote."""

    def show(work, terminal: bool = False, splits=few_digits) -> str:
        text = io.StringIO()
        # A log is taken to be narrower than its lines: they must stay whole.
        width = 80 if terminal else 40
        console = Console(file=text, force_terminal=terminal, highlight=False, soft_wrap=True, width=width)
        display = Display(console)
        with display.training(run, fitting(run, splits), splits, "cpu"):
            work(display)
        return text.getvalue()

    return show


def test_a_log_has_one_plain_line_an_epoch_with_a_star_at_each_best(shown, run, few_digits):
    def work(display: Display) -> None:
        for number, loss in enumerate((2.0, 1.5, 1.75), start=1):
            display.epoch(epoch(number, loss))

    lines = shown(work).splitlines()
    assert lines == [
        f"model-s-deep, 814 parameters, on cpu, to {run.path}",
        "images of 8x8 in 10 classes: 150 train, 100 validation, 50 test",
        f"understood as {few_digits.layout}",
        "epoch  1/12  loss 1.2500  accuracy  50.00%  validation loss 2.0000  accuracy  62.50%  rate 0.001  2.0 s  *",
        "epoch  2/12  loss 1.2500  accuracy  50.00%  validation loss 1.5000  accuracy  62.50%  rate 0.001  2.0 s  *",
        "epoch  3/12  loss 1.2500  accuracy  50.00%  validation loss 1.7500  accuracy  62.50%  rate 0.001  2.0 s",
    ]


def test_after_a_resume_only_a_better_epoch_has_a_star(shown, run):
    run.history = [vars(epoch(1, 1.0)), vars(epoch(2, 3.0))]
    lines = shown(lambda display: [display.epoch(epoch(3, 2.0)), display.epoch(epoch(4, 0.5))]).splitlines()
    assert not lines[-2].endswith("*")
    assert lines[-1].endswith("*")


def test_a_log_says_that_a_long_epoch_goes_on(shown):
    def work(display: Display) -> None:
        display.step(step(1))
        display.logged -= LOG_EVERY + 1
        display.step(step(2))
        display.step(step(3))

    lines = shown(work).splitlines()[3:]
    assert len(lines) == 1
    assert lines[0].startswith("epoch  1/12  loss 1.5000  accuracy 25.00%  1,234 images/s  ")
    assert lines[0].endswith(" left  step 2/10")


@pytest.mark.parametrize(
    ("recent", "position", "left"),
    [((), (1, 5), "1:55"), ((10.0,), (2, 5), "1:45"), ((10, 10, 10, 3600.0), (5, 5), "2:30:50")],
)
def test_the_remaining_time_is_that_of_the_epochs_to_come(shown, recent, position, left):
    """In the first epoch its own pace counts (10 s an epoch here), later the mean of the last three epochs."""
    number, done = position
    said = []

    def work(display: Display) -> None:
        display.began -= 5
        display.recent = list(recent)
        said.append(display._remaining(step(done, epoch=number)))

    shown(work)
    assert said == [left]


def test_the_remaining_time_knows_of_epochs_that_leave_images_out(shown):
    """Epochs of 0.5 of the images: two took 10 s, and 10 s are left of each of nine and a half."""
    said = []

    def work(display: Display) -> None:
        display.work = (1.0,) + (0.5,) * 11
        for number, seconds in ((1, 20.0), (2, 10.0)):
            display.epoch(replace(epoch(number, 2.0), seconds=seconds))
        said.append(display._remaining(step(5, epoch=3)))

    shown(work)
    assert said == ["1:35"]


def test_a_terminal_of_80_columns_shows_a_live_bar_with_the_remaining_time(shown):
    text = shown(lambda display: display.step(step(5)), terminal=True)
    assert "\x1b[" in text
    assert re.search(r"epoch  1/12  loss 1.5000  accuracy 25.00%  1,234 images/s  \d+:\d\d left .*50%", text)


def test_a_log_has_no_escape_codes(shown):
    assert "\x1b" not in shown(lambda display: [display.step(step(5)), display.epoch(epoch(1, 1.0))])


def test_names_are_printed_as_they_are(shown, run, few_digits):
    bad = tuple(BadFile(f"[bold]{i}[/bold].png", "cannot identify [image]") for i in range(7))
    text = shown(lambda display: display.interrupted(run), splits=replace(few_digits, bad_files=bad))
    assert str(run.path) in text
    assert "left out [bold]4[/bold].png: cannot identify [image]" in text
    assert "[bold]5" not in text
    assert "left out 2 more unreadable files; all are in data.json" in text
    assert f"stopped. `tenfold resume '{run.path}'` goes on where it stopped." in text


def test_the_result_and_the_place_of_the_report_are_the_last_lines(finished):
    folder, _ = finished
    text = io.StringIO()
    Display(Console(file=text, highlight=False, soft_wrap=True, width=40)).finished(load_run(folder))
    lines = text.getvalue().splitlines()
    metrics = load_run(folder).metrics
    test, best = metrics["test"], metrics["training"]["best_epoch"]
    assert lines[0] == f"stopped        all 2 epochs done; best epoch {best}, restored"
    assert lines[2].startswith(f"test accuracy  {test['accuracy']:.2%} (95% interval")
    assert lines[-2] == f"report         {folder / 'report.html'}"
    assert lines[-1] == f"next           tenfold predict {folder} picture.jpg says what is on a picture"


def test_without_progress_nothing_is_printed(capsys, run, few_digits):
    display = display_for(False)
    with display.decoding() as note:
        note(1, 2)
    with display.training(run, fitting(run, few_digits), few_digits, "cpu"):
        display.step(step(1))
        display.epoch(epoch(1, 1.0))
    assert capsys.readouterr() == ("", "")
