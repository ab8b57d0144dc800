"""`--cluster ADDRESS --workers N`: Ray starts the processes, and they make the run that `--processes N` makes."""

import subprocess

import pytest
from safetensors.numpy import load_file
from small import STEADY, tenfold, wait_for, words

import tenfold as package
from tenfold.core.errors import InputError, TenfoldError
from tenfold.runs.folder import Run
from tenfold.workbench.cluster import Asked, resources_each, work

TWO = Asked("10.0.0.1:6379", 2, ("train",))


@pytest.mark.slow
def test_a_cluster_makes_the_run_that_processes_make_bit_for_bit(nodes, run_of_two, tmp_path):
    on = ("--cluster", nodes.address, "--workers", "2")
    answer = tenfold("train", "digits", *on, "--name", "two", *STEADY, folder=tmp_path)
    assert answer.status == 0, answer.err
    assert answer.err == ""
    assert answer.out.count("test accuracy") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    run, other = Run(tmp_path / "runs" / "two"), Run(run_of_two[0])
    assert run.environment["processes"] == 2
    assert (run.path / "report.html").is_file()
    mine, theirs = (load_file(one.path / "model.safetensors") for one in (run, other))
    assert mine.keys() == theirs.keys()
    assert all((mine[name] == theirs[name]).all() for name in mine)
    assert [row["loss"] for row in run.history] == [row["loss"] for row in other.history]
    assert (run.test_predictions.probabilities == other.test_predictions.probabilities).all()


@pytest.mark.slow
def test_a_lost_node_ends_the_run_which_names_its_rank_and_goes_on_alone(nodes, tmp_path, command):
    run = Run(tmp_path / "runs" / "lost")
    on = ("--cluster", nodes.address, "--workers", "2")
    process = subprocess.Popen(
        words("train", "digits", *on, "--name", "lost", *STEADY, "fit.epochs=40"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: run.has(Run.state), process)
    nodes.tell("kill")
    _, said = process.communicate(timeout=200)
    nodes.tell("add")
    assert process.returncode == 1, said
    assert " of 2 (process " in said
    assert "on 127.0.0.1) was lost, and with it the run" in said
    assert f"`tenfold resume RUN --cluster {nodes.address} --workers 2` goes on" in said
    assert "Traceback" not in said
    assert 0 < run.state.epoch < 40
    assert command("resume", run.path, folder=tmp_path).status == 0
    assert [row["epoch"] for row in run.history] == list(range(1, 41))


@pytest.mark.slow
def test_what_the_workers_or_the_cluster_refuse_is_said_once(nodes, tmp_path):
    on = ("--cluster", nodes.address, "--workers")
    answer = tenfold("train", "digits", *on, "2", "fit.epoch=3", folder=tmp_path)
    assert (answer.status, answer.err.count("fit.epoch")) == (2, 1), answer.err
    assert "Traceback" not in answer.err
    answer = tenfold("train", "digits", *on, "3", folder=tmp_path)
    assert answer.status == 2
    assert f"--workers 3: the cluster {nodes.address} has 2 CPUs" in answer.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("nodes", "workers", "share"),
    [
        ([{"CPU": 4.0}, {"CPU": 4.0}], 2, {"CPU": 4}),
        ([{"CPU": 4.0}, {"CPU": 4.0}], 3, {"CPU": 2}),
        ([{"CPU": 3.0}, {"CPU": 8.0}, {}], 3, {"CPU": 3}),
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0}], 2, {"CPU": 8, "GPU": 1}),
    ],
)
def test_workers_share_what_the_nodes_have(nodes, workers, share):
    assert resources_each(Asked("auto", workers, ()), nodes) == share


@pytest.mark.parametrize(
    ("asked", "nodes", "message"),
    [
        (
            TWO,
            [{"CPU": 1.0}],
            "--workers 2: the cluster 10.0.0.1:6379 has 1 CPU, .*Use --workers 1, or add nodes",
        ),
        (TWO, [{"CPU": 8.0, "GPU": 1.0}], "has 1 GPU, .*Use --workers 1, or --device cpu, or add nodes"),
        (TWO, [{}], "its nodes offer no CPUs"),
    ],
)
def test_more_workers_than_there_is_room_for_are_refused(asked, nodes, message):
    with pytest.raises(InputError, match=message):
        resources_each(asked, nodes)


class Heard(list):
    """What a worker sends."""

    put = list.append


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folder": "/nowhere/shared"}, "does not see the folder /nowhere of this machine"),
        ({"version": "0.0.1"}, f"has tenfold {package.__version__}, and 0.0.1 gave the command"),
    ],
)
def test_a_node_that_is_not_like_the_others_says_so(change, message, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed (extra: cluster)")
    monkeypatch.setenv("RANK", "1")
    heard = Heard()
    task = {
        "words": ["runs"],
        "folder": str(tmp_path),
        "version": package.__version__,
        "queue": heard,
        **change,
    }
    with pytest.raises(TenfoldError, match="status 2"):
        work(task)
    said = "".join(what for kind, what in heard if kind == "err")
    assert message in said
    assert heard[-1] == ("ended", {1: 2})


def test_a_cluster_is_not_asked_by_one_of_several_processes(monkeypatch, command, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    answer = command("train", "digits", "--cluster", "auto", "--workers", "2", folder=tmp_path)
    assert answer.status == 2
    assert "several processes already" in answer.err
