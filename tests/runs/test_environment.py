"""What a run ran on."""

import shlex
import sys
from importlib.metadata import version

import torch

from tenfold.runs.environment import command_line, describe_environment

CPU = torch.device("cpu")


def test_the_environment_names_what_decides_results_and_speed(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    found = describe_environment(CPU, "tenfold train")
    assert (found["command"], found["device"]) == ("tenfold train", "cpu")
    assert found["threads"] == torch.get_num_threads()
    assert found["cores"] >= 1
    assert found["processor"]
    assert found["kernels"]
    assert found["versions"]["torch"] == version("torch")
    assert {"tenfold", "numpy", "pillow"} <= found["versions"].keys()
    assert "processes" not in found


def test_processes_that_learn_together_are_counted(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "mine")
    found = describe_environment(CPU, None)
    assert (found["processes"], found["launch"], found["command"]) == (2, "mine", None)


def test_the_command_can_be_typed_again(monkeypatch):
    words = ["tenfold", "train", "my photos", "model.name='x'"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/tenfold", *words[1:]])
    assert shlex.split(command_line()) == words
