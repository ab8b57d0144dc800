# The public face, written once: type checkers read this file, and `__init__.py` loads each name on first use.
from .comparison import compare as compare
from .core.errors import InputError as InputError
from .core.errors import TenfoldError as TenfoldError
from .data import Source as Source
from .inference.export import export as export
from .inference.export import push as push
from .inference.predict import predict as predict
from .recipe import Recipe as Recipe
from .recipe import load_recipe as load_recipe
from .runs.folder import Run as Run
from .runs.folder import load_run as load_run
from .runs.leaderboard import list_runs as list_runs
from .serving.verb import serve as serve
from .sweeps.conduct import sweep as sweep
from .workbench.relabel import relabel as relabel
from .workbench.verbs import evaluate as evaluate
from .workbench.verbs import load_splits as load_splits
from .workbench.verbs import renew_report as renew_report
from .workbench.verbs import resume as resume
from .workbench.verbs import train as train

__version__: str
