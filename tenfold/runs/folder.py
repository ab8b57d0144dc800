"""The run folder: every file of a run is declared once: how it is read and written, what helps where it is damaged.

Nothing is read before it is asked for, and nothing heavy is imported before that.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.files import explained_write, remove_leftovers
from tenfold.core.notebook import run_html
from tenfold.runs import shapes
from tenfold.runs.files import (
    BEGUN,
    TESTED,
    TRAINED,
    Folder,
    FolderFile,
    JsonFile,
    PicturesFile,
    Place,
    PredictionsFile,
    RecipeFile,
    StateFile,
    TensorsFile,
    TextFile,
)
from tenfold.runs.history import HistoryFile

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tenfold.data import Splits
    from tenfold.data.source import Moved
    from tenfold.data.sources.given import Frame, Pair
    from tenfold.models import Classifier, OwnModel
    from tenfold.models.own import Make
    from tenfold.recipe import Recipe
    from tenfold.runs.predictions import Predictions
    from tenfold.runs.state import State

HISTORY = (
    "epoch",
    "loss",
    "accuracy",
    "validation_loss",
    "validation_accuracy",
    "learning_rate",
    "seconds",
)
# Since 0.2: recall and F1 of each class, averaged.
HISTORY_SINCE = ("validation_f1_macro", "validation_balanced_accuracy")
_ANEW = "Restore it from a copy, or train the run anew."
_RESUME = "`tenfold resume {run}` writes it anew from the checkpoint."
_EVALUATE = "`tenfold evaluate {run}` makes it anew."


class Evaluation(Folder):
    """What a run's model said of another source: a folder below `evaluations/`."""

    predictions = PredictionsFile(
        "predictions.parquet", remedy="`tenfold evaluate` with --data makes it anew."
    )
    metrics = JsonFile(
        "metrics.json",
        shapes.EvaluationShape,
        check=shapes.matrix_fault,
        remedy="`tenfold evaluate` with --data makes it anew.",
    )


class Run(Folder):
    """A run folder. A file that is missing or damaged is an InputError that names it and what helps.

    Each attribute is a file: reading it reads the file, setting it writes the file atomically. `run.saved(Run.x)`
    gives None where the file is not there. `own` is the user's model, where the run's is one; `moved` is where the
    run's images and their labels have moved to.
    """

    def __init__(self, path: str | Path, own: "OwnModel | None" = None, moved: "Moved | None" = None) -> None:
        super().__init__(path)
        self.own, self.moved = own, moved

    # Written before training.
    recipe = RecipeFile("recipe.toml", stage=BEGUN, remedy=_ANEW)
    data = JsonFile(
        "data.json", shapes.DataShape, stage=BEGUN, constant=True, check=shapes.classes_fault, remedy=_ANEW
    )
    environment = JsonFile(
        "environment.json",
        dict[str, Any],
        stage=BEGUN,
        constant=True,
        remedy="Restore it from a copy, or go on without: only the report shows it.",
    )
    transfer = JsonFile(
        "transfer.json",
        dict[str, Any],
        remedy="Restore it from a copy, or go on without: it only says what the features took.",
    )
    # Written after each epoch.
    state = StateFile("checkpoint/state.safetensors", stage=TRAINED, remedy=_ANEW)
    history = HistoryFile("history.csv", HISTORY, HISTORY_SINCE, stage=TRAINED, remedy=_RESUME)
    # Written after each epoch that is the best so far; together, they are the classifier.
    description = JsonFile(
        "model.json", shapes.ModelShape, stage=TRAINED, check=shapes.classes_fault, remedy=_RESUME
    )
    weights = TensorsFile("model.safetensors", stage=TRAINED, remedy=_RESUME)
    # Written when the model is tested.
    validation_predictions = PredictionsFile("predictions/validation.parquet", remedy=_EVALUATE)
    test_predictions = PredictionsFile("predictions/test.parquet", remedy=_EVALUATE)
    metrics = JsonFile("metrics.json", shapes.MetricsShape, check=shapes.matrix_fault, remedy=_EVALUATE)
    layers = JsonFile("layers.json", list[shapes.LayerShape], remedy=_EVALUATE)
    gradcam = PicturesFile("gradcam.npz", remedy=_EVALUATE)
    robustness = JsonFile(
        "robustness.json",
        shapes.RobustnessShape,
        remedy="`tenfold report {run} --corruptions` measures it anew.",
    )
    report = Place("report.html")
    figures = Place("figures")
    state_before = StateFile("checkpoint/state-before.safetensors", stage=TRAINED, remedy=_ANEW)
    checkpoint = Place("checkpoint")
    evaluations = Place("evaluations")
    folds_folder = Place("folds")
    tensorboard = Place("tensorboard")
    # What `tenfold.inference` measures for those who ask the model; an exported folder has it too.
    contract = JsonFile(
        "inference.json",
        shapes.ContractShape,
        remedy="`tenfold evaluate {run}` makes it anew for a finished run; a folder is exported again.",
    )
    # The model as it answers at once, made when it is first wanted, and the hash of the weights it was made of.
    onnx = Place("onnx")
    onnx_weights = TextFile("onnx/weights", remedy="Remove the folder onnx; it is made again.")

    def _repr_html_(self) -> str:
        return run_html(self.name, self._result(), self.figures / "learning_curves.png", self.report)

    def _result(self) -> "dict[str, Any] | str":
        """The metrics, or why there are none to show."""
        try:
            return self.saved(Run.metrics) or ""
        except InputError as error:
            return str(error)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def outline(self) -> "Recipe":
        """The recipe for those who only name or compare it: read without importing PyTorch. See `RecipeFile`."""
        return Run.recipe.outline(self)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of the logits, as written down with the weights.

        Raises InputError where data.json tells of others.
        """
        names, known = self.description["class_names"], self.saved(Run.data)
        if known is not None and known["class_names"] != names:
            raise Run.description.damage(self, "has other class names than data.json, or in another order")
        return tuple(names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the run's images, which `data.json` has as height, width and channels."""
        height, width, channels = self.data["image_shape"]
        return channels, height, width

    @property
    def emphasis(self) -> tuple[float, ...] | None:
        """How much more an image of each class counted in training: see `Fit.emphasis`."""
        return self.recipe.fit.emphasis(list(self.data["splits"]["train"]["classes"].values()))

    def predictions(self, split: str) -> "Predictions":
        """Saved predictions on "validation" or "test"."""
        files = {"validation": Run.validation_predictions, "test": Run.test_predictions}
        if split not in files:
            raise InputError(f"predictions({split!r}): there are predictions on {' and '.join(files)}.")
        found, known = files[split].read(self), self.saved(Run.data)
        if known is not None and list(found.class_names) != known["class_names"]:
            raise files[split].damage(self, "has other classes than data.json, or in another order")
        return found

    def judging_predictions(self) -> "Predictions | None":
        """Predictions on the validation images that calibrate the model; of a cross-validation, its folds'."""
        if not self.folds:
            return self.predictions("validation") if self.has(Run.validation_predictions) else None
        from tenfold.runs.predictions import pooled

        parts = [fold.predictions("validation") for fold in self.folds]
        return pooled(parts, range(sum(map(len, parts))))

    def evaluation(self, name: str) -> Evaluation:
        """The evaluation on another source of that name."""
        return Evaluation(self.evaluations / name)

    @property
    def folds(self) -> "tuple[Run, ...]":
        """The runs of a cross-validation's folds, begun or not; none where the run is no cross-validation."""
        count = self.data.get("folds", 0)
        return tuple(Run(self.folds_folder / str(number), self.own) for number in range(1, count + 1))

    def splits(self) -> "Splits":
        """Open the run's data again. Raises InputError where the source is gone or has changed since."""
        from tenfold.data import reload_splits

        splits = reload_splits(self.outline.data, self.data, self.moved)
        if splits.fingerprint != self.data["fingerprint"]:
            where = f"in {self.moved.said} are other ones, or have changed" if self.moved else "have changed"
            raise InputError(
                f"{self.path}: its data {where} since it began (fingerprint {splits.fingerprint} now, "
                f"{self.data['fingerprint']} then). Restore them, or train a new run."
            )
        return splits

    def remember_place(self, splits: "Splits") -> None:
        """Note in `data.json` where the run's data, opened as `splits`, are now."""
        if self.moved:
            Run.data.write(self, {**self.data, "source": splits.source.to_json()})

    def model(self) -> "Classifier":
        """The best epoch's classifier, on the CPU, in evaluation mode."""
        from tenfold.models.saving import build_described, put_tensors

        description, weights = self.description, self.weights
        assert self.class_names
        with Run.description.named(self):
            model = build_described(description, self.own)
        with Run.weights.named(self):
            put_tensors(weights, model)
        return model.eval()

    def command(self, verb: str, *words: str) -> str:
        """The command that does this to the run, for reading."""
        return shlex.join(["tenfold", verb, str(self.path), *words, *self.recipe.model_words])

    @property
    def predict_command(self) -> str:
        """The command that asks the run's model about a picture, for reading."""
        return self.command("predict", "picture.jpg")

    def predict(self, images: Any, **options: Any) -> Any:
        """What the run's model says of `images`: `tenfold.predict(self, images, ...)`."""
        import tenfold  # The public face: this package lies below the one that answers.

        return tenfold.predict(self, images, **options)

    def save_model(self, model: "Classifier", weights: "dict[str, Tensor]", classes: Sequence[str]) -> None:
        """Write `weights` of `model`, and what describes it: with these two files it can be used anywhere."""
        Run.description.write(self, {**model.describe(), "class_names": list(classes)})
        Run.weights.write(self, model.complete(weights))

    def shared_files(self) -> list[Path]:
        """The files to hand on, as far as they are there: the model, its recipe and results, and the report."""
        files = (Run.weights, Run.description, Run.recipe, Run.metrics)
        paths = [*map(self.path_of, files), self.report]
        return [path for path in paths if path.is_file()]

    def begin(self, recipe: "Recipe", splits: "Splits", environment: dict[str, Any]) -> None:
        """Write down, in a new run's folder, all that is known before the first epoch."""
        Run.recipe.write(self, recipe.unmeasured())
        Run.data.write(self, splits.describe())
        Run.environment.write(self, environment)

    def train_command(self, *overrides: str) -> str:
        """The command that trains the run's recipe on its source again, with `key=value` overrides."""
        from tenfold.data.source import Source

        words = [*overrides, *Source(**self.data["source"]).words, *self.recipe.model_words]
        return shlex.join(["tenfold", "train", str(self.path_of(Run.recipe)), *words])

    def failure(self, state: "State") -> str:
        """Why training came to nothing, and what to lower."""
        rate = self.recipe.optimizer.options["lr"]
        again = self.train_command(f"optimizer.lr={rate / 10:.3g}")
        return (
            f"The run failed, and no epoch ended with a usable model: {state.stop_reason}. Lower optimizer.lr "
            f"(it was {rate:g}): `{again}`."
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for writing, and remove what killed writers left. Raises TenfoldError where it is held."""
        from filelock import FileLock, Timeout

        with explained_write(self.path):
            self.checkpoint.mkdir(parents=True, exist_ok=True)
            try:
                lock = FileLock(self.checkpoint / "lock", timeout=0).acquire()
            except Timeout:
                raise TenfoldError(
                    f"{self.path}: another process is working on this run. Wait for it, or end it first."
                ) from None
        with lock:
            for folder in (self.path, *self.path.rglob("*/")):
                remove_leftovers(folder)
            yield

    def advice(self, file: FolderFile[Any]) -> str:
        """What helps where a file is missing: going on with the run, or the file's own remedy."""
        if not self.has(Run.recipe):
            return f"{self.path} is not a run folder; `tenfold train` makes one below runs/."
        if file.stage == BEGUN or (self.has(Run.metrics) and self.has(Run.state)):
            return file.remedy_in(self)
        try:
            state = self.saved(Run.state)
        except InputError as error:
            return f"And {error}"
        if state is None:
            return self._without_checkpoint(file)
        if state.came_to_nothing:
            return self.failure(state)
        if state.stop_reason is None and file.stage == TESTED:
            return f"The run has not got that far; `tenfold resume {shlex.quote(str(self.path))}` goes on with it."
        return file.remedy_in(self)

    def _without_checkpoint(self, file: FolderFile[Any]) -> str:
        begun = [self.has(known) for known in (Run.weights, Run.history, Run.metrics)]
        if not any(begun):
            return f"The run has not got that far; `tenfold resume {shlex.quote(str(self.path))}` begins it."
        return f"There is no checkpoint either ({self.path_of(Run.state)}). {_ANEW}"


def load_run(
    path: "str | Path | Run",
    model: "nn.Module | Make | OwnModel | None" = None,
    data: "str | Path | Frame | Pair | Mapping[str, Pair] | None" = None,
    labels: "str | Path | Frame | None" = None,
) -> Run:
    """Open a run folder, or a run's name below `runs/`. Raises InputError where it is not one.

    `model` is needed where the run's model is a module of your own: that module again, or the function that makes it.
    `data` is needed where the run's images have moved (their folder or file, or the folder above those of its splits)
    or were arrays that the cache has lost, and `labels` where the table of their labels has: whenever they are
    opened, they must be the same images with the same labels.
    """
    own = None if model is None else _given(model)
    moved = None if data is None and labels is None else _moved(data, labels)
    if isinstance(path, Run):
        return Run(path.path, own or path.own, moved or path.moved) if own or moved else path
    for candidate in (Run(path, own, moved), Run(Path("runs") / path, own, moved)):
        if candidate.has(Run.recipe):
            return candidate
    what = "is not a run folder (it has no recipe.toml)" if Path(path).exists() else "there is no such folder"
    raise InputError(f"{path}: {what}. `tenfold train` makes one below runs/, `tenfold runs` lists them.")


def _given(model: "nn.Module | Make | OwnModel") -> "OwnModel":
    from tenfold.models import given_model

    return given_model(model)


def _moved(data: "str | Path | Frame | Pair | Mapping[str, Pair] | None", labels: Any) -> "Moved":
    from tenfold.data.source import Moved
    from tenfold.data.sources.given import place_of
    from tenfold.data.sources.opening import said_source

    place, table = place_of(data, labels)
    return Moved(None if place is None else said_source(place), table)


def find_runs(folder: Path) -> list[Run]:
    """The run folders in a folder, by name; hidden ones are not finished, or left over."""
    runs = [Run(path) for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    return [run for run in runs if run.has(Run.recipe)]
