"""Whole sweeps, as a person starts, kills and continues them: real commands, real workers, real signals."""

import csv
import json
import signal
import subprocess
from collections import Counter
from html import unescape
from pathlib import Path

import psutil
import pytest
from small import SMALL, wait_for, words

import tenfold as package
from tenfold.core.errors import InputError
from tenfold.models import build_model
from tenfold.runs.folder import Run
from tenfold.sweeps.journal import FILE, Journal
from tenfold.sweeps.ledger import Ledger
from tenfold.sweeps.local_workers import LocalWorkers
from tenfold.sweeps.results import read_results
from tenfold.sweeps.trial import TrialTask
from tenfold.training.loop import fit

pytestmark = pytest.mark.usefixtures("undrawn")
# A sweep of a moment: with two workers, two sizes and two seeds.
TWO_SIZES = ("model.filters=[4]", "model.dense=4,8", "augment=[]", "fit.epochs=2", "--seeds", "2")


def events(folder: Path) -> list[dict]:
    return Journal(folder).events


def count(folder: Path, event: str) -> Counter:
    return Counter(entry["trial"] for entry in events(folder) if entry["event"] == event)


def columns(run: Run) -> list[list[float]]:
    """The history without its times."""
    return [[value for key, value in record.items() if key != "seconds"] for record in run.history]


def trained_at_once(run: Run, folder: Path) -> Run:
    """The same recipe on the same images, trained in this process without a stop."""
    splits, plain = run.splits(), Run(folder)
    channels, height, width = splits.image_shape
    seed = run.recipe.fit.seed
    model = build_model(run.recipe.model, (channels, height, width), len(splits.class_names), seed=seed)
    for _ in fit(model, splits, run.recipe, plain):
        pass
    return plain


@pytest.fixture(scope="module")
def halved(pictures, tmp_path_factory):
    """A sweep with halving, from Python, on two workers."""
    out = tmp_path_factory.mktemp("sweeps")
    return package.sweep(
        "digits",
        {"model.dense": [4, 8, 16], "model.filters": [[4], [8]]},
        data=pictures,
        overrides=["augment=[]", "fit.epochs=4"],
        seeds=2,
        prune=True,
        workers=2,
        threads=1,
        out=out,
        name="halved",
        progress=False,
    )


@pytest.mark.slow
def test_every_trial_is_a_run_folder_and_only_the_winner_has_seen_the_test_images(halved):
    assert len(halved.rows) == 6
    assert Counter(row.state for row in halved.rows) == {"winner": 1, "done": 1, "left behind": 4}
    for row in halved.rows:
        for name in row.folders:
            run = package.load_run(halved.path / name)
            assert run.recipe.sweep is None
            assert len(run.history) == (1 if row.state == "left behind" else 4)
            assert (run.path / "predictions").exists() == row.winner
            assert (run.path / "metrics.json").exists() == row.winner
            assert run.recipe.model.options["dense"] == row.values["model.dense"]
    names = [entry["event"] for entry in events(halved.path)]
    assert names.index("winner") < names.index("tested") == len(names) - 1


def test_the_winner_is_tested_on_every_seed_and_pooled(halved):
    accuracies = [run.metrics["test"]["accuracy"] for run in halved.winning_runs]
    assert len(accuracies) == 2
    assert halved.test["accuracies"] == accuracies
    assert halved.test["accuracy"] == pytest.approx(sum(accuracies) / 2)
    low, high = halved.test["accuracy_ci95"]
    assert low <= halved.test["accuracy"] <= high
    assert all((run.path / "report.html").is_file() for run in halved.winning_runs)


def test_a_trial_that_was_halted_and_went_on_is_the_same_as_plain_training(halved, tmp_path):
    run = halved.winning_runs[1]
    assert run.recipe.fit.seed == 1
    assert columns(run) == columns(trained_at_once(run, tmp_path))
    for name in ("model.safetensors", "model.json"):
        assert (run.path / name).read_bytes() == (tmp_path / name).read_bytes()


def test_what_is_written_can_be_read_and_drawn_again(halved):
    written = json.loads((halved.path / "results.json").read_text())
    assert written["winner"] == {
        key: list(value) if isinstance(value, tuple) else value for key, value in halved.winner.items()
    }
    assert written["verdict"] == halved.verdict
    assert len(written["candidates"]) == 6
    with (halved.path / "results.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["state"] for row in rows] == [row.state for row in halved.rows]
    figures = {path.name for path in (halved.path / "figures").iterdir()}
    assert {"curves.svg", "accuracy_0.png", "accuracy_1.svg", "parallel.svg"} <= figures
    again = read_results(halved.path)
    assert again.verdict == halved.verdict
    with pytest.raises(InputError, match="not the folder of a sweep"):
        read_results(halved.path / "figures")


def test_the_page_is_one_file_that_asks_for_nothing(halved):
    page = unescape(halved.report.read_text())
    assert "default-src 'none'" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert halved.path.name in page
    assert page.count("<tr>") == 7
    for sentence in halved.verdict:
        assert sentence in page


def test_a_finished_sweep_shows_its_results_again_and_trains_nothing(halved, command):
    before = events(halved.path)
    answer = command("sweep", "--name", "halved", "--out", halved.path.parent)
    assert answer.status == 0
    assert halved.verdict[0] in answer.out
    assert events(halved.path) == before


def test_another_plan_under_the_same_name_is_refused(halved, pictures, command):
    out = ("--data", pictures, "--out", halved.path.parent, "--name", "halved")
    answer = command("sweep", "digits", "model.dense=4,8,32", *out)
    assert answer.status == 2
    assert "was begun as another sweep" in answer.err
    assert "space was" in answer.err
    assert "tenfold sweep --name halved --out" in answer.err


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A sweep that lost a worker, then its driver to SIGKILL, then was stopped with Ctrl-C, then went on."""
    folder = tmp_path_factory.mktemp("killed")
    arguments = ("sweep", "digits", "model.filters=[4]", "model.dense=4,8,16", "augment=[]", "fit.epochs=8")
    options = ("--workers", "2", "--threads", "1", "--name", "k")
    sweep = folder / "runs" / "k"

    def begin(*more: str) -> subprocess.Popen:
        return subprocess.Popen(
            words(*more), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    driver = begin(*arguments, *options)
    wait_for(lambda: (sweep / "trial-0000" / "history.csv").is_file())
    workers = psutil.Process(driver.pid).children()
    assert len(workers) == 2
    workers[0].kill()
    wait_for(lambda: "lost" in [entry["event"] for entry in events(sweep)])
    workers = psutil.Process(driver.pid).children()
    driver.kill()
    driver.communicate()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive, "a worker outlived its driver"
    begun = sum(count(sweep, "started").values())
    stopped = begin("sweep", "--name", "k", "--threads", "1")
    wait_for(lambda: sum(count(sweep, "started").values()) > begun)  # The lost trial at least begins again.
    stopped.send_signal(signal.SIGINT)
    said = stopped.communicate(timeout=400)[0]
    return (
        sweep,
        stopped.returncode,
        said,
        package.sweep(out=folder / "runs", name="k", threads=1, progress=False),
    )


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(killed):
    _, status, said, _ = killed
    assert status == 130
    assert "stopped. `tenfold sweep --name k` goes on where it stands." in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_no_trial_is_lost_or_ends_twice_whatever_is_killed(killed):
    sweep, _, _, results = killed
    assert results.winner is not None
    assert count(sweep, "ended") == {0: 1, 1: 1, 2: 1}
    assert sum(count(sweep, "started").values()) > 3
    ledger = Ledger(events(sweep))
    assert all(trial.state == "done" for trial in ledger.trials)
    assert not list(sweep.rglob(".*.tmp"))


@pytest.mark.slow
def test_what_was_killed_ends_as_if_it_had_not_been(killed, tmp_path):
    run = package.load_run(killed[0] / "trial-0000")
    assert columns(run) == columns(trained_at_once(run, tmp_path))


@pytest.mark.slow
def test_one_failing_trial_does_not_stop_the_others(pictures, tmp_path, command):
    arguments = ("model.filters=[4]", "augment=[]", "fit.epochs=1", "--memory", "300", "--data", pictures)
    answer = command(
        "sweep",
        "digits",
        "model.dense=8,4000000",
        "optimizer.lr=0.001,1e30",
        *arguments,
        "--out",
        tmp_path,
        "--name",
        "f",
    )
    assert answer.status == 0
    states = [
        (trial.state, trial.outcome.get("error", "")) for trial in Ledger(events(tmp_path / "f")).trials
    ]
    assert [state for state, _ in states] == ["done", "failed", "failed", "failed"]
    assert "loss became" in states[1][1]
    assert "needs more memory than --memory 300 allows" in states[2][1]
    assert "3 of 4 trials failed, so that their candidates cannot win" in answer.out
    retried = command("sweep", "--out", tmp_path, "--name", "f", "--retry")
    assert retried.status == 0
    assert events(tmp_path / "f")[-1]["event"] == "tested"  # A winner was named: nothing is tried again.


@pytest.mark.slow
def test_a_sweep_without_a_survivor_says_why(pictures, tmp_path, command):
    where = ("--data", pictures, "--out", tmp_path, "--name", "none")
    answer = command("sweep", "digits", *SMALL, "model.filters=[4,4,4,4,4,4],[4,4,4,4,4]", *where)
    assert answer.status == 1
    assert "2 of 2 trials failed, the first (trial-0000) because: images of 16x16 are too small" in answer.err
    assert "--retry" in answer.err


def test_a_grid_whose_time_is_up_names_no_winner_yet(pictures, tmp_path, command):
    where = ("--out", tmp_path, "--name", "grid")
    answer = command("sweep", "digits", *TWO_SIZES, "--data", pictures, *where, "--minutes", "0")
    assert answer.status == 0
    assert "the time limit is reached (0 min). `tenfold sweep --name grid --out" in answer.out
    assert read_results(tmp_path / "grid").winner is None
    assert "No winner is named yet" in (tmp_path / "grid" / "report.html").read_text()
    answer = command("sweep", *where, "--finish")
    assert answer.status == 1
    assert "no candidate is trained to the end yet" in answer.err


@pytest.mark.slow
def test_a_search_for_a_time_ends_with_its_space_and_one_misfit_fails_alone(pictures, tmp_path, command):
    words = (
        "model.name=model-s,single-conv",
        "model.filters=4,[4]",
        "model.dense=8",
        "augment=[]",
        "fit.epochs=1",
    )
    where = ("--data", pictures, "--out", tmp_path, "--name", "mixed", "--search", "random", "--minutes", "9")
    answer = command("sweep", "digits", *words, *where)
    assert answer.status == 0
    rows = read_results(tmp_path / "mixed").rows
    assert Counter(row.state for row in rows) == {"winner": 1, "done": 1, "failed": 2}
    assert "model.filters=4: input should be a list" in answer.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digits", "modle.dense=8,16"), "did you mean 'model'"),
        (("digits", "model.dense=8,many"), "trial 1 (model.dense=many)"),
        (("digits", "optimizer.lr=1e-1..1e-4:log"), "the range is empty"),
        (("digits", "model.dense=1,2,3", "--trials", "2"), "the grid has 3 candidates"),
        (("digits", "model.dense=1,,3"), "there is an empty value"),
        (("digits",), "there is nothing to vary"),
        (("digits", "model.dense=1,2", "--name", "a/b"), "expected a plain folder name"),
        (("digits", "model.dense=1,2", "--search", "greedy"), "there is no such search"),
        (("sweep-filtres",), "did you mean 'sweep-filters'"),
    ],
)
def test_bad_input_ends_with_status_2_before_anything_runs(arguments, message, tmp_path, command):
    answer = command("sweep", *arguments, "--out", tmp_path)
    assert answer.status == 2
    assert message in answer.err
    assert not list(tmp_path.iterdir())


def test_two_drivers_on_one_sweep_are_refused(pictures, tmp_path, command):
    where = ("--data", pictures, "--out", tmp_path, "--name", "busy")
    (tmp_path / "busy").mkdir()
    with Journal(tmp_path / "busy").lock():
        answer = command("sweep", "digits", *TWO_SIZES, *where)
    assert answer.status == 1
    assert "another process is driving this sweep" in answer.err


def test_a_journal_of_another_version_is_refused(pictures, tmp_path, command):
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / FILE).write_text('{"event": "plan", "version": 99, "plan": {}}\n')
    answer = command("sweep", "--name", "old", "--out", tmp_path)
    assert answer.status == 2
    assert "was written in version 99 of the journal, this tenfold reads version 1" in answer.err


def test_a_folder_that_is_no_sweep_is_left_alone(tmp_path, command):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    answer = command("sweep", "digits", *TWO_SIZES, "--out", tmp_path, "--name", "mine", "--overwrite")
    assert answer.status == 2
    assert "exists and is not a sweep" in answer.err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_worker_that_cannot_start_is_reported_and_where_its_words_are(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    workers = LocalWorkers(1, 1, tmp_path / "workers.log")
    workers.start(TrialTask(trial=7, folder=str(tmp_path / "trial-0007"), recipe="", source={}))
    reports = workers.reports(30)
    workers.close()
    assert [(report["event"], report["trial"]) for report in reports] == [("lost", 7)]
    assert f"ended with status 1; {tmp_path}/workers.log has what it printed" in reports[0]["reason"]
    assert "encodings" in (tmp_path / "workers.log").read_text()
    assert workers.idle()
