"""Names of repositories on the hub, told without asking it."""

import pytest

from tenfold.core.errors import InputError
from tenfold.core.hub import check_repository, first_line, is_hub_name


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("hf:me/mine", True), ("hf:", True), ("me/mine", False), ("HF:me/mine", False), (3, False)],
)
def test_a_name_of_the_hub_has_its_prefix(name, is_one):
    assert is_hub_name(name) is is_one


def test_names_that_the_hub_would_refuse_are_refused_here():
    check_repository("me/mine-2.1")
    for name in ("me/mine/more", "a b", "-x", ""):
        with pytest.raises(InputError, match=r"is no name of a repository .* Expected OWNER/NAME"):
            check_repository(name)


def test_an_error_is_said_in_a_line():
    assert first_line(ValueError("\n one\ntwo")) == "ValueError: one"
    assert first_line(TimeoutError()) == "TimeoutError: "
