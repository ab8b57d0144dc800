"""Trials on a Ray cluster of several nodes on this machine, a node and the driver killed in the middle."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from small import tenfold, wait_for, words

from tenfold.sweeps.journal import Journal
from tenfold.sweeps.ledger import Ledger

pytest.importorskip("ray", reason="Ray is not installed (extra: cluster)")

ARGUMENTS = ("digits", "model.filters=[4]", "model.dense=4,8", "augment=[]", "fit.epochs=8", "--seeds", "2")
# Two trials, each as short as can be.
TWO = ("digits", "model.filters=[4]", "model.dense=4,8", "augment=[]", "fit.epochs=1")


def events(folder: Path, event: str) -> list[dict]:
    return [entry for entry in Journal(folder).events if entry["event"] == event]


@pytest.mark.slow
def test_a_sweep_outlives_a_node_and_its_driver(nodes, tmp_path):
    address = nodes.address
    assert address.startswith("127.0.0.1:")
    sweep = tmp_path / "runs" / "far"
    driver = subprocess.Popen(
        words("sweep", *ARGUMENTS, "--name", "far", "--cluster", address),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    wait_for(lambda: sweep.is_dir() and len(events(sweep, "started")) >= 2)
    nodes.tell("kill")
    wait_for(lambda: events(sweep, "lost"))
    wait_for(lambda: events(sweep, "ended"))
    driver.kill()
    driver.wait()
    nodes.tell("add")
    answer = tenfold("sweep", "--name", "far", "--cluster", address, folder=tmp_path)
    assert answer.status == 0, answer.err
    assert f"on the Ray cluster {address}" in answer.out
    ended = Counter(entry["trial"] for entry in events(sweep, "ended"))
    assert ended == {0: 1, 1: 1, 2: 1, 3: 1}
    ledger = Ledger(Journal(sweep).events)
    assert ledger.tested is not None
    for trial in ledger.trials:
        assert trial.state == "done"
        assert (sweep / trial.folder / "model.safetensors").is_file()
        assert len((sweep / trial.folder / "history.csv").read_text().splitlines()) == 9


@pytest.mark.slow
def test_a_cluster_of_this_machine_alone_needs_nothing_set_up(tmp_path, monkeypatch):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    answer = tenfold("sweep", *TWO, "--name", "here", "--cluster", "local", folder=tmp_path)
    assert answer.status == 0, answer.err
    assert "on the Ray cluster local" in answer.out
    ledger = Ledger(Journal(tmp_path / "runs" / "here").events)
    assert [trial.state for trial in ledger.trials] == ["done"] * 2


# The command line, with every source too large to be sent.
NOTHING_SENT = """
import sys
import ray
from tenfold.sweeps import ray_cluster

def refuse(*_):
    raise AssertionError("the images were sent")

ray_cluster.MOST_SENT, ray.put = 0, refuse
from tenfold.cli import main
main()
"""


@pytest.mark.slow
def test_a_source_too_large_to_send_is_opened_by_its_path(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    options = ("--data", pictures.name, "--cluster", "local", "--out", str(tmp_path), "--name", "large")
    command = [sys.executable, "-c", NOTHING_SENT, "sweep", *TWO, *options]
    done = subprocess.run(command, cwd=pictures.parent, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    ledger = Ledger(Journal(tmp_path / "large").events)
    assert [trial.state for trial in ledger.trials] == ["done"] * 2
