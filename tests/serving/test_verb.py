"""`serve` in Python: a server that waits for its start, or the words that say what is missing."""

import sys

import pytest

import tenfold
from tenfold.core.errors import InputError
from tenfold.serving.verb import serve


def test_without_start_the_port_is_open_and_nothing_is_answered(exported, tmp_path):
    server = serve(exported, port=0, corrections=tmp_path, start=False)
    try:
        assert server.url.startswith("http://127.0.0.1:")
    finally:
        server.close()


def test_without_the_extra_it_says_what_to_install(exported, monkeypatch):
    monkeypatch.delitem(sys.modules, "tenfold.serving.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(InputError, match=r"pip install 'tenfold\[serve\]'"):
        tenfold.serve(exported, port=0)
