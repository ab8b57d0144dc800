"""The attack of `bench/fuzz.py`, for a moment on every kind of input; longer ones are run by hand."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import fuzz


@pytest.fixture(scope="module")
def targets(tmp_path_factory, finished) -> fuzz.Targets:
    return fuzz.Targets(tmp_path_factory.mktemp("fuzz"), finished[0])


NAMES = ("recipes", "overrides", "pictures", "archives", "tars", "labels", "npz", "parquet", "journals")
FILES = (
    "recipe.toml",
    "model.safetensors",
    "checkpoint/state.safetensors",
    "model.json",
    "data.json",
    "metrics.json",
    "history.csv",
    "inference.json",
)


@pytest.mark.parametrize("name", [*NAMES, *FILES, "predictions/test.parquet"])
def test_hostile_input_is_refused_in_words(name, targets):
    faults = fuzz.attack(name, targets, 0.5, random.Random(name), 10)
    assert not faults, [fault for fault, _ in faults]


def test_a_traceback_would_be_seen(targets, capsys):
    targets.add("broken", [b"x"], lambda content: content[10**6])
    assert fuzz.attack("broken", targets, 0.05, random.Random(0), 10)[0][0].startswith("IndexError")
