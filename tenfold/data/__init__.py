"""From a source of labelled images to three splits of equal-sized uint8 images.

The names below load what they need on first use: the processes that decode pictures need next to nothing of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenfold.data.loading import load_splits as load_splits
    from tenfold.data.loading import load_test_split as load_test_split
    from tenfold.data.loading import typical_size as typical_size
    from tenfold.data.pack import CacheEntry as CacheEntry
    from tenfold.data.pack import cache_entries as cache_entries
    from tenfold.data.pack import remove_cache_entries as remove_cache_entries
    from tenfold.data.sources import NAMED_SOURCES as NAMED_SOURCES
    from tenfold.data.splits import BadFile as BadFile
    from tenfold.data.splits import Source as Source
    from tenfold.data.splits import Split as Split
    from tenfold.data.splits import Splits as Splits

_HOME = {
    "BadFile": "splits",
    "CacheEntry": "pack",
    "NAMED_SOURCES": "sources",
    "Source": "splits",
    "Split": "splits",
    "Splits": "splits",
    "cache_entries": "pack",
    "load_splits": "loading",
    "load_test_split": "loading",
    "remove_cache_entries": "pack",
    "typical_size": "loading",
}

__all__ = [
    "NAMED_SOURCES",
    "BadFile",
    "CacheEntry",
    "Source",
    "Split",
    "Splits",
    "cache_entries",
    "load_splits",
    "load_test_split",
    "remove_cache_entries",
    "typical_size",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tenfold.data' has no attribute {name!r}")
    return getattr(import_module(f"tenfold.data.{_HOME[name]}"), name)
