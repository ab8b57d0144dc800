"""`--processes`: one run by several processes, and what becomes of it when one is lost."""

import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest
from small import STEADY, tenfold, wait_for, words

from tenfold.runs.folder import Run

pytestmark = pytest.mark.slow  # processes of their own, of which each loads PyTorch


@pytest.mark.usefixtures("undrawn")
def test_two_processes_make_one_run_that_says_everything_once(run_of_two, command, tmp_path):
    folder, answer = run_of_two
    run = Run(folder)
    assert answer.out.count("test accuracy") == 1
    assert answer.err == ""
    assert run.environment["processes"] == 2
    assert (run.path / "report.html").is_file()
    assert command("train", "digits", "--out", tmp_path, "--name", "one", *STEADY).status == 0
    one = Run(tmp_path / "one")
    assert len(run.history) == len(one.history) == 2
    for mine, theirs in zip(run.history, one.history, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-3)
        assert mine["learning_rate"] == theirs["learning_rate"]
    assert list(run.test_predictions.paths) == list(one.test_predictions.paths)


@pytest.mark.usefixtures("undrawn")
def test_a_run_of_processes_is_tested_again_alone_with_the_same_bits(run_of_two, command, tmp_path):
    run = Run(shutil.copytree(run_of_two[0], tmp_path / "two"))
    before = run.test_predictions.probabilities.copy()
    assert command("evaluate", run.path).status == 0
    assert (run.test_predictions.probabilities == before).all()


def test_what_the_first_process_refuses_is_said_once(tmp_path):
    answer = tenfold("train", "digits", "--processes", "2", "--out", tmp_path, "fit.epoch=3")
    assert answer.status == 2
    assert answer.err.count("fit.epoch") == 1
    assert "Traceback" not in answer.err


def started(out, name, launcher=(), options=(), **environment):
    """A run of two processes for 12 epochs, begun, and the process of its second rank."""
    run = Run(out / name)
    few_steps = ("fit.epochs=12", "fit.batch_size=256")
    command = [*launcher, "train", "digits", "--out", out, "--name", name, *options, *STEADY, *few_steps]
    process = subprocess.Popen(
        [str(word) for word in command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: run.has(Run.state), process)
    ranks = [child for child in psutil.Process(process.pid).children() if "tenfold" in child.cmdline()]
    return run, process, next(child for child in ranks if child.environ()["RANK"] == "1")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_ends_the_run_which_goes_on_alone(how, tmp_path, command):
    hangs = how == signal.SIGSTOP
    run, process, second = started(tmp_path, "lost", words(), ["--processes", "2"], TENFOLD_PATIENCE="3")
    second.send_signal(how)
    if hangs:  # PyTorch's launcher would wait half a minute before it kills what does not end
        wait_for(lambda: len(psutil.Process(process.pid).children()) == 1, process)
        second.kill()
    _, said = process.communicate(timeout=100)
    assert process.returncode == 1, said
    assert ("did not answer for 3 s" if hangs else "rank 1 of 2 ended by SIGKILL") in said
    assert "Traceback" not in said
    assert 0 < run.state.epoch < 12
    assert command("resume", run.path).status == 0
    assert [row["epoch"] for row in run.history] == list(range(1, 13))


def test_torchrun_starts_lost_processes_again_and_they_go_on_with_their_run(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run, process, second = started(tmp_path, "again", [*torchrun, "--max-restarts", "1", "-m", "tenfold"])
    done = run.state.epoch
    second.kill()
    out, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    assert [row["epoch"] for row in run.history] == list(range(1, 13))
    assert out.count("epoch  1/12") == 1
    assert done < 12
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == ["again"]
