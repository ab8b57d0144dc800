"""Why a request is refused, and when to come again."""

import pytest

from tenfold.core.text import plural
from tenfold.serving.refusals import Refused, busy


@pytest.mark.parametrize(("seconds", "wait"), [(0, 1), (0.6, 1), (1.2, 2), (10, 10)])
def test_a_busy_server_says_when_to_come_again(seconds, wait):
    refused = busy(seconds)
    assert (refused.status, refused.headers) == (503, {"Retry-After": str(wait)})
    assert f"in {plural(wait, 'second')}" in refused.reason == str(refused)


def test_a_refusal_has_headers_of_its_own():
    headers = {"a": "b"}
    refused = Refused(404, "Nothing.", headers)
    headers["a"] = "c"
    assert refused.headers == {"a": "b"}
    assert Refused(400, "x").headers == {}
