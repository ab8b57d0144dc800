"""Writing: whole or not at all, with an error that names the path and the remedy."""

import errno
import json
import subprocess
import sys

import pytest

from tenfold.core.errors import TenfoldError
from tenfold.core.files import atomic, cache_folder, explained_write, write_json, write_text


def test_a_written_file_is_whole_and_alone(tmp_path):
    write_text(tmp_path / "a.txt", "größer\n")
    write_json(tmp_path / "a.json", {"n": [1, 0.1]})
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "größer\n"
    assert json.loads((tmp_path / "a.json").read_text()) == {"n": [1, 0.1]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.txt"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail_halfway() -> None:
        with atomic(path) as temporary:
            temporary.write_text("ne")
            assert path.read_text() == "old"
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_value_that_is_no_strict_json_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


# The limit on the size of a file makes the kernel refuse the write in the same way as a full disk does.
FULL = """
import resource, sys
from pathlib import Path
from tenfold.core.errors import TenfoldError
from tenfold.core.files import write_text
path = Path(sys.argv[1])
write_text(path, "old")
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_text(path, "new " * 10_000)
except TenfoldError as error:
    print(error.exit_status, error)
"""


def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(tmp_path):
    path = tmp_path / "a.txt"
    said = subprocess.run(
        [sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith(f"1 {path}: the disk is full (File too large). Free some space there")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_folder_that_is_a_file_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TenfoldError, match=r"cannot be written \(Not a directory\)\. Choose a folder"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_other_failures_keep_their_own_name(tmp_path):
    with pytest.raises(TimeoutError), explained_write(tmp_path):
        raise OSError(errno.ETIMEDOUT, "the disk does not answer")


def test_the_cache_lies_where_the_environment_says(cache, monkeypatch, tmp_path):
    assert cache_folder() == cache
    monkeypatch.delenv("TENFOLD_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tenfold"
