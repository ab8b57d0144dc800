"""Names from elsewhere as text: safe to print, sorted as people do, and shown in any encoding."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.core.text import class_name, cut, listed, natural, plural, printable, read_toml, showable

ANY = st.text(st.characters(exclude_categories=()), max_size=12)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("größe 日本", "größe 日本"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("two\nlines", "two\\nlines"),
        ("a\u2028b", "a\\u2028b"),
        ("abc\u202egnp.exe", "abc\\u202egnp.exe"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("half\ud800", "half\\ud800"),
        ("a\u00a0b", "a\u00a0b"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped_and_letters_stay(name, shown):
    assert printable(name) == shown


@settings(max_examples=30)
@given(ANY)
def test_any_name_becomes_text_that_every_file_holds(name):
    shown = printable(name)
    shown.encode("utf-8")
    assert printable(shown) == shown
    assert not [letter for letter in shown if ord(letter) < 32]


def test_what_is_to_be_kept_is_kept():
    assert printable("a\n\tb\x1b", keep="\n") == "a\n\\tb\\x1b"


def test_numbers_in_names_sort_by_their_value_however_long_they_are():
    names = ["c10", "c2", "c02", "b", "10", "9", "c" + "9" * 5000, "c2a"]
    assert sorted(names, key=natural) == ["9", "10", "b", "c02", "c2", "c2a", "c10", "c" + "9" * 5000]


@settings(max_examples=30)
@given(st.lists(ANY, max_size=6))
def test_any_names_can_be_sorted_and_in_one_way_only(names):
    assert sorted(names, key=natural) == sorted(reversed(names), key=natural)


@settings(max_examples=30)
@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_whole_numbers_sort_as_numbers(one, other):
    assert (natural(str(one)) < natural(str(other))) == (one < other)


def test_a_class_has_one_spelling():
    assert class_name(" cafe\u0301 ") == "caf\u00e9"
    assert class_name("  ") == "  "


def test_counts_and_lists_are_said():
    assert [plural(count, "file") for count in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]
    assert [plural(count, "class") for count in (1, 2)] == ["1 class", "2 classes"]
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed([str(number) for number in range(10)], 2) == "'0', '1' and 8 more"
    assert cut("short") == "short"
    assert cut("x" * 1234, 3) == "xxx... (1,234 characters)"


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("±1 …", "ascii", "+/-1 ..."),
        ("größe", "ascii", "gr\\xf6\\xdfe"),
        ("größe", "latin-1", "größe"),
        ("größe", "utf-8", "größe"),
        (os.fsdecode(b"\xff"), "utf-8", "\\xff"),
    ],
)
def test_what_an_encoding_lacks_is_said_in_letters_that_it_has(text, encoding, shown):
    assert showable(text, encoding) == shown


def test_toml_beyond_all_measure_is_an_error_of_values():
    assert read_toml("a = 1") == {"a": 1}
    for text in ("a =", "a = " + "[" * 5000):
        with pytest.raises(ValueError, match=r"\S"):
            read_toml(text)
