"""What is printed, in files, narrow terminals, old encodings and pipes: real processes and real terminals."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from contextlib import suppress
from pathlib import Path

import pytest
from small import SMALL, draw_pictures, words

# Letters that Latin-1 and the old code pages lack, and a byte that is no UTF-8 in the source's own name.
CLASSES = ("naïve ±…", "猫", "dog")
SOURCE = os.fsdecode(b"pictures\xff")


def run(folder: Path, *arguments: str | Path, **environment: str) -> tuple[int, bytes, bytes]:
    """`tenfold ARGUMENTS` writing to pipes: exit status, standard output and standard error."""
    set_to = {**os.environ, "FORCE_COLOR": "1", **environment}
    done = subprocess.run(words(*arguments), cwd=folder, env=set_to, capture_output=True, timeout=400)
    return done.returncode, done.stdout, done.stderr


def seen(folder: Path, columns: int, *arguments: str | Path, **environment: str) -> str:
    """What `tenfold ARGUMENTS` writes to a terminal of so many columns."""
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    set_to = {**os.environ, "TERM": "xterm-256color", **environment}
    for name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR"):
        set_to.pop(name, None)
    process = subprocess.Popen(
        words(*arguments), cwd=folder, env=set_to | environment, stdout=inner, stderr=inner, stdin=inner
    )
    os.close(inner)
    text = b""
    with suppress(OSError):  # Linux ends a terminal with EIO.
        while block := os.read(outer, 65536):
            text += block
    os.close(outer)
    assert process.wait(timeout=400) == 0, text
    return text.decode()


@pytest.fixture(scope="module")
def trained(tmp_path_factory, command) -> Path:
    """A folder with two runs of pictures whose names no old encoding can show, trained with ASCII output."""
    folder = tmp_path_factory.mktemp("names")
    draw_pictures(folder / SOURCE, CLASSES, 8)
    named = ("first-of-all-the-runs-with-a-long-name", "second")
    first, second = (
        ("train", "digits", *SMALL, "--data", SOURCE, "--name", name, "--seed", str(seed))
        for seed, name in enumerate(named)
    )
    status, out, err = run(folder, *first, PYTHONIOENCODING="ascii")
    assert (status, err) == (0, b""), err
    assert b"\x1b" not in out, "FORCE_COLOR puts no cursor codes into a file"
    assert rb"na\xefve +/-..." in out
    answer = command(*second, folder=folder, encoding="ascii")
    assert (answer.status, answer.err) == (0, "")
    assert r"na\xefve +/-..." in answer.out
    assert all((folder / "runs" / name / "report.html").stat().st_size > 10_000 for name in named)
    return folder


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp850", "latin-1", "cp932"])
def test_what_an_encoding_lacks_is_replaced(trained, encoding, command, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    answer = command("runs", folder=trained, encoding=encoding)
    assert (answer.status, answer.err) == (0, "")
    assert "second" in answer.out
    assert r"pictures\xff" in answer.out


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("recipes",),
        ("cache",),
        ("inspect", SOURCE),
        ("compare", "runs/second", "runs/first-of-all-the-runs-with-a-long-name"),
        ("predict", "runs/second", f"{SOURCE}/猫/00.png"),
        ("show", "digits"),
    ],
)
def test_every_verb_prints_into_ascii_without_colours(trained, arguments, command, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    answer = command(*arguments, folder=trained, encoding="ascii")
    assert answer.status == 0 or arguments[0] == "inspect", answer.err
    assert "Traceback" not in answer.err
    assert answer.out
    assert "\x1b" not in answer.out + answer.err
    assert (answer.out + answer.err).isascii()


@pytest.mark.slow
def test_an_error_names_what_cannot_be_shown(trained):
    status, out, err = run(trained, "train", "--data", "猫", PYTHONIOENCODING="ascii")
    assert (status, out) == (2, b"")
    assert rb"tenfold: \u732b: " in err


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_leaderboard_fits_the_terminal(trained, columns):
    text = seen(trained, columns, "runs", TERM="dumb")
    assert "\x1b" not in text
    lines = text.splitlines()
    assert max(map(len, lines[:-1])) <= columns
    assert "%" in text, "the accuracy is there however narrow it is"
    assert ("left out for want of width" in text) == (columns < 200)
    assert "…" not in text


@pytest.mark.slow
def test_no_color_takes_the_colours_and_a_file_has_whole_lines(trained, command):
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", seen(trained, 100, "show", "digits"))
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", seen(trained, 100, "show", "digits", NO_COLOR="1"))
    line = command("runs", folder=trained).out.splitlines()[1]
    assert line.count("model-s-deep") == 1


def test_a_reader_who_goes_away_ends_it_quietly(trained):
    reads, writes = os.pipe()
    os.close(reads)
    process = subprocess.Popen(words("recipes"), cwd=trained, stdout=writes, stderr=subprocess.PIPE)
    os.close(writes)
    assert process.communicate(timeout=400) == (None, b"")
    assert process.returncode == 1
