"""Quick imports of much: PyTorch, and what stands on it."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import, in this block, without looking for garbage, and never look through what was imported again.

    An import makes millions of objects that stay. The collector, which runs after so many new ones, goes through all
    of them again and again, for a fifth of the time that importing PyTorch takes.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
