"""Lists of labels beside pictures: found by their names, read line by line, and damage named by its line."""

import pytest

from tenfold.core.errors import InputError
from tenfold.data.sources.label_table import rows_of
from tenfold.data.sources.lists import fixed_reader, lines_of, numbered, root_of, table_of, values_of
from tenfold.data.sources.scanning import open_folder
from tenfold.recipe import Data


@pytest.fixture
def tree(tmp_path):
    """A tree of files by their contents."""

    def make(**files: str):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return open_folder(tmp_path)

    return make


@pytest.mark.parametrize(
    ("files", "root"),
    [
        ({"a.lst": "", "meta__b.lst": ""}, ""),
        ({"set__a.lst": "", "set__meta__b.lst": ""}, "set/"),
        ({"a.lst": ""}, None),
        ({"a.lst": "", "set__meta__b.lst": ""}, None),
        ({"one__a.lst": "", "one__meta__b.lst": "", "two__a.lst": "", "two__meta__b.lst": ""}, None),
    ],
)
def test_the_one_folder_that_has_all_lists_is_found(tree, files, root):
    assert root_of(tree(**files), ("a.lst", "meta/b.lst")) == root


def test_lines_are_those_that_say_something_and_know_where_they_stand(tree):
    found = list(lines_of(tree(**{"a.lst": "# head\n\n one two \nthree\n"}), "a.lst"))
    assert [line for _, line in found] == ["one two", "three"]
    assert found[0][0].endswith("a.lst: line 3 ( one two )")


def test_letters_that_only_python_takes_for_ends_of_lines_stay_in_names(tree):
    made = tree(**{"a.lst": "one\u2028two\nthree\x0cfour\r\nfive\u0085six\n"})
    assert [line for _, line in lines_of(made, "a.lst")] == ["one\u2028two", "three\x0cfour", "five\u0085six"]


def test_values_are_counted(tree):
    made = tree(**{"a.lst": "1 x\n2 y\n", "bad.lst": "1 x\n2\n", "twice.lst": "1 x\n1 y\n"})
    assert numbered(made, "a.lst") == {"1": "x", "2": "y"}
    with pytest.raises(InputError, match=r"bad\.lst: line 2 \(2\) has 1 values, expected 2"):
        list(values_of(made, "bad.lst", 2))
    with pytest.raises(InputError, match=r"twice\.lst: line 2 \(1 y\): 1 stands there twice"):
        numbered(made, "twice.lst")


def test_rows_are_a_table_of_labels_with_splits(tree):
    made = tree(**{"a.lst": ""})
    table = table_of(made, "a.lst", [("x.png", "cat", "train"), ("y.png", None, "test")])
    assert list(rows_of(table)) == [("x.png", "cat", "train", None), ("y.png", None, "test", None)]
    with pytest.raises(InputError, match=r"a\.lst: it names no picture"):
        table_of(made, "a.lst", [])


def test_a_reader_of_fixed_lists_reads_the_tables_of_their_folder(tree):
    made = tree(**{"set__a.lst": "x cat\n", "set__x.png": ""})

    def tables(tree, root):
        rows = [(values[0], values[1], "train") for _, values in values_of(tree, f"{root}a.lst", 2)]
        return [(root, table_of(tree, f"{root}a.lst", rows))]

    reader = fixed_reader("lists of a test", ("a.lst",), tables)
    names = reader.files(made)
    assert names == ["set/a.lst"]
    (part,) = reader.read(made, names, Data())
    assert (part.split, list(part.paths), list(part.classes)) == ("train", ["set/x.png"], ["cat"])
    assert reader.missing(made) is None


def test_a_tree_that_lacks_one_of_the_lists_is_told(tree):
    reader = fixed_reader("lists of a test", ("a.lst", "meta/b.lst"), lambda tree, root: [])
    assert reader.missing(tree(x="")) is None
    said = reader.missing(tree(**{"set__a.lst": ""}))
    assert said is not None
    assert said.startswith(
        "set/a.lst is there, but not set/meta/b.lst: lists of a test are read only where all"
    )
    assert reader.missing(tree(**{"set__meta__b.lst": ""})) is None
