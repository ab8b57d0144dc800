"""Worker processes on this machine: how many there may be, what each is given, and how an end is told."""

import pytest
import torch

from tenfold.sweeps.local_workers import LocalWorkers, _environment, _free_number, _how_it_ended, threads_each


def test_workers_are_hired_when_they_are_needed(tmp_path):
    workers = LocalWorkers(2, 1, tmp_path / "log")
    assert workers.idle()
    assert workers.described() == "2 workers of 1 thread"
    assert workers.reports(0.0) == []
    workers.close()
    assert not (tmp_path / "log").exists()


def test_the_number_of_one_that_died_is_given_again():
    assert [_free_number(taken) for taken in (set(), {0, 1}, {1, 2})] == [0, 2, 0]


@pytest.mark.parametrize(
    ("visible", "number", "given"),
    [("", 1, ""), ("3", 1, "3"), ("3,5", 0, "3"), ("3,5", 1, "5"), ("3,5", 2, "3")],
)
def test_each_has_its_share_of_the_threads_and_one_gpu(monkeypatch, visible, number, given):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = _environment(number, 3)
    assert (found["OMP_NUM_THREADS"], found["CUDA_VISIBLE_DEVICES"]) == ("3", given)


def test_threads_are_divided_and_never_none():
    assert threads_each(1) == torch.get_num_threads()
    assert threads_each(10_000) == 1


def test_how_a_worker_ended_is_told(tmp_path):
    assert _how_it_ended(-9, tmp_path) == "the worker process was killed by signal 9 (out of memory?)"
    assert _how_it_ended(-15, tmp_path) == "the worker process was killed by signal 15"
    assert _how_it_ended(1, tmp_path / "log").endswith(f"status 1; {tmp_path / 'log'} has what it printed")
