"""Where training stands, as a checkpoint's header keeps it."""

from dataclasses import asdict

import pytest

from tenfold.runs.state import State, Within, state_of


def test_a_state_comes_back_from_its_header():
    state = State(3, 12, 2, 0.5, 1, None, False, {"factor": 0.1}, [{"epoch": 1}], Within(2, 20, 1.5, 7, 0.1))
    assert state_of({"state": asdict(state)}) == state
    assert state_of({"state": asdict(State())}) == State()
    assert state_of({"state": {}}) == State()


def test_training_comes_to_nothing_only_where_no_epoch_gave_a_model():
    assert State(failed=True).came_to_nothing
    assert not State(failed=True, best_epoch=1).came_to_nothing
    assert not State().came_to_nothing


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({}, "is no checkpoint: its header has no state"),
        ({"state": {"epoch": "3"}}, "has a damaged header: epoch: "),
        ({"state": {"within": {"steps": None}}}, r"has a damaged header: within\.steps: "),
        ({"state": [1]}, "has a damaged header"),
    ],
)
def test_a_header_that_holds_no_state_is_told(header, words):
    with pytest.raises(ValueError, match=words):
        state_of(header)
