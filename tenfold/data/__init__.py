"""From a source of labelled images to three splits of equal-sized uint8 images.

The names of `__init__.pyi` load on first use: the processes that decode pictures need next to nothing of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
