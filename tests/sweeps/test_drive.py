"""The driver: tasks go out as workers become free, and what comes back is noted before anything follows."""

import time

import pytest
from ledgers import begun, ended, plan

from tenfold.recipe import parse_recipe
from tenfold.sweeps.display import SweepDisplay
from tenfold.sweeps.drive import Driver
from tenfold.sweeps.journal import Journal, read_events
from tenfold.sweeps.ledger import Ledger
from tenfold.sweeps.settings import Crew
from tenfold.sweeps.trial import Report, TrialTask


class Scripted:
    """Workers that keep the contract, and report of each trial what they are told to, at once."""

    def __init__(self, *scripts: list[Report], count: int = 1) -> None:
        self.scripts, self.count = list(scripts), count
        self.tasks: list[TrialTask] = []
        self.waiting: list[Report] = []
        self.busy: set[int] = set()

    def idle(self) -> bool:
        return len(self.busy) < self.count

    def start(self, task: TrialTask) -> None:
        assert self.idle()
        self.tasks.append(task)
        self.busy.add(task.trial)
        self.waiting += [{"trial": task.trial, **report} for report in self.scripts.pop(0)]

    def reports(self, timeout: float) -> list[Report]:
        found, self.waiting = self.waiting, []
        self.busy -= {report["trial"] for report in found if report["event"] != "epoch"}
        return found

    def described(self) -> str:
        return "those of a script"

    def close(self) -> None:
        assert not self.busy


EPOCH = {"event": "epoch", "epoch": 1, "loss": 0.5, "validation_accuracy": 0.5}


def done(score: float) -> Report:
    report = ended(0, score)
    return {key: report[key] for key in ("event", "state", "outcome")}


@pytest.fixture
def driver(tmp_path):
    def make(workers: Scripted, varied: dict | None = None, **settings) -> Driver:
        journal = Journal(tmp_path)
        for event in begun(plan(varied, **settings), 0):
            journal.append(event)
        made = Driver(journal, Ledger(journal.events), Crew(memory=7), SweepDisplay(False), "tenfold sweep x")
        made.workers = workers
        return made

    return make


def events(driver: Driver, *kinds: str) -> list[dict]:
    return [event for event in read_events(driver.journal.path) if event["event"] in kinds]


def test_every_candidate_is_trained_with_every_seed_and_the_journal_has_it(driver):
    workers = Scripted(*[[EPOCH, EPOCH, done(0.1 * number)] for number in range(4)])
    made = driver(workers, {"model.dense": [4, 8]}, seeds=2)
    assert made.run()
    assert [(task.trial, task.memory, task.command) for task in workers.tasks] == [
        (number, 7, "tenfold sweep x") for number in range(4)
    ]
    recipes = [parse_recipe(task.recipe) for task in workers.tasks]
    assert [(one.model.options["dense"], one.fit.seed) for one in recipes] == [(4, 0), (4, 1), (8, 0), (8, 1)]
    assert [event["outcome"]["score"] for event in events(made, "ended")] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert made.epochs_done == 8
    again = Ledger(read_events(made.journal.path))
    assert [trial.state for trial in again.trials] == ["done"] * 4


def test_a_lost_worker_is_noted_and_its_trial_goes_out_again(driver):
    lost = {"event": "lost", "reason": "killed by signal 9"}
    workers = Scripted([EPOCH, lost], [done(0.5)], [done(0.6)])
    made = driver(workers, {"model.dense": [4, 8]})
    assert made.run()
    assert sorted(task.trial for task in workers.tasks) == [0, 0, 1]
    assert [event["reason"] for event in events(made, "lost")] == ["killed by signal 9"]


def test_as_many_go_out_as_there_are_workers(driver):
    workers = Scripted(*[[done(0.5)] for _ in range(3)], count=2)
    made = driver(workers, {"model.dense": [4, 8, 16]})
    made._start_trials()
    assert [task.trial for task in workers.tasks] == [0, 1]
    assert len(events(made, "started")) == 2
    assert made.run()


def test_values_that_do_not_fit_together_fail_without_a_worker(driver):
    """Only one of the models has a dropout."""
    workers = Scripted(*[[done(0.5)] for _ in range(6)])
    varied = {"model.name": ["model-s-deep", "single-conv"], "model.dropout": "0.0..0.5"}
    made = driver(workers, varied, search="random", trials=6)
    assert made.run()
    names = [candidate.values["model.name"] for candidate in made.ledger.candidates]
    assert set(names) == {"model-s-deep", "single-conv"}
    assert [task.trial for task in workers.tasks] == [
        n for n, name in enumerate(names) if name == "model-s-deep"
    ]
    failed = [event for event in events(made, "ended") if event["state"] == "failed"]
    assert len(failed) == names.count("single-conv")
    assert all("'single-conv' has no such option" in event["outcome"]["error"] for event in failed)


def test_halving_trains_the_best_further(driver):
    scores = [0.1, 0.2, 0.9, 0.3, 0.4]
    paused = [[{**done(score), "state": "paused"}] for score in scores]
    workers = Scripted(*paused, *[[done(0.95)] for _ in range(5)])
    made = driver(workers, prune=True)
    assert made.run()
    first, later = workers.tasks[:5], workers.tasks[5:]
    assert {task.until for task in first} == {made.ledger.plan.rungs[0]}
    assert 2 in {task.trial for task in later}
    assert len(later) < 5


def test_the_time_ends_it_before_anything_is_left_undone(driver):
    made = driver(Scripted())
    made.deadline = time.monotonic() - 1
    assert not made.run()
    assert events(made, "started", "candidate") == []


def test_what_is_left_is_reckoned_by_the_pace_since_the_first_epoch(driver, monkeypatch):
    made = driver(Scripted())
    assert made._seconds_left() is None
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    made._next_trial()
    for _ in range(3):
        now[0] += 2.0
        made._note({"trial": 0, **EPOCH})
    left = made.ledger.epochs_left()
    assert left
    assert made._seconds_left() == pytest.approx(2.0 * left)
