"""The program: its version and help, and how it ends where output or memory fails."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from small import Answer, draw_pictures, tenfold, words


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help"), ("resume", "--help")])
def test_help_ends_with_status_0(command, arguments):
    answer = command(*arguments)
    assert answer.status == 0
    assert "Usage: tenfold" in answer.out


@pytest.mark.parametrize(
    "arguments", [("trian",), ("train", "--sed", "3"), ("train", "--seed", "x"), ("resume",)]
)
def test_a_wrong_call_ends_with_status_2(command, arguments):
    answer = command(*arguments)
    assert answer.status == 2
    assert "Usage: tenfold" in answer.err


def test_an_error_in_a_process_of_its_own(tmp_path):
    answer = tenfold("train", "--data", "none", folder=tmp_path)
    assert answer == Answer(2, "", answer.err)
    assert answer.err.startswith("tenfold: none: there is no such folder")
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_said_as_the_package_has_it(command):
    answer = command("--version")
    assert (answer.status, answer.out) == (0, f"tenfold {version('tenfold')}\n")


def test_letters_that_the_terminal_lacks_are_escaped(tmp_path, command):
    draw_pictures(tmp_path / "pictures", ("a\u2215b", "d\u00f6g"), 8)
    answer = command("inspect", "pictures", folder=tmp_path, encoding="ascii")
    assert answer.status == 0
    assert "a\\u2215b" in answer.out
    assert "d\\xf6g" in answer.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize(
    "arguments", [("recipes",), ("--version",), ("--help",), ("inspect", "digits", "--json")]
)
def test_output_that_cannot_be_written_is_said(arguments, tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            words(*arguments), cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=200
        )
    assert done.returncode == 1
    assert done.stderr == "tenfold: the output cannot be written: No space left on device.\n"


LIMITED = """
import resource, sys
import tenfold.workbench.verbs
from tenfold.cli import main
resource.setrlimit(resource.RLIMIT_DATA, (2 * 2**30, resource.RLIM_INFINITY))
sys.argv = ["tenfold", "train", "digits", "model.dense=40000000", "fit.epochs=1", "--out", sys.argv[1]]
main()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the limit of the Linux kernel")
def test_used_up_memory_is_told_with_what_to_lower(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert done.stderr.startswith("tenfold: the memory is used up (")
    assert "Halve fit.batch_size or data.image_size" in done.stderr
    assert "Traceback" not in done.stderr
