"""Features of frozen backbones, cached for one test."""

from pathlib import Path

import pytest


@pytest.fixture
def own_cache(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and small blocks of features."""
    from tenfold.training import feature_cache

    monkeypatch.setattr(feature_cache, "BLOCK", 16)
    return own_cache
