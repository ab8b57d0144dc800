"""The run folder: where everything of a run lies, and how it is read back."""

import csv
import json
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import nn

from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.files import explained_write, remove_leftovers, write_json, write_text
from tenfold.core.notebook import History, run_html
from tenfold.data import Splits, reload_splits
from tenfold.models import Classifier, OwnModel, given_model
from tenfold.models.own import Make
from tenfold.recipe import Recipe, load_recipe
from tenfold.runs.checkpoint import load_model
from tenfold.runs.predictions import Predictions, read_predictions

HISTORY = (
    "epoch",
    "loss",
    "accuracy",
    "validation_loss",
    "validation_accuracy",
    "learning_rate",
    "seconds",
)


class Run:
    """A run folder. Nothing is read before it is asked for; a missing part is an InputError that names it."""

    def __init__(self, path: str | Path, own: OwnModel | None = None) -> None:
        self.path, self.own = Path(path), own

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        return run_html(self.path)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.path / "figures"

    @property
    def checkpoint(self) -> Path:
        """The folder of what resume needs."""
        return self.path / "checkpoint"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.path / "report.html"

    @cached_property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return load_recipe(self._existing("recipe.toml"))

    @cached_property
    def data(self) -> dict[str, Any]:
        """Source, fingerprint, class names, counts and a hash of each split (`data.json`)."""
        return self._json("data.json")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Hardware, versions and command of the run (`environment.json`)."""
        return self._json("environment.json")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of the logits, as written down with the weights."""
        return tuple(self._json("model.json")["class_names"])

    @property
    def metrics(self) -> dict[str, Any]:
        """All metrics (`metrics.json`)."""
        return self._json("metrics.json")

    @property
    def history(self) -> History:
        """One record per finished epoch (`history.csv`), numbers as numbers."""
        with self._existing("history.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        return History(
            {key: int(value) if key == "epoch" else float(value) for key, value in row.items()}
            for row in rows
        )

    def predictions(self, split: str) -> Predictions:
        """Saved predictions on "validation" or "test"."""
        return read_predictions(self._existing(f"predictions/{split}.parquet"))

    def splits(self) -> Splits:
        """Open the run's data again. Raises InputError where the source is gone or has changed since."""
        splits = reload_splits(self.recipe.data, self.data)
        if splits.fingerprint != self.data["fingerprint"]:
            raise InputError(
                f"{self.path}: its data have changed since it began (fingerprint {splits.fingerprint} now, "
                f"{self.data['fingerprint']} then). Restore them, or train a new run."
            )
        return splits

    def model(self) -> Classifier:
        """The best epoch's classifier, on the CPU, in evaluation mode."""
        return load_model(self.path, self.own)

    @property
    def predict_command(self) -> str:
        """The command that asks the run's model about a picture, for reading."""
        return f"tenfold predict {shlex.quote(str(self.path))} picture.jpg"

    def predict(self, images: Any, **options: Any) -> Any:
        """What the run's model says of `images`: `tenfold.predict(self, images, ...)`."""
        import tenfold  # The public face: this package lies below the one that answers.

        return tenfold.predict(self, images, **options)

    def begin(self, recipe: Recipe, splits: Splits, environment: dict[str, Any]) -> None:
        """Write down, in a new run's folder, all that is known before the first epoch."""
        write_text(self.path / "recipe.toml", recipe.to_toml())
        write_json(self.path / "data.json", splits.describe())
        write_json(self.path / "environment.json", environment)

    def write_history(self, records: list[dict[str, Any]]) -> None:
        """Write `history.csv`, whole."""
        lines = [",".join(HISTORY), *(",".join(str(record[key]) for key in HISTORY) for record in records)]
        write_text(self.path / "history.csv", "\n".join(lines) + "\n")

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write `metrics.json`, whole."""
        write_json(self.path / "metrics.json", metrics)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for writing, and remove what killed writers left. Raises TenfoldError where it is held."""
        with explained_write(self.path):
            self.checkpoint.mkdir(parents=True, exist_ok=True)
            try:
                lock = FileLock(self.checkpoint / "lock", timeout=0).acquire()
            except Timeout:
                raise TenfoldError(
                    f"{self.path}: another process is working on this run. Wait for it, or end it first."
                ) from None
        with lock:
            remove_leftovers(self.path)
            yield

    def _existing(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise InputError(f"{path}: there is no such file. {self._advice()}")
        return path

    def _advice(self) -> str:
        if not (self.path / "recipe.toml").is_file():
            return f"{self.path} is not a run folder; `tenfold train` makes one below runs/."
        return f"The run has not got that far; `tenfold resume {self.path}` goes on with it."

    def _json(self, name: str) -> Any:
        path = self._existing(name)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(
                f"{path}: is not valid JSON ({error}). Restore it, or train the run again."
            ) from None


def load_run(path: "str | Path | Run", model: "nn.Module | Make | OwnModel | None" = None) -> Run:
    """Open a run folder, or a run's name below `runs/`. Raises InputError where it is not one.

    `model` is needed where the run's model is a module of your own: that module again, or the function that makes it.
    """
    own = None if model is None else given_model(model)
    if isinstance(path, Run):
        return path if own is None else Run(path.path, own)
    for candidate in (Path(path), Path("runs") / path):
        if (candidate / "recipe.toml").is_file():
            return Run(candidate, own)
    raise InputError(
        f"{path}: is not a run folder (it has no recipe.toml). `tenfold train` makes one below runs/."
    )


def create_run(out: Path, name: str | None, default_name: str, *, overwrite: bool = False) -> Run:
    """Make the empty folder of a new run: `out/name`, or `out/default_name-N` with the first free number.

    Raises InputError where `name` exists and `overwrite` is not set, or where the folder is not a run, and
    TenfoldError where `out` cannot be written.
    """
    if name is not None and (name in {"", ".."} or Path(name).name != name):
        raise InputError(f"--name {name!r}: expected a plain folder name; use --out for the folder above it.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        return Run(_claim(out, name, default_name, overwrite))
    except OSError as error:
        raise InputError(
            f"{out}: cannot be written ({error.strerror}). Choose another folder with --out."
        ) from error


def _claim(out: Path, name: str | None, default_name: str, overwrite: bool) -> Path:
    if name is None:
        number = 1
        while True:
            path = out / f"{default_name}-{number}"
            try:
                path.mkdir()
                return path
            except FileExistsError:
                number += 1
    path = out / name
    if path.exists():
        if not overwrite:
            raise InputError(
                f"{path}: exists already. Choose another --name, or give --overwrite to replace it."
            )
        if not (path / "recipe.toml").is_file():
            raise InputError(f"{path}: is not a run folder, so it is not overwritten. Choose another --name.")
        with Run(path).lock():
            shutil.rmtree(path)
    path.mkdir()
    return path
