"""tenfold: a folder of labelled images in; a trained, tested and explained classifier out.

    import tenfold

    run = tenfold.train("model-s-baseline", data="photos")
    run.metrics["test"]["accuracy"]

The names below load what they need on first use, so that `import tenfold` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenfold.comparison import compare as compare
    from tenfold.data import Source as Source
    from tenfold.errors import InputError as InputError
    from tenfold.errors import TenfoldError as TenfoldError
    from tenfold.leaderboard import list_runs as list_runs
    from tenfold.recipe import Recipe as Recipe
    from tenfold.recipe import load_recipe as load_recipe
    from tenfold.reporting import renew_report as renew_report
    from tenfold.run import Run as Run
    from tenfold.run import load_run as load_run
    from tenfold.sweeps.conduct import sweep as sweep
    from tenfold.workbench import evaluate as evaluate
    from tenfold.workbench import load_splits as load_splits
    from tenfold.workbench import resume as resume
    from tenfold.workbench import train as train

_HOME = {
    "InputError": "errors",
    "TenfoldError": "errors",
    "Recipe": "recipe",
    "Run": "run",
    "Source": "data",
    "compare": "comparison",
    "evaluate": "workbench",
    "list_runs": "leaderboard",
    "load_recipe": "recipe",
    "load_run": "run",
    "load_splits": "workbench",
    "renew_report": "reporting",
    "resume": "workbench",
    "sweep": "sweeps.conduct",
    "train": "workbench",
}

__all__ = [
    "InputError",
    "Recipe",
    "Run",
    "Source",
    "TenfoldError",
    "compare",
    "evaluate",
    "list_runs",
    "load_recipe",
    "load_run",
    "load_splits",
    "renew_report",
    "resume",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("tenfold")
    if name not in _HOME:
        raise AttributeError(f"module 'tenfold' has no attribute {name!r}")
    return getattr(import_module(f"tenfold.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
