"""Writing: whole or not at all, with an error that names the path and the remedy."""

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys

import pytest

from tenfold.core.errors import TenfoldError
from tenfold.core.files import (
    atomic,
    cache_folder,
    check_room,
    explained_write,
    put_folder,
    remove_folder,
    whole_folder,
    write_json,
    write_text,
)


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


def test_a_killed_writers_file_is_removed_by_the_next_one_and_a_living_ones_is_not(tmp_path):
    path, left = tmp_path / "a.txt", tmp_path / ".a.txt.4194400.tmp"
    left.write_text("half of i")
    with left.open() as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        write_text(path, "one")
        assert {entry.name for entry in tmp_path.iterdir()} == {"a.txt", left.name}
    write_text(tmp_path / "b.txt", "another")
    assert left.exists()
    write_text(path, "two")
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.txt", "b.txt"}


def test_a_folder_appears_whole_in_the_place_of_an_older_one(tmp_path):
    (tmp_path / ".out.4194400.tmp" / "half").mkdir(parents=True)
    for content in ("one", "two"):
        with whole_folder(tmp_path / "out") as folder:
            (folder / content).touch()
            put_folder(folder, tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert [path.name for path in (tmp_path / "out").iterdir()] == [content]
    with pytest.raises(RuntimeError, match="halfway"), whole_folder(tmp_path / "out") as folder:
        raise RuntimeError("halfway")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "two"]
    remove_folder(tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_follow_the_umask(umask, tmp_path):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "x")
        with whole_folder(tmp_path / "out") as folder:
            put_folder(folder, tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o777 & ~umask


def test_what_cannot_fit_is_refused_before_it_is_begun(tmp_path):
    check_room(tmp_path / "pixels.npy", 1000)
    with pytest.raises(TenfoldError, match=r"pixels\.npy: the disk is full: 1,099,511,627,776\.0 MiB are"):
        check_room(tmp_path / "pixels.npy", 2**60)


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
