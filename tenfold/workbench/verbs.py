"""The verbs in Python, one function each: what the command line calls and `import tenfold` offers."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import torch
from rich.markup import escape

from tenfold.core.devices import choose_device
from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.terminal import make_console
from tenfold.core.world import joined, own_device, restarted
from tenfold.data import Source, Splits, decoding_of, load_test_split, read_splits, verify_packs
from tenfold.findings.explain import explain, robustness
from tenfold.inference.evaluation import predict_split
from tenfold.models import given_model
from tenfold.models.own import OWN, OwnModel
from tenfold.recipe import Composition, Overrides, Recipe
from tenfold.recipe import Data as DataTable
from tenfold.recipe.overrides import of_table
from tenfold.report import write_report
from tenfold.runs.create import create_run, restarted_run
from tenfold.runs.environment import command_line
from tenfold.runs.files import FolderFileError
from tenfold.runs.folder import Run, load_run
from tenfold.runs.metrics import measure
from tenfold.runs.tracking import check_tracker
from tenfold.training.balance import balanced, balanced_words
from tenfold.training.begin import new_model, write_beginning
from tenfold.training.transfer import split_on_features
from tenfold.workbench.budget import Plan, make_plan, suitable_plan
from tenfold.workbench.candidates import Candidate
from tenfold.workbench.carry_out import FEATURES, Workplace, carry_out, evaluate_again
from tenfold.workbench.progress import Display, display_for
from tenfold.workbench.request import (
    Data,
    Model,
    SourceOptions,
    Table,
    compose,
    data_options,
    make_source,
    reading_options,
)

# The keywords of a source, `data` apart, in `load_splits`.
SOURCE_KEYS = ("labels", "train", "validation", "test")


def train(
    recipe: str | Path | Recipe | None = None,
    *,
    out: str | Path = "runs",
    name: str | None = None,
    overwrite: bool = False,
    seed: int | None = None,
    device: str = "auto",
    overrides: Iterable[str] | Mapping[str, Any] = (),
    progress: bool = True,
    track: str | None = None,
    minutes: float | None = None,
    began: float | None = None,
    folds: int | None = None,
    model: Model | None = None,
    verify: bool = False,
    **source: Unpack[SourceOptions],
) -> Run:
    """Train a recipe on a source, evaluate it, write its report, and give the run.

    `recipe` is a built-in recipe's name, a TOML file or a Recipe (default: one that suits the data); `data`, or
    `train`, `validation` and `test` folders, are the source: see `SourceOptions`. Arrays are kept in the cache; a run
    on them needs them there, or given again. `overrides` are `key=value` texts or a mapping such as
    `{"fit.epochs": 5}`; `track` is "tensorboard" or "mlflow". With `minutes` and no recipe, one is chosen and scaled
    so that all is done by then, counted from `began` (a `time.perf_counter`; default: now); a recipe that is named
    trains for so long.
    With `folds`, short for data.folds, every image is tested once, by one of so many models that never saw it, and a
    final model is trained on all images but those that choose its epoch: see docs/guide/few-images.md.
    `model` is a torch.nn.Module of your own, or a function (image_shape, classes) that makes one, trained in place of
    the recipe's; a module is copied, so that yours stays as it is. What goes on with such a run needs it again.
    With `verify`, every image of the source is first compared with what the cache was made from.
    Raises InputError for what cannot be used and TenfoldError for what goes wrong on the way.

        run = tenfold.train("model-s-baseline", data="photos", overrides={"fit.epochs": 5})
        run.metrics["test"]["accuracy"]
    """
    began = time.perf_counter() if began is None else began
    where = choose_device(device)

    def understand() -> tuple[Source, OwnModel | None, Composition]:
        check_tracker(track)
        images, own = make_source(**source), None if model is None else given_model(model)
        return images, own, compose(recipe, overrides, seed, minutes, own, folds)

    with joined(where) as world:
        images, own, asked = world.in_line(understand)
        display = display_for(progress and world.first)
        learned: list[Candidate] = []  # where it was learned, in the first process

        def choose() -> tuple[Recipe, str]:
            if verify:
                check_cache(data_options(of_table(asked.overrides, "data")), images, display)
            plan = choose_recipe(asked, images, where, display, began)
            learned.extend([plan.learned] if plan.learned else [])
            return plan.recipe, plan.name

        asked_for, default_name = world.agree(choose)
        with display.decoding() as note:
            splits = world.in_line(lambda: read_splits(asked_for.data, images, note))
        chosen = balanced(asked_for, splits)
        if words := balanced_words(chosen, splits):
            display.note(words)
        classifier = world.in_line(lambda: new_model(chosen, splits, own))

        def begin(run: Run) -> None:
            write_beginning(run, chosen, splits, where, command_line())
            for candidate in learned:
                candidate.write(run, splits.class_names)

        def create() -> Path:
            again = restarted_run(Path(out)) if restarted() else None
            given_name = OWN if own else default_name
            return (again or create_run(Path(out), name, given_name, begin, overwrite=overwrite)).path

        run = Run(world.agree(create), own)
        place = Workplace(own_device(where), display, world)
        return carry_out(run, splits, place, track, classifier)


def load_splits(data: Data | None = None, **options: Any) -> Splits:
    """The training, validation and test images of a source, named as for `train`.

    The other `options` are those of a recipe's `[data]`.

        splits = tenfold.load_splits("photos", image_size=32)
        splits.train.images(slice(0, 9)), splits.class_names
    """
    source = make_source(data=data, **{key: options.pop(key) for key in SOURCE_KEYS if key in options})
    return read_splits(data_options({f"data.{key}": value for key, value in options.items()}), source)


def resume(
    run: str | Path | Run,
    *,
    device: str = "auto",
    progress: bool = True,
    model: Model | None = None,
    data: Data | None = None,
    labels: Table | None = None,
) -> Run:
    """Go on with an interrupted run from its last checkpoint, then evaluate and report as `train` does.

    A run interrupted before its first checkpoint begins anew; one that had finished is evaluated again.
    `model`, and `data` and `labels`, which say where its images and their labels are now: see `load_run`; the run
    notes the place.
    """
    where = choose_device(device)
    with joined(where) as world:
        opened = world.in_line(lambda: load_run(run, model, data, labels))
        splits = world.in_line(opened.splits)
        world.agree(lambda: opened.remember_place(splits))
        display = display_for(progress and world.first)
        return carry_out(opened, splits, Workplace(own_device(where), display, world))


def evaluate(
    run: str | Path | Run,
    *,
    data: Data | None = None,
    labels: Table | None = None,
    overrides: Overrides = (),
    device: str = "auto",
    progress: bool = True,
    model: Model | None = None,
) -> Run:
    """Test a run's best model again: on its own validation and test images, or on those of `data`.

    Its own: predictions, metrics, figures and report are written anew. Another labelled source (its test split, or
    all of it where it has none): predictions and metrics go to `evaluations/SOURCE/` in the run folder, and the run's
    own results stay as they are. `labels` is a table of its labels: see `train`. `overrides` say how to read it, in
    place of what the run's recipe says: `data.label_column=species`, or `{"data.nested": True}`; those that are no
    matter of reading are refused with the reason. Raises InputError where `data` has classes that the model does not
    know.
    `model`: see `load_run`; its own images at another place: `evaluate(load_run(run, data=...))`.
    """
    where = choose_device(device)
    elsewhere = data is not None or labels is not None
    with joined(where) as world:
        opened, reading = world.in_line(lambda: (load_run(run, model), _reading(overrides, elsewhere)))
        place = Workplace(own_device(where), display_for(progress and world.first), world)
        if not elsewhere:
            evaluate_again(opened, world.in_line(opened.splits), place)
            return opened
        source = world.in_line(lambda: make_source(data=data, labels=labels))
        with place.lock(opened):  # of several processes, the first one does it alone
            world.agree(lambda: _evaluate_elsewhere(opened, source, reading, where, place.display))
        return opened


def _reading(overrides: Overrides, elsewhere: bool) -> Mapping[str, Any]:
    """How other images are to be read. Raises InputError where they are a run's own, which are read as they were."""
    reading = reading_options(overrides)
    if reading and not elsewhere:
        raise InputError(
            f"{', '.join(f'data.{key}' for key in reading)}: a run's own images are read as its recipe says, or they "
            "would be other ones. Give the labelled images that you mean with --data, or train a new run."
        )
    return reading


def renew_report(
    run: str | Path | Run,
    *,
    corruptions: bool = False,
    device: str = "auto",
    model: Model | None = None,
    data: Data | None = None,
    labels: Table | None = None,
) -> Path:
    """Write a run's figures and report again, with Grad-CAM and, if asked for, accuracy under corruptions.

    Where the images are gone or have changed, it is written from the saved predictions, and says what it lacks; with
    `corruptions`, which need the images, InputError is raised then, and always where the run has no metrics yet.
    `model`, and `data` and `labels`, which say where its images and their labels are now: see `load_run`; the run
    notes the place.
    """
    run = load_run(run, model, data, labels)
    where = choose_device(device)
    with run.lock():
        splits, missing = _pictures(run, needed=corruptions)
        if splits is None:
            text = escape(f"the report is made without the images: {missing}")
            make_console(stderr=True).print(f"[yellow]note[/] {text}")
        else:
            classifier = run.model()
            run.remember_place(splits)
            explain(run, classifier, splits.test, where)
            if corruptions:
                robustness(run, classifier, splits.test, where)
        return write_report(run, splits, missing)


def _pictures(run: Run, *, needed: bool) -> tuple[Splits | None, str]:
    """The run's images, or why they cannot be opened where they are not `needed`; a place that is given must do."""
    try:
        return run.splits(), ""
    except FolderFileError:
        raise
    except TenfoldError as error:
        if needed or run.moved:
            raise
        return None, str(error)


def check_cache(options: DataTable, source: Source, display: Display) -> None:
    """Compare every image of `source` with what the cache was made from; what differs is read anew."""
    with display.decoding("comparing with the cache") as note:
        different = verify_packs(options, source, note)
    display.verified(different)


def choose_recipe(
    asked: Composition,
    source: Source,
    device: torch.device | None = None,
    display: Display | None = None,
    began: float | None = None,
) -> Plan:
    """The recipe that is asked for, or the one that a probe finds to suit the source; and what to call it.

    Where no base is named, a `display` shows which one is taken and why; minutes count from `began` then, and what
    was learned in them comes with the recipe.
    """
    if asked.base is not None:
        return Plan(asked.name, asked.resolve())
    display, where = display or display_for(False), device or choose_device("auto")
    seed = asked.seed or 0
    if asked.minutes is None:
        plan = suitable_plan(source, where, seed, display, asked.overrides)
    else:
        start = time.perf_counter() if began is None else began
        plan = make_plan(source, asked.minutes, where, seed, display, start, asked.overrides)
    # The plan has the time that is left for training.
    return replace(plan, recipe=replace(asked, base=plan.recipe, minutes=None).resolve())


def _evaluate_elsewhere(
    run: Run, source: Source, reading: Mapping[str, Any], device: torch.device, display: Display
) -> None:
    model = run.model()
    channels, height, _ = model.image_shape
    wanted = run.recipe.data.model_copy(
        update={"image_size": height, "channels": "grayscale" if channels == 1 else "rgb", "group": None}
        | dict(reading)
    )
    with display.decoding() as note:
        try:
            split = load_test_split(wanted, source, run.class_names, note, decoding_of(run.data))
        except InputError as error:
            if source.data is None or not source.located(source.data).exists():
                raise
            ask = run.command("predict", source.data)
            raise InputError(
                f"{error} To ask what is on pictures whose class is not known: `{ask}`."
            ) from None
    with display.decoding(FEATURES) as note:
        model, split = split_on_features(model, split, device, note)
    predictions = predict_split(model, split, run.class_names, device)
    measured = measure(
        predictions.labels, predictions.probabilities, run.class_names, groups=predictions.groups
    )
    evaluation = run.evaluation(Path(source.data or "").stem)
    evaluation.predictions = predictions
    evaluation.metrics = {"test": measured, "source": source.to_json()}
    display.tested(run, measured, evaluation.path)
