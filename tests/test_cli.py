"""The program: its version and help, and how it ends where output fails."""

import subprocess
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


@pytest.mark.slow
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


@pytest.mark.slow
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
