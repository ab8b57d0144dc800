"""One trial: how a failure, a pause and an end are told to the driver."""

import pytest
from small import small_recipe

from tenfold.core.errors import InputError
from tenfold.runs.state import State
from tenfold.sweeps.trial import TrialTask, _ended, _explained, _unfinished, carry_out


def task(tmp_path, recipe: str | None = None, **more) -> TrialTask:
    text = small_recipe().to_toml() if recipe is None else recipe
    return TrialTask(3, str(tmp_path / "trial"), text, {"data": "digits"}, **more)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("no such folder"), "no such folder"),
        (MemoryError(), "needs more memory than there is: MemoryError"),
        (RuntimeError("CUDA out of memory.\nTried"), "needs more memory than there is: CUDA out of memory."),
        (RuntimeError("shapes"), "RuntimeError: shapes"),
        (ZeroDivisionError("division"), "division"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_whatever_goes_wrong_is_a_failed_trial_and_nothing_is_raised(tmp_path, error, said):
    def failing(data, source):
        raise error

    (report,) = carry_out(task(tmp_path, device="cpu"), failing)
    assert (report["event"], report["state"]) == ("ended", "failed")
    assert report["outcome"]["error"] == said
    assert not (tmp_path / "trial").exists()


def test_a_recipe_or_a_device_that_is_none_is_told(tmp_path):
    (report,) = carry_out(task(tmp_path, "[fit]\nepochs = 'x'\n"), lambda data, source: pytest.fail("opened"))
    assert "fit.epochs" in report["outcome"]["error"]
    (report,) = carry_out(task(tmp_path, device="gpu"), lambda data, source: pytest.fail("opened"))
    assert "--device gpu" in report["outcome"]["error"]


def test_a_limit_of_memory_is_named_where_it_was_reached():
    error = RuntimeError("can't allocate memory: you tried")
    assert _explained(error, 100).startswith("needs more memory than --memory 100 allows: can't allocate")


HISTORY = [
    {"validation_accuracy": 0.5 + 0.1 * n, "validation_loss": 1.0 - 0.1 * n, "seconds": 1.5} for n in range(3)
]


@pytest.mark.parametrize(
    ("state", "name", "outcome"),
    [
        (State(3, best_epoch=2, history=HISTORY), "paused", {"score": 0.6, "loss": 0.9, "reason": None}),
        (
            State(3, best_epoch=3, history=HISTORY, stop_reason="all 3 epochs done"),
            "done",
            {"score": 0.7, "epochs": 3, "seconds": 4.5, "parameters": 42, "reason": "all 3 epochs done"},
        ),
        (
            State(0, failed=True, stop_reason="the loss became nan"),
            "failed",
            {"score": None, "best_epoch": 0, "error": "the loss became nan"},
        ),
    ],
)
def test_an_end_has_the_figures_of_its_best_epoch(state, name, outcome):
    report = _ended(state, 42)
    assert report["state"] == name
    assert report["outcome"].items() >= outcome.items()


def test_there_is_something_to_train_until_the_epoch_or_the_end():
    assert _unfinished(State(2), 3)
    assert _unfinished(State(2), None)
    assert not _unfinished(State(3), 3)
    assert not _unfinished(State(2, stop_reason="done"), None)
