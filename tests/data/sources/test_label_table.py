"""Tables of labels: every form reads to the same columns, and what a column holds is told or asked for."""

from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenfold.core.errors import InputError
from tenfold.data.sources.label_table import (
    find_columns,
    is_table,
    plain_value,
    read_columns,
    read_table,
    rows_of,
)
from tenfold.recipe import Data

COLUMNS = {"file": ["a.png", "b.png"], "label": ["cat", None]}


def parquet() -> bytes:
    file = BytesIO()
    pq.write_table(pa.table(COLUMNS), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("t.csv", b"file,label\na.png,cat\nb.png,\n"),
        ("t.csv", b"\xef\xbb\xbffile;label\r\n a.png; cat\r\n\r\nb.png;\r\n"),
        ("t.csv", "file,label\na.png,cat\nb.png,".encode("utf-16")),
        ("t.tsv", b"file\tlabel\na.png\tcat\nb.png\t\n"),
        ("t.jsonl", b'{"file": "a.png", "label": "cat"}\n\n{"file": "b.png"}\n'),
        ("t.ndjson", b'{"file": "a.png", "label": "cat"}\r\n{"label": null, "file": "b.png"}'),
        ("t.parquet", parquet()),
    ],
)
def test_every_form_of_a_table_reads_to_the_same_columns(name, contents):
    assert read_columns("place", name, contents) == COLUMNS


def test_a_list_has_a_path_and_a_label_in_each_line():
    for contents in (b"my cat.png  cat\nb.png dog\n", b"my cat.png\tcat\nb.png\tdog"):
        assert read_columns("l", "l.txt", contents) == {
            "path": ["my cat.png", "b.png"],
            "label": ["cat", "dog"],
        }
    with pytest.raises(InputError, match=r"line 2 \(alone\) is no path and a label"):
        read_columns("l", "l.lst", b"a.png cat\nalone")


def test_a_header_may_be_missing():
    found = read_columns("t", "t.csv", b"a.png,cat\nb.png,dog")
    assert found == {"column 1": ["a.png", "b.png"], "column 2": ["cat", "dog"]}


def test_lines_end_where_lines_end_and_not_within_names():
    line = '{"file": "a.png", "label": "one\u2028two"}\n'
    assert read_columns("t", "t.jsonl", (2 * line).encode())["label"] == ["one\u2028two"] * 2
    assert read_columns("t", "t.txt", "a\x85b.png x\n".encode())["path"] == ["a\x85b.png"]


def of_no_text() -> bytes:
    """A Parquet table with a text that is no UTF-8."""
    content = BytesIO()
    pq.write_table(pa.table({"path": pa.array([b"a.png", b"\xff\xfe"]).view(pa.string())}), content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("t.csv", b"a,b\n1\n", "line 2 has 1 values, but the first one 2"),
        ("t.csv", b'a,b\n"x,1\n', "cannot be read"),
        ("t.csv", b"a,a\n1,2\n", "several columns are called 'a'"),
        ("t.csv", b"\xff,b", "no UTF-8"),
        ("t.csv", b"", "it has no rows"),
        ("t.csv", b"file,label\n", "it has no rows"),
        ("t.jsonl", b"{", "line 1 is no JSON"),
        ("t.jsonl", b"[" * 100_000, "line 1 is no JSON"),
        ("t.jsonl", b"[1]", "line 1 is no JSON object"),
        ("t.parquet", b"PAR1", "cannot be read as Parquet"),
        ("t.parquet", of_no_text(), "cannot be read as Parquet .*invalid start byte"),
    ],
)
def test_damaged_tables_are_named(name, contents, words):
    with pytest.raises(InputError, match=f"the place: .*{words}"):
        read_columns("the place", name, contents)


def columns(*names: str, **values: list[str | None]):
    return {name: ["a", "b"] for name in names} | values


@pytest.mark.parametrize(
    ("found", "used"),
    [
        (columns("file_name", "label"), {"path": "file_name", "label": "label"}),
        (columns("Image ID", "Class Name"), {"path": "Image ID", "label": "Class Name"}),
        (columns("file", "breed"), {"path": "file", "label": "breed"}),
        (columns("breed", where=["a.png", "b.jpg"]), {"path": "where", "label": "breed"}),
        (
            columns("path", "label", "subset", "patient"),
            {"path": "path", "label": "label", "split": "subset", "group": "patient"},
        ),
        (columns("file", "a", "b"), {"path": "file"}),
    ],
)
def test_columns_are_told_by_their_names_or_by_what_they_hold(found, used):
    assert find_columns("t", found, Data()) == used


def test_what_the_user_says_comes_first():
    found = columns("file", "label", "breed", "split")
    used = find_columns("t", found, Data(label_column="breed", split_column=""))
    assert used == {"path": "file", "label": "breed"}
    assert find_columns("t", found, Data(group="breed"))["group"] == "breed"
    assert "group" not in find_columns("t", found, Data(group=r"(\d+)")), "a pattern is for the paths"
    assert "label" not in find_columns("t", columns("file", "breed"), Data(), named=True)


@pytest.mark.parametrize(
    ("found", "data", "words"),
    [
        (
            columns("a", "b"),
            Data(),
            "which column names the images' files is not clear; its columns are 'a', 'b'",
        ),
        (
            columns("file", "path", "label"),
            Data(),
            r"several columns could hold the path .*data\.path_column=file",
        ),
        (columns("file", "label"), Data(label_column="lable"), r"no such column \(did you mean 'label'\?\)"),
    ],
)
def test_columns_that_are_not_clear_are_asked_for(found, data, words):
    with pytest.raises(InputError, match=words):
        find_columns("t", found, data)


def test_rows_are_those_with_a_path():
    contents = b"file,label,split,group\na.png,cat,train,1\n,dog,test,2\nb.png,,,\n"
    table = read_table("t.csv", "x/t.csv", contents, Data())
    assert list(rows_of(table)) == [("a.png", "cat", "train", "1"), ("b.png", None, None, None)]
    assert table.said == "t.csv (column 'label', split 'split', group 'group')"
    with pytest.raises(
        InputError, match=r"which column holds the labels is not clear.*data\.label_column=NAME"
    ):
        read_table("t.csv", "t.csv", b"file,a,b\nx.png,1,2", Data())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"), (3.0, "3"), (0.5, "0.5"), (True, "True"), (" x ", "x"), ("  ", None), (None, None),
        (float("nan"), None), ([1], None), ({}, None), (b"x", None),
    ],
)  # fmt: skip
def test_values_become_texts(value, text):
    assert plain_value(value) == text


def test_a_table_is_told_by_its_ending():
    assert [is_table(name) for name in ("a.CSV", "b.lst", "c.parquet", "d.png", "csv")] == [True] * 3 + [
        False
    ] * 2
