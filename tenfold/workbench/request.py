"""What is asked for, turned into values at the edge: a Source and a Composition, which travel whole from there."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

from torch import nn

from tenfold.core.errors import InputError
from tenfold.data import Source
from tenfold.data.sources.given import Frame, Pair, place_of
from tenfold.data.sources.opening import is_named, said_source
from tenfold.models import OwnModel
from tenfold.models.own import Make, own_changes
from tenfold.recipe import Composition, Overrides, Recipe, load_recipe
from tenfold.recipe import Data as DataTable

# How a module of the user's own is trained where no recipe is named.
PLAIN_RECIPE = "model-s-baseline"

_CONTRACT = "images are brought to the model's input as its training images were"
_DRAWN = "nothing is drawn: the source's test split is tested, or all of it"
# Why some of `[data]` cannot be changed where a finished model is tested.
_NOT_READING = {
    **dict.fromkeys(("image_size", "unequal_size", "channels", "fit"), _CONTRACT),
    **dict.fromkeys(
        ("test_fraction", "validation_fraction", "split_seed", "copies", "folds", "fold"), _DRAWN
    ),
}

# A module of the user's own, or what makes one.
Model = nn.Module | Make | OwnModel
# A path or a source's name, a table of labels, arrays or tensors, or a pair of them for each split.
Data = str | Path | Frame | Pair | Mapping[str, Pair]
# A table of labels: a file, or a DataFrame.
Table = str | Path | Frame
# One folder or several.
Folders = str | Path | Iterable[str | Path]


class SourceOptions(TypedDict, total=False):
    """The keywords that name a source, for every verb that takes one.

    `data` is a folder, archive or file, the name of a data set, or `(images, labels)`, uint8 arrays or tensors, or
    such a pair for each split (see `tenfold.data.sources.given`). `train`, `validation` and `test` are folders of
    each split instead, one or several. `labels` is a table of labels of the images in `data`, a file or a DataFrame;
    `data` may be one itself. Without any of them: scikit-learn's digits.
    """

    data: Data | None
    labels: Table | None
    train: Folders
    validation: Folders
    test: Folders


def make_source(**words: Unpack[SourceOptions]) -> Source:
    """The source that the keywords name.

    Raises InputError where `data` is a known name and also a folder, and TypeError, as Python does, for a keyword
    that there is not.
    """
    for name in words:
        if name not in SourceOptions.__annotations__:
            raise TypeError(f"there is no keyword {name!r}")
    data, labels = place_of(words.get("data"), words.get("labels"))
    train, validation, test = (_listed(words.get(name, ())) for name in ("train", "validation", "test"))
    if data is None and labels is None and not (train or validation or test):
        data = "digits"
    source = Source(None if data is None else said_source(data), train, validation, test, labels=labels)
    return source if is_named(source.data) and labels is None else source.meant_from_here()


def compose(
    recipe: str | Path | Recipe | None,
    overrides: Overrides = (),
    seed: int | None = None,
    minutes: float | None = None,
    own: OwnModel | None = None,
    folds: int | None = None,
) -> Composition:
    """What is asked for; a module of the user's own takes its model's place, beneath the overrides of it.

    Raises InputError where both `minutes` and `folds` are.
    """
    if minutes is not None and folds is not None:
        raise InputError(
            f"--folds {folds} trains {folds + 1} models, which --minutes cannot share the time between: leave one "
            "out. A recipe's fit.minutes holds for each of them."
        )
    base, beneath = recipe, ()
    if own is not None:
        base, beneath = recipe or PLAIN_RECIPE, own_changes(own.code)
    return Composition(base, overrides, seed, minutes, beneath, folds)


def data_options(overrides: Overrides) -> DataTable:
    """What overrides say of a recipe's `[data]`, checked as a recipe's are.

    Raises InputError for its faults, and for overrides of anything else.
    """
    overrides = overrides if isinstance(overrides, Mapping) else tuple(overrides)
    for key in _keys(overrides):
        if key.partition(".")[0] != "data":
            raise InputError(
                f"{key}: only data.KEY=VALUE says how images are read, for instance data.image_size=32. Leave it out."
            )
    return load_recipe(load_recipe("digits"), overrides).data  # the recipe itself does not matter


def reading_options(overrides: Overrides) -> dict[str, Any]:
    """Those of `[data]` that overrides set, of which each must be a matter of reading a source to test a model on it.

    Raises InputError for others, with the reason.
    """
    overrides = overrides if isinstance(overrides, Mapping) else tuple(overrides)
    options, keys = data_options(overrides), _keys(overrides)
    for key in keys:
        name = key.removeprefix("data.")
        if name in _NOT_READING:
            raise InputError(f"{key}: {_NOT_READING[name]}. Leave it out.")
    said = {key.removeprefix("data.") for key in keys}
    said |= {"group"} if "group_column" in said else set()  # its earlier name
    return {name: value for name, value in options.model_dump().items() if name in said}


def _keys(overrides: Iterable[str]) -> list[str]:
    """The keys of overrides as texts or as a mapping."""
    return [text.partition("=")[0].strip() for text in overrides]


def _listed(folders: Folders) -> tuple[str, ...]:
    return (str(folders),) if isinstance(folders, str | Path) else tuple(str(folder) for folder in folders)
