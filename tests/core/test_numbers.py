import pytest

from tenfold.core.numbers import percent, readable


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (5894 / 5895, "99.98%"),
        (1 / 5895, "0.02%"),
        (1.0, "100.0%"),
        (0.0, "0.0%"),
        (1 - 1e-9, "above 99.9999%"),
        (1e-9, "below 0.0001%"),
        (0.9712, "97.1%"),
        (None, "–"),
    ],
)
def test_only_all_is_a_hundred_percent(share, shown):
    assert percent(share) == shown


def test_a_findings_numbers_read_as_what_they_are():
    numbers = {
        "rule": "validation_and_test",
        "difference": -0.05,
        "p_value": 0.04321,
        "ci95": [0.5, 0.75],
        "n": 40,
    }
    assert readable(numbers) == {
        "rule": "validation and test",
        "difference": "-5.00 points",
        "p-value": "0.04321",
        "95% interval": "50.00% to 75.00%",
        "images": "40",
    }
    assert readable({"recall": {"a cat": 0.5}}) == {"recall": "a cat: 50.00%"}
