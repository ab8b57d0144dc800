"""Importing without the garbage collector: it works again afterwards, whatever the import came to."""

import gc
import sys

import pytest

from tenfold.core.loading import loading


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)


def test_the_collector_rests_while_modules_load_and_no_longer(without_torch):
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), loading():
        import tenfold.nonsense  # noqa: F401  # pyright: ignore[reportMissingImports]
    assert gc.isenabled()


def test_what_is_loaded_already_changes_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", sys)
    with loading():
        assert gc.isenabled()


def test_a_collector_that_the_user_stopped_stays_so(without_torch):
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
