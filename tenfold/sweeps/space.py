"""What a sweep varies: keys of a recipe over listed values or over ranges, as words, TOML or Python say it."""

import itertools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tenfold.core.errors import InputError
from tenfold.core.text import read_toml
from tenfold.recipe import Recipe, load_recipe
from tenfold.recipe.overrides import parse_value

# What would give the trials other images to learn from, to be judged on, or to be tested on.
_SPLITTING = ("data.validation_fraction", "data.test_fraction", "data.split_seed", "data.bad_files_limit")


@dataclass(frozen=True)
class Values:
    """Listed values, in their order."""

    values: tuple[Any, ...]

    def written(self) -> list[Any]:
        """As JSON and TOML hold it."""
        return [list(value) if isinstance(value, tuple) else value for value in self.values]


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included: whole numbers if both are, by their logarithm if `log`."""

    low: int | float
    high: int | float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are in it."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def written(self) -> str:
        """As the command line, JSON and TOML hold it."""
        return f"{self.low!r}..{self.high!r}{':log' if self.log else ''}"


Dimension = Values | Range
Space = dict[str, Dimension]


def split_words(words: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """Part `KEY=...` words into what varies (several values, or a range) and plain overrides (one value)."""
    varied, overrides = {}, []
    for word in words:
        key, equals, text = word.partition("=")
        if equals and _RANGE.fullmatch(text):
            varied[key] = text
        elif equals and len(values := _listed(key, text)) > 1:
            varied[key] = values
        else:
            overrides.append(word)
    return varied, overrides


def read_space(recipe: Recipe, varied: Mapping[str, Any]) -> Space:
    """The dimensions of `varied` (a list of values, or `LOW..HIGH` with `:log`), checked against the recipe.

    Raises InputError naming every key that the recipe does not have, every empty or impossible range, and every
    end of a range that has the wrong type. Listed values are checked with their candidates.
    """
    faults: list[str] = []
    space = {}
    for key, written in varied.items():
        try:
            dimension = _read_dimension(key, written)
            if isinstance(dimension, Range):
                dimension = _checked_range(recipe, key, dimension)
            space[key] = dimension
        except InputError as error:
            faults.append(str(error))
        faults += _forbidden(key)
    if faults:
        raise InputError("\n".join(["the sweep cannot be run:", *(f"  {fault}" for fault in faults)]))
    return space


def write_space(space: Space) -> dict[str, Any]:
    """What `read_space` reads back, as JSON holds it."""
    return {key: dimension.written() for key, dimension in space.items()}


def grid_size(space: Space) -> int:
    """How many candidates the grid has. Raises InputError where a range has no grid."""
    for key, dimension in space.items():
        if isinstance(dimension, Range):
            raise InputError(
                f"{key}={dimension.written()}: a range has no grid. List its values, or use --search random or tpe."
            )
    return math.prod(len(dimension.values) for dimension in space.values() if isinstance(dimension, Values))


def grid(space: Space) -> list[dict[str, Any]]:
    """Every combination of the listed values; the last key varies fastest."""
    values = [dimension.values for dimension in space.values() if isinstance(dimension, Values)]
    return [dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*values)]


def label(values: Mapping[str, Any]) -> str:
    """A candidate for people, such as `model.filters=16, optimizer.lr=0.01`."""
    return ", ".join(f"{key}={value_label(value)}" for key, value in values.items()) or "the recipe as it is"


def candidate_label(values: Mapping[str, Any]) -> str:
    """A candidate within a sentence: in brackets where it has a comma of its own."""
    return f"({label(values)})" if len(values) > 1 else label(values)


def value_label(value: Any) -> str:
    """A value for people."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(value_label, value)) + "]"
    return "none" if value is None else str(value)


def is_number(value: Any) -> bool:
    """Whether a value is a number; True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


_RANGE = re.compile(r"([-+\w.]+?)\.\.([-+\w.]+)(?::(\w+))?")


def _listed(key: str, text: str) -> list[Any]:
    """The values of `text`, parted at its commas; TOML where it is, so that lists and quoted commas stay whole."""
    try:
        return read_toml(f"values = [{text}]")["values"]
    except ValueError:
        parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and not all(parts):
        raise InputError(f"{key}={text}: there is an empty value. Give values such as {key}=1,2,3.")
    return [parse_value(part) for part in parts]


def _read_dimension(key: str, written: Any) -> Dimension:
    if isinstance(written, str) and (match := _RANGE.fullmatch(written)):
        return _read_range(key, written, *match.groups())
    if isinstance(written, str) or not isinstance(written, Iterable):
        raise InputError(f"{key}={written!r}: expected a list of values, or a range such as 1e-4..1e-1:log.")
    values = tuple(tuple(value) if isinstance(value, list) else value for value in written)
    if not values:
        raise InputError(f"{key}: has no values. Give some, such as {key}=1,2,3.")
    twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
    if twice is not None:
        raise InputError(
            f"{key}: {value_label(twice)} is listed twice. Name each value once; --seeds repeats."
        )
    return Values(values)


def _read_range(key: str, written: str, low: str, high: str, scale: str | None) -> Range:
    ends = parse_value(low), parse_value(high)
    if not all(is_number(end) and math.isfinite(end) for end in ends):
        raise InputError(f"{key}={written}: the ends of a range are numbers, as in 1e-4..1e-1:log.")
    if scale not in (None, "log"):
        raise InputError(f"{key}={written}: there is no scale {scale!r}; a range may end in :log.")
    if ends[0] >= ends[1]:
        raise InputError(
            f"{key}={written}: the range is empty. The lower end comes first, and the ends differ."
        )
    if scale and ends[0] <= 0:
        raise InputError(f"{key}={written}: a logarithmic range begins above zero.")
    return Range(*ends, log=scale == "log")


def _checked_range(recipe: Recipe, key: str, dimension: Range) -> Range:
    for end in (dimension.low, dimension.high):
        load_recipe(recipe, {key: end})
    if dimension.whole:
        try:  # Whole ends of an option that takes any number, as in weight_decay=0..1, do not mean 0 and 1 alone.
            load_recipe(recipe, {key: (dimension.low + dimension.high) / 2})
        except InputError:
            return dimension
        return Range(float(dimension.low), float(dimension.high), dimension.log)
    return Range(float(dimension.low), float(dimension.high), dimension.log)


def _forbidden(key: str) -> list[str]:
    if key == "fit.seed":
        return ["fit.seed: seeds are not a value to choose by; --seeds N repeats every trial with N seeds"]
    if key in _SPLITTING:
        return [f"{key}: the trials of a sweep are compared on the same images, so this cannot vary"]
    if key.startswith(("sweep.", "about.")):
        return [f"{key}: is not part of an experiment, so it cannot vary"]
    return []
