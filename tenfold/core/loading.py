"""Quick imports of much: PyTorch, and what stands on it."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tenfold.core.machine import keep_to_container


@contextmanager
def loading() -> Iterator[None]:
    """Import, in this block, without looking for garbage, and never look through what was imported again.

    After it a container's limit of memory is held to.

    An import makes millions of objects that stay. The collector, which runs after so many new ones, goes through all
    of them again and again, for a fifth of the time that importing PyTorch takes.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        keep_to_container()
        return
    gc.disable()
    try:
        yield
        gc.freeze()
        keep_to_container()
    finally:
        gc.enable()
