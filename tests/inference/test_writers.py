"""Answers as tables, CSV, JSON lines and Parquet; what does not fit is refused before anything is read."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tenfold.core.errors import InputError
from tenfold.inference.answers import Answers
from tenfold.inference.writers import choose_format, table_lines, writer

NAMES = ("cat", "dög", "a\nb")


def block(*paths: str) -> Answers:
    shares = np.tile(np.array([[0.7, 0.2, 0.1]], np.float32), (len(paths), 1))
    unsure = np.arange(len(paths)) % 2 == 1
    return Answers(paths, NAMES, np.log(shares), shares, shares, unsure, ~unsure)


@pytest.mark.parametrize(
    ("name", "out", "top", "chosen"),
    [
        (None, None, None, "table"),
        (None, "a.CSV", None, "csv"),
        (None, "a.ndjson", 2, "jsonl"),
        (None, "a.parquet", None, "parquet"),
        (None, "a.dat", 2, "table"),
        ("jsonl", "a.csv", None, "jsonl"),
    ],
)
def test_the_form_is_named_or_told_by_the_files_ending(name, out, top, chosen, tmp_path):
    assert choose_format(name, out and tmp_path / out, top) == chosen


@pytest.mark.parametrize(
    ("name", "out", "top", "words"),
    [
        ("jsno", None, None, r"--format jsno: there is no such format"),
        ("parquet", None, None, "nothing to print"),
        ("csv", None, 3, "--top 3: csv has a column for every class"),
        (None, ".", None, "is a folder"),
        (None, "gone/a.csv", None, "there is no folder"),
        (None, "/dev/null", None, "is no regular file"),
    ],
)
def test_what_does_not_fit_is_refused(name, out, top, words, tmp_path):
    with pytest.raises(InputError, match=words):
        choose_format(name, out and tmp_path / out, top)


def test_every_form_holds_every_block_once(tmp_path):
    paths = {}
    for form in ("csv", "jsonl", "parquet", "table"):
        path = tmp_path / f"a.{form}"
        with writer(form, path, None) as write:
            write.write(block("1.png", "2.png"))
            write.write(block("3.png"))
            assert not path.exists(), "it appears when it is whole"
        paths[form] = path
    assert paths["csv"].read_text(encoding="utf-8").count("path,") == 1
    assert [json.loads(line)["path"] for line in paths["jsonl"].read_text().splitlines()] == [
        f"{i}.png" for i in (1, 2, 3)
    ]
    table = pq.read_table(paths["parquet"])
    assert table["path"].to_pylist() == ["1.png", "2.png", "3.png"]
    assert table["unsure"].to_pylist() == [False, True, False]
    assert len(paths["table"].read_text(encoding="utf-8").splitlines()) == 3


def test_a_failure_leaves_no_file(tmp_path):
    def fail() -> None:
        with writer("parquet", tmp_path / "a.parquet", None) as write:
            write.write(block("1.png"))
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_for_programs_standard_output_is_utf8(capsysbinary):
    with writer("jsonl", None, 1) as write:
        write.write(block("größe.png"))
    assert json.loads(capsysbinary.readouterr().out.decode())["path"] == "größe.png"


def test_a_table_has_a_line_a_picture_and_what_to_know_of_it():
    lines = table_lines(block("a.png", "long\nname.png"), 3).splitlines()
    assert lines[0] == "a.png           cat 70.0%, dög 20.0%, a\\nb 10.0%  (unlike the training images)"
    assert lines[1].startswith("long\\nname.png  cat 70.0%")
    assert len(table_lines(block("x" * 99, "y"), 1).splitlines()[1].partition("  ")[0]) < 62
    assert table_lines(block(), 1) == ""
