"""A run that is killed or interrupted ends with the same bits as one that never was; real processes and signals."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small import DEMO, edit_json, wait_for, words

from tenfold.runs.checkpoint import read_state
from tenfold.runs.folder import load_run

pytestmark = pytest.mark.usefixtures("undrawn")


@contextmanager
def training(out: Path, epochs: int) -> Iterator[subprocess.Popen]:
    """A process that trains the same recipe, as soon as `epochs` of it are finished."""
    command = words("train", *DEMO, "--out", out, "--name", "run")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(lambda: finished_epochs(out / "run") >= epochs, process)
            yield process
        finally:
            process.kill()


def finished_epochs(run: Path) -> int:
    """How many epochs the history tells of."""
    history = run / "history.csv"
    return len(history.read_text().splitlines()) - 1 if history.is_file() else 0


def without_seconds(run: Path) -> list[dict]:
    return [{**record, "seconds": None} for record in load_run(run).history]


def assert_same(run: Path, expected: Path) -> None:
    """Equal bits everywhere, times apart."""
    for name in ("model.safetensors", "checkpoint/state.safetensors"):
        tensors, others = load_file(run / name), load_file(expected / name)
        assert tensors.keys() == others.keys()
        assert [key for key in tensors if not torch.equal(tensors[key], others[key])] == []
    assert without_seconds(run) == without_seconds(expected)
    state, other = read_state(run), read_state(expected)
    state.history = other.history = []
    assert state == other
    for name in ("recipe.toml", "data.json", "model.json"):
        assert (run / name).read_bytes() == (expected / name).read_bytes()
    for name in ("test", "validation"):
        assert load_run(run).metrics[name] == load_run(expected).metrics[name]
        assert (
            load_run(run).predictions(name).predicted.tolist()
            == load_run(expected).predictions(name).predicted.tolist()
        )


def leftovers(run: Path) -> list[str]:
    """Temporary files in a run folder."""
    return [path.name for path in run.rglob("*") if path.suffix == ".tmp"]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(demo, tmp_path, command):
    with training(tmp_path, epochs=3) as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    run = tmp_path / "run"
    assert 3 <= finished_epochs(run) < 8
    assert not (run / "metrics.json").exists()
    answer = command("resume", run)
    assert answer.status == 0, answer.err
    assert f"report         {run / 'report.html'}" in answer.out
    assert_same(run, demo)


KILLED = """
import os, signal, sys
from pathlib import Path
from tenfold.core.files import atomic
for name in sys.argv[1:]:
    if os.fork() == 0:
        with atomic(Path(name)) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
"""


def test_what_a_kill_left_half_written_is_removed_when_the_run_goes_on(demo, tmp_path, command):
    run = shutil.copytree(demo, tmp_path / "run")
    halves = [run / "history.csv", run / "checkpoint" / "state.safetensors", run / "figures" / "curves.png"]
    subprocess.run([sys.executable, "-c", KILLED, *halves], check=True)
    assert len(leftovers(run)) == 3
    assert command("resume", run).status == 0
    assert leftovers(run) == []
    assert_same(run, demo)


def test_a_run_without_a_finished_epoch_begins_anew(demo, tmp_path, command):
    run = tmp_path / "run"
    run.mkdir()
    # The model is written before the checkpoint: a kill may have come between the two.
    for name in ("recipe.toml", "data.json", "environment.json", "model.json", "model.safetensors"):
        shutil.copy(demo / name, run)
    answer = command("resume", run)
    assert answer.status == 0, answer.err
    assert_same(run, demo)


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_a_run_in_use_is_refused(demo, tmp_path, command):
    run = tmp_path / "run"
    with training(tmp_path, epochs=2) as process:
        process.send_signal(signal.SIGSTOP)
        for arguments in (
            ("resume", run),
            ("train", *DEMO, "--out", tmp_path, "--name", "run", "--overwrite"),
        ):
            answer = command(*arguments)
            assert answer.status == 1
            assert (
                f"{run}: another process is working on this run. Wait for it, or end it first." in answer.err
            )
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=400)
        assert process.returncode == 130
    assert f"stopped. `tenfold resume {run}` goes on where it stopped." in out
    assert "Traceback" not in err
    assert leftovers(run) == []
    assert 2 <= finished_epochs(run) < 8
    answer = command("resume", run)
    assert answer.status == 0, answer.err
    assert f"epoch {finished_epochs(run)}/8" in answer.out
    assert_same(run, demo)


def test_a_finished_run_is_evaluated_again_to_the_same_results(finished, tmp_path, command):
    run = shutil.copytree(finished[0], tmp_path / "run")
    (run / "metrics.json").unlink()
    assert command("resume", run).status == 0
    assert_same(run, finished[0])


def test_data_that_changed_since_are_refused(finished, tmp_path, command):
    folder, _ = finished
    run = tmp_path / "changed"
    shutil.copytree(folder, run)
    edit_json(run / "data.json", lambda data: data.update(fingerprint="0" * 32))
    answer = command("resume", run)
    assert answer.status == 2
    assert "its data have changed since it began" in answer.err
    assert "Restore them, or train a new run." in answer.err


def test_a_damaged_checkpoint_is_named_and_nothing_else_is_touched(finished, tmp_path, command):
    folder, _ = finished
    run = tmp_path / "damaged"
    shutil.copytree(folder, run)
    checkpoint = run / "checkpoint" / "state.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    (run / "checkpoint" / "state-before.safetensors").unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    answer = command("resume", run)
    assert answer.status == 2
    assert f"{checkpoint}: is damaged" in answer.err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("damage", ["gone", "cut short", "a changed byte"])
def test_the_checkpoint_before_takes_the_place_of_a_damaged_one(damage, demo, tmp_path, command):
    run = shutil.copytree(demo, tmp_path / "run")
    checkpoint = run / "checkpoint" / "state.safetensors"
    content = checkpoint.read_bytes()
    checkpoint.unlink()
    if damage != "gone":
        checkpoint.write_bytes(
            content[:1000] if damage == "cut short" else content[:-5] + b"\0" + content[-4:]
        )
    answer = command("resume", run)
    assert answer.status == 0, answer.err
    assert f"{checkpoint}: " in answer.out
    assert "Going on from the checkpoint before it, of epoch 7." in answer.out
    assert_same(run, demo)
