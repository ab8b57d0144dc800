"""Several processes with the same whole batch learn what one learns."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import world_cases
from world_cases import CASES, few_images, learned, streamed_images

from tenfold.data import Source
from tenfold.data.shards.packing import pack_shards

pytestmark = pytest.mark.slow  # processes of their own, of which each loads PyTorch

SIZES = (2, 3)


@pytest.fixture(scope="module")
def shards(cache, tmp_path_factory) -> Path:
    """The digits in shards of 20 images."""
    folder = tmp_path_factory.mktemp("shards") / "digits"
    pack_shards(Source("digits"), folder, images=20)
    return folder


@pytest.fixture(scope="module")
def alone(cache, shards) -> dict:
    splits = few_images()
    found = {case: learned(case, splits) for case in CASES}
    return {**found, "streamed": learned("mixup", streamed_images(shards))}


@pytest.fixture(scope="module")
def worlds(cache, shards, tmp_path_factory) -> dict[int, dict]:
    """What 2 and what 3 processes made of the cases."""
    folder = tmp_path_factory.mktemp("worlds")
    program = [sys.executable, world_cases.__file__, folder, shards, *map(str, SIZES)]
    done = subprocess.run(program, stderr=subprocess.PIPE, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return {size: json.loads((folder / f"{size}.json").read_text()) for size in SIZES}


@pytest.fixture(params=SIZES)
def world(request, worlds) -> dict:
    """What so many processes made of the cases."""
    return worlds[request.param]


@pytest.mark.parametrize("case", [*CASES, "streamed"])
def test_several_processes_learn_what_one_learns(alone, world, case):
    one, many = alone[case], world[case]
    assert len(one["steps"]) == len(many["steps"])
    assert np.allclose(one["steps"], many["steps"], rtol=0, atol=1e-9), "each step's loss and accuracy"
    assert one["end"] == many["end"]
    for mine, theirs in zip(one["epochs"], many["epochs"], strict=True):
        assert mine == pytest.approx(theirs, abs=1e-9)
    for name, sums in one["weights"].items():
        assert sums == pytest.approx(many["weights"][name], rel=1e-7, abs=1e-7), name


def test_the_cases_change_what_is_learned(alone):
    firsts = {case: found["steps"][-1][0] for case, found in alone.items()}
    assert len(set(firsts.values())) == len(CASES) + 1, "no two cases are the same training"
    assert alone["early stopping"]["end"].endswith("did not improve for 1 epochs")
    rates = [epoch["learning_rate"] for epoch in alone["plateau"]["epochs"]]
    assert len(alone["early stopping"]["epochs"]) < 9
    assert rates[0] == 0.05


def test_norms_of_their_own_are_averaged(alone, world):
    own, whole = world["local norms"], alone["batch norm, penalty"]
    assert own["steps"] != whole["steps"]
    assert own["epochs"][-1]["validation_loss"] == pytest.approx(
        whole["epochs"][-1]["validation_loss"], rel=0.5
    )


def test_what_is_dealt_out_comes_back_in_order_and_the_first_says_what_holds(world):
    assert world["dealt"] == [0, 1, 2, 3, 4]
    assert world["agreed"] == 10
