"""How a Ray cluster is joined, and what is said where it cannot be."""

import os
import sys

import pytest

from tenfold.core.cluster import connect, first_line, need_ray, prepare
from tenfold.core.errors import InputError


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"--cluster needs Ray .*pip install 'tenfold\[cluster\]'"):
        need_ray()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", r"the cluster cannot be reached \(.*refused.*`ray start --head`"),
        ("nowhere", "expected HOST:PORT"),
    ],
)
def test_a_cluster_that_does_not_answer_is_refused(address, message, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed (extra: cluster)")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    with pytest.raises(InputError, match=f"--cluster {address}: {message}"):
        connect(address)


def test_a_cluster_of_this_machine_alone_has_a_token_of_its_own(monkeypatch):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(name, "")  # so that what is set is taken back
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    prepare("10.0.0.1:6379")
    assert not any(name.startswith("RAY_AUTH") for name in os.environ)
    prepare("local")

    assert (os.environ["RAY_AUTH_MODE"], len(os.environ["RAY_AUTH_TOKEN"])) == ("token", 64)


def test_an_error_is_told_by_its_first_line_or_its_kind():
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"
