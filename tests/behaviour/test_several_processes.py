"""Several processes with the same whole batch learn what one learns."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import world_cases
from world_cases import CASES, few_images, learned, streamed_images

from tenfold.data import Source
from tenfold.data.shards.packing import pack_shards


def run_world(size: int, out: Path, shards: Path) -> dict:
    """What a world of `size` processes makes of every case."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        subprocess.Popen(
            [sys.executable, world_cases.__file__, str(out), str(shards)],
            env={
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    answers = [rank.communicate(timeout=300) for rank in ranks]
    assert all(rank.returncode == 0 for rank in ranks), answers
    return json.loads(out.read_text())


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


@pytest.fixture(scope="module", params=[2, 3])
def world(request, cache, shards, tmp_path_factory) -> dict:
    """What 2 or 3 processes made of the cases."""
    return run_world(request.param, tmp_path_factory.mktemp("world") / "found.json", shards)


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
