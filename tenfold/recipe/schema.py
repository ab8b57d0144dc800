"""Recipes: tables, checked as a whole into one frozen, typed value.

A recipe has plain tables (`[data]`, `[stop]`, `[fit]`, `[sweep]`), written down here, and choices of components
(`[model]`, `[optimizer]`, `[schedule]`, `[[augment]]`), which `tenfold.recipe.components` checks.
"""

import math
from collections.abc import Sequence
from types import NoneType
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tenfold.core.errors import InputError, nearest
from tenfold.recipe.components import (
    COMPONENTS,
    OWN,
    Choice,
    Count,
    Fraction,
    Monitor,
    NonNegative,
    Part,
    Positive,
    Share,
    check_choice,
    own_words,
    reason,
)


def _class_weights(value: object) -> object:
    if isinstance(value, str) and value in {"auto", "none", "balanced"}:
        return value
    numbers = tuple(value) if isinstance(value, list | tuple) else ()
    if len(numbers) >= 2 and all(type(one) in {int, float} and 0 < one < math.inf for one in numbers):
        return tuple(map(float, numbers))
    raise ValueError("expected auto, none, balanced, or a number above 0 for each class, such as [1, 2.5, 4]")


# "auto", "none", "balanced", or a number for each class, in the order of the class names.
ClassWeights = Annotated[str | tuple[float, ...], BeforeValidator(_class_weights)]
# The keys for which "none" is a word, and does not remove what was said before.
_NONE_IS_SAID = {"fit": "class_weights", "model": "weights"}


class Table(BaseModel):
    """A recipe's table: frozen, strict about types, and without unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class About(Table):
    """What `tenfold recipes` says of a recipe; figures are measured (see docs/results.md), never hoped for."""

    summary: str = ""
    command: str = ""
    accuracy: str = ""
    time: str = ""
    hardware: str = ""


class Data(Table):
    """How a source becomes equal-sized uint8 images in three splits.

    `image_size` (pixels a side) is what every image is brought to; without it images keep their own size, and are
    brought to `unequal_size` where their sizes differ or are too large. `fit` says how an image of another shape gets
    there: its longer side is cropped, it is padded with black, or squashed; "auto" crops unless more than half of the
    median image would go. With `nested`, folders below class folders belong to the class, whatever they are called.

    `path_column`, `label_column` and `split_column` name columns of a table of labels whose names do not say what
    they hold; "" says that it has no such column.

    Splits that the source does not give are drawn by class. `group` names what never lies in two of them: a column
    of the table of labels, or a pattern for the path such as 'patient_(\\d+)'. Without it, copies of a picture stay
    "together": exact ones, those whose names say so, near ones among at most 20,000 images; "near" looks for these
    whatever the number, "exact" is of exact ones only, and "apart" draws every image alone, as version 0.1 did.

    With `folds`, every image is tested once, by one of so many models that never saw it (cross-validation); with a
    `fold` (from 1) as well, only that one is trained.

    `streaming` says whether images in packed shards (`tenfold pack`) are decoded again in every epoch instead of once
    into the cache; "auto" does so where the decoded images take more than half of the memory, or of the room that the
    cache's disk has left. Then an epoch shuffles so many images together as `shuffle_buffer` says.
    """

    image_size: Annotated[int, Field(ge=4, le=1024)] | None = None
    unequal_size: Annotated[int, Field(ge=4, le=1024)] = 64
    channels: Literal["auto", "rgb", "grayscale"] = "auto"
    fit: Literal["auto", "crop", "pad", "squash"] = "auto"
    nested: bool = False
    path_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    validation_fraction: Share = 0.1
    test_fraction: Share = 0.1
    split_seed: int = 0
    group: str | None = Field(default=None, validation_alias=AliasChoices("group", "group_column"))
    copies: Literal["together", "near", "exact", "apart"] = "together"
    folds: Annotated[int, Field(ge=2, le=50)] | None = None
    fold: Count | None = None
    bad_files_limit: Fraction = 0.01
    streaming: bool | Literal["auto"] = "auto"
    shuffle_buffer: Count = 8192


class Stop(Table):
    """`monitor` chooses the best epoch, whose weights are restored; `patience` (epochs) ends training early.

    `sample` is how many of the validation images judge an epoch, the same ones each time; without it all of them do.
    When training is done all are predicted, whatever the sample.
    """

    monitor: Monitor = "validation_loss"
    patience: Count | None = None
    min_delta: NonNegative = 0.0
    sample: Count | None = None


class Fit(Table):
    """The loop itself. `batches = "folder"` keeps the images of one source folder together in each batch.

    `hardest` is the share of the training images that an epoch learns from: those whose loss was largest when they
    were last seen. `scales` is the share of its sides to which an image is reduced before it is learned from
    (progressive resizing: Howard, fast.ai's DAWNBench entries, 2018); it is judged and tested as it is. Both have a
    value for each epoch, and their last one holds for all that follow.

    Classes of unequal size: `class_weights` multiplies the losses of each class's images, by numbers in the order of
    the class names, or "balanced" by what gives every class the same sum; `sampler = "balanced"` draws as many images
    of every class into an epoch; `logit_adjustment` adds so many times the logarithm of the classes' shares to the
    logits that are learned from (Menon et al., ICLR 2021); `focal_gamma` is that of the focal loss (Lin et al., ICCV
    2017). With class_weights = "auto", `tenfold.training.balance` decides.

    With an `ema_decay` an exponential moving average of the weights is judged, kept and tested in the place of the
    last step's; it keeps so much of what it was at each step (0.999 averages about 1,000 steps).

    A checkpoint is written after each epoch and, within long ones, every `checkpoint_minutes`.

    With `minutes`, training ends after so long, with validations and checkpoints, in the middle of an epoch if need
    be, and the schedule follows the clock where that is ahead of the `epochs`; such a run is not the same twice.

    Where several processes learn together, `batch_norm` says whether norms see the whole batch, as one process would,
    or each process's part of it.
    """

    epochs: Count = 30
    batch_size: Count = 64
    batches: Literal["split", "folder"] = "split"
    hardest: Annotated[tuple[Part, ...], Field(min_length=1, strict=False)] = (1.0,)
    scales: Annotated[tuple[Part, ...], Field(min_length=1, strict=False)] = (1.0,)
    label_smoothing: Share = 0.0
    class_weights: ClassWeights = "auto"
    sampler: Literal["shuffled", "balanced"] = "shuffled"
    logit_adjustment: NonNegative = 0.0
    focal_gamma: NonNegative = 0.0
    ema_decay: Share = 0.0
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    batch_norm: Literal["global", "local"] = "global"
    seed: Annotated[int, Field(ge=0)] = 0
    minutes: Positive | None = None
    checkpoint_minutes: Positive = 10.0

    @property
    def balances(self) -> bool:
        """Whether anything is said about classes of unequal size."""
        said = self.class_weights not in ("auto", "none"), self.sampler == "balanced"
        return any((*said, self.logit_adjustment, self.focal_gamma))

    def weights(self, counts: Sequence[int]) -> tuple[float, ...]:
        """What `class_weights` multiplies each class's losses by, for training images of those `counts`.

        Raises InputError where there are not as many numbers as classes.
        """
        if isinstance(self.class_weights, tuple):
            if len(self.class_weights) != len(counts):
                raise InputError(
                    f"fit.class_weights: {len(self.class_weights)} numbers for {len(counts)} classes. Give one for "
                    'each, in the order of the class names, or "balanced".'
                )
            return self.class_weights
        balanced = self.class_weights == "balanced"
        return tuple(sum(counts) / (len(counts) * count) if balanced else 1.0 for count in counts)

    def emphasis(self, counts: Sequence[int]) -> tuple[float, ...] | None:
        """How much more an image of each class counts in training than one image of all, by weights, sampler and
        adjustment; None where every image counts the same.

        What is learned with an emphasis e are probabilities for classes whose shares are those of `counts` times e.
        """
        total, classes = sum(counts), len(counts)
        factors = [
            weight
            * (total / (classes * count) if self.sampler == "balanced" else 1.0)
            * (count / total) ** -self.logit_adjustment
            for weight, count in zip(self.weights(counts), counts, strict=True)
        ]
        mean = sum(factor * count for factor, count in zip(factors, counts, strict=True)) / total
        if max(factors) - min(factors) < 1e-9:
            return None
        return tuple(factor / mean for factor in factors)

    def shares(self, epochs: int) -> tuple[float, ...]:
        """What share of the training images each of the first `epochs` epochs learns from."""
        return _first(self.hardest, epochs)

    def work(self, epochs: int) -> tuple[float, ...]:
        """What share of the training images' pixels each of the first `epochs` epochs learns from."""
        pairs = zip(self.shares(epochs), _first(self.scales, epochs), strict=True)
        return tuple(share * scale**2 for share, scale in pairs)

    def scale(self, epoch: int) -> float:
        """The share of their sides that images have in an epoch, counted from 1."""
        return _first(self.scales, epoch)[-1]


def _first(values: tuple[float, ...], epochs: int) -> tuple[float, ...]:
    """What `values` say of the first `epochs` epochs."""
    return tuple(values[min(epoch, len(values)) - 1] for epoch in range(1, epochs + 1))


class Sweep(Table):
    """What `tenfold sweep` varies: `space` maps keys to lists of values or to ranges such as "1e-4..1e-1:log"."""

    space: dict[str, Any] = Field(default_factory=dict)
    seeds: Count = 1
    search: Literal["grid", "random", "tpe"] | None = None
    trials: Count | None = None
    prune: bool = False


class Recipe(Table):
    """One experiment, whole: what `recipe.toml` in a run folder holds."""

    about: About = About()
    data: Data = Data()
    augment: tuple[Choice, ...] = ()
    model: Choice
    optimizer: Choice
    schedule: Choice = Choice(name="constant")
    stop: Stop = Stop()
    fit: Fit = Fit()
    sweep: Sweep | None = None

    @property
    def solves_head(self) -> bool:
        """Whether all that is fitted is a logistic head on a frozen backbone's features, which has one optimum."""
        options = self.model.options
        return options.get("head") == "logistic" and not options.get("unfreeze")

    @property
    def model_words(self) -> list[str]:
        """The words of the command line that hand its model over, where that is a module of the user's own."""
        return own_words(self.model.options.get("code", "")) if self.model.name == OWN else []

    def to_tables(self) -> dict[str, Any]:
        """The recipe as plain tables of TOML's types, made anew each time."""
        return self.model_dump(mode="json", exclude_none=True)

    def unmeasured(self) -> "Recipe":
        """The recipe without what was measured of it, which does not hold for other data."""
        return self.model_copy(update={"about": About(summary=self.about.summary)})

    def to_toml(self) -> str:
        """The recipe as TOML; `load_recipe` reads it back to an equal recipe."""
        return tomli_w.dumps(self.to_tables())


def check(tables: dict[str, Any], options: bool = True) -> tuple[Recipe | None, list[str]]:
    """Validate every table and choice and fill in their options; the recipe (None if faulty), and the faults.

    Without `options`, those of components are left as they are, and the components are not imported.
    """
    faults: list[str] = []
    tables = {name: value for name, value in tables.items() if value is not None}
    for kind in COMPONENTS:
        value = tables.get(kind)
        if kind == "augment" and isinstance(value, list | tuple):
            tables[kind] = tuple(
                check_choice(kind, entry, faults) if options and isinstance(entry, dict) else entry
                for entry in value
            )
        elif options and kind != "augment" and isinstance(value, dict):
            tables[kind] = check_choice(kind, _meant(kind, value), faults)
    try:
        recipe = Recipe(**_without_none(tables))
    except ValidationError as error:
        faults += [_sentence(fault, Recipe) for fault in error.errors()]
        recipe = None
    return recipe, faults


def _without_none(tables: dict[str, Any]) -> dict[str, Any]:
    """The tables without the values that are removed; where a key knows "none" as a word, it is meant."""
    return {
        name: {key: value for key, value in _meant(name, table).items() if value is not None}
        if isinstance(table, dict)
        else table
        for name, table in tables.items()
    }


def _meant(name: str, table: dict[str, Any]) -> dict[str, Any]:
    key = _NONE_IS_SAID.get(name)
    return table | {key: "none"} if key in table and table[key] is None else table


def _sentence(fault: Any, model: type[BaseModel]) -> str:
    """One line for one of pydantic's faults: the dotted key, what was given, what was expected."""
    keys = [str(part) for part in fault["loc"]]
    where = ".".join(keys)
    if fault["type"] == "extra_forbidden":
        table = model
        for key in keys[:-1]:
            table = _table_type(table, key)
        kind = "table" if table is model else "key"
        valid = list(table.model_fields)
        return f"{where}: there is no such {kind}{nearest(keys[-1], valid)}; valid: {', '.join(valid)}"
    if fault["type"] == "missing":
        return f"{where}: a value is needed"
    if fault["type"] == "model_type" or keys == ["augment"]:
        expected = "tables, each under [[augment]]" if keys[0] == "augment" else f"a table, [{where}]"
        return f"{where}={fault['input']!r}: expected {expected}"
    return f"{where}={fault['input']!r}: {reason(fault)}"


def _table_type(model: type[BaseModel], key: str) -> type[BaseModel]:
    annotation = model.model_fields[key].annotation
    options = [annotation, *get_args(annotation)]
    return next(o for o in options if isinstance(o, type) and o is not NoneType and issubclass(o, BaseModel))
