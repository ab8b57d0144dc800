"""How a training begins, whoever asks for it: the model, what is known before the first epoch, what is fitted."""

from collections.abc import Iterator

import torch

from tenfold.core.progress import Progress
from tenfold.core.world import ALONE, World
from tenfold.data import Splits
from tenfold.data.feeds import feed
from tenfold.models import Classifier, OwnModel, build_model
from tenfold.recipe import About, Recipe, builtin_recipes, read_about
from tenfold.runs.environment import describe_environment
from tenfold.runs.files import FolderFileError
from tenfold.runs.folder import Run
from tenfold.training.learner import Epoch
from tenfold.training.loop import fit
from tenfold.training.method import Watcher
from tenfold.training.transfer import Fitting, check_recipe, on_features


def new_model(recipe: Recipe, splits: Splits, own: OwnModel | None = None) -> Classifier:
    """The recipe's classifier for the images of `splits`, as it is before it learns.

    Raises InputError where images, recipe and model do not suit each other.
    """
    classes, seed = len(splits.class_names), recipe.fit.seed
    model = build_model(recipe.model, splits.image_shape, classes, seed=seed, pretrained=True, own=own)
    check_recipe(model, recipe)
    feed(splits.train, torch.device("cpu")).check(recipe.fit)
    return model


def write_beginning(run: Run, recipe: Recipe, splits: Splits, device: torch.device, command: str) -> None:
    """Write down in a new run's folder all that is known before the first epoch.

    What a built-in recipe's `[about]` claims was measured on other images, or with other settings: a run's recipe
    does not repeat it. What somebody wrote about a recipe of their own is kept.
    """
    if any(read_about(path) == recipe.about for path in builtin_recipes().values()):
        recipe = recipe.model_copy(update={"about": About()})
    run.begin(recipe, splits, describe_environment(device, command, recipe.fit.precision))


def begin_in(run: Run, recipe: Recipe, splits: Splits, device: torch.device, command: str) -> None:
    """As `write_beginning`, in a folder in which it may be written already."""
    if not run.has(Run.environment):  # the last of what is written
        write_beginning(run, recipe, splits, device, command)


def taken_up(
    run: Run,
    splits: Splits,
    device: torch.device,
    progress: Progress,
    world: World = ALONE,
    model: Classifier | None = None,
) -> Fitting:
    """What is fitted in a run's folder: `model`, or the one that was saved, or a new one."""
    if model is None:
        model = _saved_model(run) or world.in_line(lambda: new_model(run.recipe, splits, run.own))
    return what_is_fitted(run, model, splits, run.recipe, device, progress, world)


def _saved_model(run: Run) -> Classifier | None:
    """The run's model, which needs no pretrained weights a second time; the checkpoint says the rest.

    Without a checkpoint a kill came between the first epoch's model and it, and training begins with a new one.
    """
    try:
        return run.model() if run.has(Run.state) else None
    except FolderFileError:  # Missing or damaged: it is written anew from the checkpoint.
        return None


def what_is_fitted(
    run: Run,
    model: Classifier,
    splits: Splits,
    recipe: Recipe,
    device: torch.device,
    progress: Progress,
    world: World = ALONE,
) -> Fitting:
    """The model on its images, or the head of a frozen one on features; what those took is noted in the run.

    `progress` hears of features computed.
    """
    fitting = on_features(model, splits, recipe, device, progress, world)
    if fitting.features and world.first and not run.has(Run.state):
        run.transfer = fitting.features
    return fitting


def epochs(
    fitting: Fitting, run: Run, device: torch.device, watch: Watcher | None = None, world: World = ALONE
) -> Iterator[Epoch]:
    """Train from the beginning or from the last checkpoint, yielding each epoch's record: see `fit`."""
    return fit(
        fitting.model,
        fitting.splits,
        fitting.recipe,
        run,
        device=device,
        resume=run.has(Run.state),
        watch=watch,
        method=fitting.method,
        spent_before=world.agree(lambda: run.transfer["seconds"]) if fitting.features else 0.0,
        world=world,
    )
