"""Names and lists in sentences."""

from hypothesis import given
from hypothesis import strategies as st

from tenfold.findings.base import called, listed, short


@given(st.text(max_size=60))
def test_short_names_are_one_short_line(name):
    assert 0 < len(short(name)) <= 18
    assert "\n" not in short(name)


def test_names_that_are_numbers_are_called_classes():
    assert called("7") == "class 7"
    assert called("cat") == "cat"


def test_listed():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
