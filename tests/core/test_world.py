"""The world of one process costs nothing, and what the environment says of others is checked."""

import numpy as np
import pytest
import torch

from tenfold.core.errors import InputError
from tenfold.core.world import (
    ALONE,
    World,
    joined,
    launch_name,
    own_device,
    processes_meant,
    restarted,
)


@pytest.fixture(autouse=True)
def no_world(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)


def test_alone_everything_is_ones_own():
    tensor = torch.tensor([1.0, 2.0])
    assert (ALONE.first, ALONE.alone, World(1, 2).first) == (True, True, False)
    assert ALONE.add(tensor) is tensor
    ALONE.add_all([tensor])
    ALONE.follow_first([tensor])
    assert tensor.tolist() == [1, 2]
    assert ALONE.first_says(3.5) == 3.5
    parts = [np.arange(2), np.arange(3)]
    assert ALONE.in_turns(parts) == parts
    assert (ALONE.agree(lambda: "made"), ALONE.in_line(lambda: "made")) == ("made", "made")


def test_an_error_of_the_only_process_is_its_own():
    with pytest.raises(InputError, match="why"):
        ALONE.agree(lambda: (_ for _ in ()).throw(InputError("why")))


def test_a_process_that_was_started_alone_joins_nothing():
    assert processes_meant() == 1
    assert launch_name() is None
    assert not restarted()
    with joined(torch.device("cpu")) as world:
        assert world == ALONE


def test_the_environment_names_the_launch_and_its_restarts(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "mine")
    assert launch_name() is None
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert (processes_meant(), launch_name(), restarted()) == (2, "mine", True)


@pytest.mark.parametrize("text", ["two", "-1", "1.5"])
def test_a_world_of_no_number_is_refused_by_its_variable(monkeypatch, text):
    monkeypatch.setenv("WORLD_SIZE", text)
    with pytest.raises(InputError, match=f"WORLD_SIZE={text}: expected a whole number"):
        processes_meant()


def test_an_empty_variable_says_nothing(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "")
    assert processes_meant() == 1


def test_worlds_are_of_cpus_or_cuda(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="--device mps: processes learn together on a CPU or on CUDA"):
        joined(torch.device("mps")).__enter__()


@pytest.mark.parametrize("text", ["soon", "0", "1e9"])
def test_a_patience_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TENFOLD_PATIENCE", text)
    with pytest.raises(InputError, match=f"TENFOLD_PATIENCE={text}: expected seconds"):
        joined(torch.device("cpu")).__enter__()


def test_each_process_of_a_machine_has_its_own_gpu(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert own_device(torch.device("cpu")) == torch.device("cpu")
    assert own_device(torch.device("cuda")) == torch.device("cuda", 3)
