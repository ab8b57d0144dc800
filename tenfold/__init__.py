"""tenfold: a folder of labelled images in; a trained, tested and explained classifier out.

    import tenfold

    run = tenfold.train("model-s-baseline", data="photos")
    run.metrics["test"]["accuracy"]

The names of `__init__.pyi` are the public face. Each loads what it needs on first use, so `import tenfold` is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.2.0"
