"""A new run's folder is whole or not there, whenever its process is killed; nothing that is no run is replaced."""

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tenfold.core.errors import InputError, TenfoldError
from tenfold.data import Splits
from tenfold.recipe import load_recipe
from tenfold.runs.create import create_run
from tenfold.runs.folder import Run, find_runs, load_run

Begin = Callable[[Run], None]


@pytest.fixture
def begin(digits: Splits) -> Begin:
    return lambda run: run.begin(load_recipe("digits"), digits, {"python": "3"})


@pytest.fixture
def copied(finished, tmp_path) -> Run:
    """A finished run that a test may change."""
    folder, _ = finished
    return load_run(shutil.copytree(folder, tmp_path / "copied"))


def names(folder: Path) -> list[str]:
    """What lies in a folder, hidden things too."""
    return sorted(path.name for path in folder.iterdir())


def assert_begun(run: Run) -> None:
    """All that is known before the first epoch is there, and nothing else."""
    assert {path.name for path in run.path.iterdir()} == {"recipe.toml", "data.json", "environment.json"}
    assert (run.recipe, run.environment) == (load_recipe("digits").unmeasured(), {"python": "3"})
    assert len(run.data["class_names"]) == 10


def test_runs_without_a_name_are_numbered(tmp_path, begin):
    runs = [create_run(tmp_path / "new", None, "digits", begin) for _ in range(3)]
    assert [run.name for run in runs] == ["digits-1", "digits-2", "digits-3"]
    for run in runs:
        assert_begun(run)
    assert names(tmp_path / "new") == ["digits-1", "digits-2", "digits-3"]


def test_an_existing_run_is_overwritten_only_when_asked(copied, begin):
    out, name = copied.path.parent, copied.name
    with pytest.raises(InputError, match=r"exists already\. Choose another --name, or give --overwrite"):
        create_run(out, name, "digits", begin)
    assert (copied.path / "metrics.json").is_file()
    assert_begun(create_run(out, name, "digits", begin, overwrite=True))
    assert names(out) == [name]


def test_a_run_that_is_worked_on_is_not_overwritten(copied, begin):
    with copied.lock(), pytest.raises(TenfoldError, match="another process is working on this run"):
        create_run(copied.path.parent, copied.name, "digits", begin, overwrite=True)
    assert copied.metrics
    assert names(copied.path.parent) == [copied.name]


@pytest.mark.parametrize("content", ["chapter.txt", "figures/one.png", "model.json"])
def test_a_folder_that_is_no_run_is_never_overwritten(content, tmp_path, begin):
    file = tmp_path / "thesis" / content
    file.parent.mkdir(parents=True)
    file.write_text("years of work")
    with pytest.raises(InputError, match="is not a run folder, so it is not overwritten"):
        create_run(tmp_path, "thesis", "digits", begin, overwrite=True)
    assert file.read_text() == "years of work"
    assert names(tmp_path) == ["thesis"]


def test_a_run_that_lost_its_recipe_is_overwritten_unless_something_else_lies_in_it(copied, begin):
    copied.path_of(Run.recipe).unlink()
    notes = copied.path / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(InputError, match="is not a run folder"):
        create_run(copied.path.parent, copied.name, "digits", begin, overwrite=True)
    assert notes.is_file()
    notes.unlink()
    assert_begun(create_run(copied.path.parent, copied.name, "digits", begin, overwrite=True))


@pytest.mark.parametrize("left", [(), (".recipe.toml.123.tmp",)])
def test_what_a_kill_of_version_0_1_left_is_overwritten(left, tmp_path, begin):
    (tmp_path / "run").mkdir()
    for name in left:
        (tmp_path / "run" / name).touch()
    assert_begun(create_run(tmp_path, "run", "digits", begin, overwrite=True))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/a"])
def test_a_name_is_one_plain_folder_name(name, copied, begin):
    with pytest.raises(InputError, match="expected a plain folder name; use --out"):
        create_run(copied.path / "runs", name, "digits", begin, overwrite=True)


def test_what_fails_while_it_begins_leaves_nothing(tmp_path):
    def failing(run: Run) -> None:
        Run.recipe.write(run, load_recipe("digits"))
        raise TenfoldError("the disk is full")

    with pytest.raises(TenfoldError, match="the disk is full"):
        create_run(tmp_path, None, "digits", failing)
    assert names(tmp_path) == []


def kill_at(position: int, out: Path, work: Callable[[], object]) -> bool:
    """Do `work` in a child that is killed at its `position`-th change below `out`; whether it was."""
    child = os.fork()
    if child == 0:
        changes = 0

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal changes
            if event in {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}:
                changes += str(arguments[0]).startswith(str(out))
                if changes > position:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, -signal.SIGKILL}
    return status != 0


@pytest.mark.slow
@pytest.mark.parametrize("replaced", [False, True])
def test_a_kill_at_any_write_leaves_a_whole_run_or_none(replaced, tmp_path, begin, finished):
    position, killed = 0, True
    while killed:
        out = tmp_path / str(position)
        if replaced:
            shutil.copytree(finished[0], out / "run")

        def create(out: Path = out) -> Run:
            return create_run(out, "run", "digits", begin, overwrite=True)

        killed = kill_at(position, out, create)
        for run in find_runs(out) if out.exists() else ():
            assert run.name == "run"
            assert run.recipe.model.name
            assert run.data["class_names"]
            assert run.environment["python"]
        assert_begun(create())
        shutil.rmtree(out)
        position += 1
    assert position > 10


def test_what_a_kill_left_is_removed_by_a_later_run(tmp_path, begin):
    old, new = tmp_path / ".digits.12.tmp", tmp_path / ".digits.13.tmp"
    for path in (old, new):
        path.mkdir()
        (path / "recipe.toml").touch()
    held = os.open(new, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    create_run(tmp_path, None, "digits", begin)
    assert names(tmp_path) == [".digits.13.tmp", "digits-1"]
    assert [run.name for run in find_runs(tmp_path)] == ["digits-1"]
    os.close(held)
    create_run(tmp_path, None, "digits", begin)
    assert names(tmp_path) == ["digits-1", "digits-2"]
