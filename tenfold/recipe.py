"""Recipes: TOML plus `key=value` overrides, checked as a whole into one frozen, typed value.

A recipe has plain tables (`[data]`, `[stop]`, `[fit]`, `[sweep]`) and choices (`[model]`, `[optimizer]`,
`[schedule]`, `[[augment]]`): a choice names an entry of a dictionary such as `tenfold.models.MODELS` and sets its
keyword-only parameters. Those signatures are the only place where a parameter, its type and its default are
written down; this module reads them there when it checks a recipe.
"""

import inspect
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_type_hints

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from tenfold.errors import InputError, nearest

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# A share that must leave something over: a dropout rate, a part of the images, a decay.
Share = Annotated[float, Field(ge=0, lt=1)]

# The dictionaries that give names their meaning. They are named here, not imported, because this module lies
# below them, and because `tenfold recipes` should not have to load torch.
COMPONENTS = {
    "model": "tenfold.models:MODELS",
    "optimizer": "tenfold.optim:OPTIMIZERS",
    "schedule": "tenfold.optim:SCHEDULES",
    "augment": "tenfold.augment:AUGMENTATIONS",
}

MONITORS = ("validation_loss", "validation_accuracy")
MONITOR_ALIASES = {
    "val_loss": "validation_loss",
    "val_acc": "validation_accuracy",
    "val_accuracy": "validation_accuracy",
}


def _monitor(name: object) -> object:
    name = MONITOR_ALIASES.get(name, name) if isinstance(name, str) else name
    if name not in MONITORS:
        hint = nearest(str(name), MONITORS)
        raise ValueError(f"no metric {name!r}{hint}; valid: {', '.join((*MONITORS, *MONITOR_ALIASES))}")
    return name


# The name of a metric that every epoch measures on validation data, under its own name or Keras' aliases.
Monitor = Annotated[str, BeforeValidator(_monitor)]


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
    brought to `unequal_size` where their sizes differ or are too large.
    """

    image_size: Annotated[int, Field(ge=4, le=1024)] | None = None
    unequal_size: Annotated[int, Field(ge=4, le=1024)] = 64
    channels: Literal["auto", "rgb", "grayscale"] = "auto"
    validation_fraction: Share = 0.1
    test_fraction: Share = 0.1
    split_seed: int = 0
    bad_files_limit: Fraction = 0.01


class Choice(BaseModel):
    """The name of a component and its options, for instance `name = "sgd"`, `lr = 0.01`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Every option by name, defaults included."""
        return dict(self.model_extra or {})


class Stop(Table):
    """`monitor` chooses the best epoch, whose weights are restored; `patience` (epochs) ends training early."""

    monitor: Monitor = "validation_loss"
    patience: Count | None = None
    min_delta: NonNegative = 0.0


class Fit(Table):
    """The loop itself. `batches = "folder"` keeps the images of one source folder together in each batch."""

    epochs: Count = 30
    batch_size: Count = 64
    batches: Literal["split", "folder"] = "split"
    label_smoothing: Share = 0.0
    seed: Annotated[int, Field(ge=0)] = 0


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

    def to_toml(self) -> str:
        """The recipe as TOML; `load_recipe` reads it back to an equal recipe."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def load_recipe(recipe: str | Path | Recipe, overrides: Iterable[str] | Mapping[str, Any] = ()) -> Recipe:
    """A built-in recipe by name, a TOML file by path, or a Recipe, with `key=value` overrides applied.

    Values are TOML (`5`, `0.01`, `true`, `[1, 2]`); anything else is taken as a string, and `none` removes an
    optional value. Keys name tables with a dot; an augmentation is reached by its name or number
    (`augment.rotation.factor=0.1`). Overrides may also be a mapping such as `{"fit.epochs": 5}`. Raises
    InputError naming every fault at once.
    """
    if isinstance(recipe, Recipe):
        return _load("the recipe", tomllib.loads(recipe.to_toml()), overrides)
    path = find_recipe(recipe)
    return _load(f"recipe {path.stem!r}", _read_toml(path), overrides)


def parse_recipe(text: str) -> Recipe:
    """The recipe of a TOML text, such as `Recipe.to_toml` gives. Raises InputError naming every fault at once."""
    return _load("the recipe", tomllib.loads(text), ())


def _load(title: str, tables: dict[str, Any], overrides: Iterable[str] | Mapping[str, Any]) -> Recipe:
    faults = _apply_overrides(tables, overrides)
    checked, more = _check(tables)
    faults += more
    if faults or checked is None:
        raise InputError("\n".join([f"{title} cannot be used:", *(f"  {fault}" for fault in faults)]))
    return checked


def find_recipe(name_or_path: str | Path) -> Path:
    """The TOML file of a built-in recipe's name or of a path. Raises InputError naming the nearest recipe."""
    path = Path(name_or_path)
    if path.suffix == ".toml" or len(path.parts) > 1:
        if not path.is_file():
            raise InputError(
                f"{path}: there is no such recipe file. `tenfold recipes` lists the built-in ones."
            )
        return path
    known = builtin_recipes()
    if str(name_or_path) not in known:
        raise InputError(
            f"there is no recipe {str(name_or_path)!r}{nearest(str(name_or_path), list(known))}. "
            "`tenfold recipes` lists them; a recipe of your own is given by its path, ending in .toml."
        )
    return known[str(name_or_path)]


def builtin_recipes() -> dict[str, Path]:
    """Name and file of every recipe that comes with tenfold, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "recipes").glob("*.toml"))}


def read_about(path: Path) -> About:
    """Only the `[about]` table of a recipe file: quick, for listing."""
    return About(**_read_toml(path).get("about", {}))


def components(table: str) -> Mapping[str, Callable[..., Any]]:
    """The dictionary whose entries the table `[table]` of a recipe can name."""
    return resolve_name(COMPONENTS[table])


def options_of(component: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options that a recipe can set on a component: its keyword-only parameters."""
    parameters = inspect.signature(component).parameters
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as TOML: {error}. Mend the file; see `tenfold show digits`."
        ) from None


# Overrides ---------------------------------------------------------------------------------------------------


def _apply_overrides(tables: dict[str, Any], overrides: Iterable[str] | Mapping[str, Any]) -> list[str]:
    """Write each override into `tables`; return the faults."""
    faults, values = [], []
    if isinstance(overrides, Mapping):
        values, overrides = list(overrides.items()), ()
    for override in overrides:
        key, equals, text = override.partition("=")
        if equals:
            values.append((key, parse_value(text)))
        else:
            faults.append(f"{override!r}: expected TABLE.KEY=VALUE, for instance fit.epochs=5")
    # Names first: changing a component's name drops what the new component does not understand.
    for key, value in sorted(values, key=lambda pair: pair[0] != "augment" and not pair[0].endswith(".name")):
        fault = _set(tables, key.split("."), value)
        faults += [f"{key}={value!r}: {fault}"] if fault else []
    return faults


def parse_value(text: str) -> Any:
    """A value as an override writes it: TOML, `none`, or else the text itself."""
    if text.lower() in {"none", "null"}:
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _set(tables: dict[str, Any], keys: list[str], value: Any) -> str | None:
    """Put `value` where `keys` lead; return the fault if they lead nowhere."""
    match keys:
        case ["augment"]:
            tables["augment"] = value
            return None
        case ["augment", which, key]:
            table = _augmentations(tables).get(which)
        case [name, key] if name and key and name != "augment":
            table = tables.setdefault(name, {})
        case _:
            return "expected TABLE.KEY=VALUE or augment.NAME.OPTION=VALUE, for instance fit.epochs=5"
    if not isinstance(table, dict):
        names = ", ".join(sorted(name for name in _augmentations(tables) if not name.isdecimal())) or "none"
        return f"there is no such augmentation here; there are: {names}" if len(keys) == 3 else None
    if key == "name" and keys[0] in COMPONENTS:
        _forget_options(table, keys[0], value)
    table[key] = value
    return None


def _augmentations(tables: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The `[[augment]]` tables by number and by name; anything else in their place is for the check to report."""
    value = tables.get("augment")
    entries = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list | tuple) else []
    return {str(e.get("name")): e for e in reversed(entries)} | {str(i): e for i, e in enumerate(entries)}


def _forget_options(table: dict[str, Any], kind: str, name: Any) -> None:
    """Before a component's name changes: drop the options that the new one does not have or take."""
    component = components(kind).get(name) if isinstance(name, str) else None
    if component is None or name == table.get("name"):
        return
    for option, value in list(table.items()):
        faults: list[str] = []
        if option in options_of(component):
            _checked_value(option, _types(component)[option], value, faults)
        if option not in options_of(component) or faults:
            del table[option]


# Checking ----------------------------------------------------------------------------------------------------


def _check(tables: dict[str, Any]) -> tuple[Recipe | None, list[str]]:
    """Validate every table and every choice; fill in the defaults of the choices' options."""
    faults: list[str] = []
    tables = {name: value for name, value in tables.items() if value is not None}
    for kind in COMPONENTS:
        value = tables.get(kind)
        if kind == "augment" and isinstance(value, list | tuple):
            tables[kind] = tuple(
                _check_choice(kind, entry, faults) if isinstance(entry, dict) else entry for entry in value
            )
        elif kind != "augment" and isinstance(value, dict):
            tables[kind] = _check_choice(kind, value, faults)
    try:
        recipe = Recipe(**_without_none(tables))
    except ValidationError as error:
        faults += [_sentence(fault, Recipe) for fault in error.errors()]
        recipe = None
    return recipe, faults


def _without_none(tables: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in table.items() if value is not None}
        if isinstance(table, dict)
        else table
        for name, table in tables.items()
    }


def _check_choice(kind: str, table: dict[str, Any], faults: list[str]) -> dict[str, Any]:
    """The table with its options validated and its defaults filled in; faults are added to `faults`."""
    known, name = components(kind), table.get("name")
    if not isinstance(name, str) or name not in known:
        hint = nearest(str(name), list(known))
        faults.append(f"{kind}.name: there is no {kind} {name!r}{hint}; valid: {', '.join(known)}")
        return {"name": str(name)}
    where = kind if kind != "augment" else f"augment.{name}"
    parameters, types = options_of(known[name]), _types(known[name])
    given = {option: value for option, value in table.items() if option != "name"}
    checked: dict[str, Any] = {"name": name}
    for option in [option for option in given if option not in parameters]:
        valid = f"valid: {', '.join(parameters)}" if parameters else "it has no options"
        faults.append(
            f"{where}.{option}: {name!r} has no such option{nearest(option, list(parameters))}; {valid}"
        )
    for option, parameter in parameters.items():
        if option in given:
            checked[option] = _checked_value(f"{where}.{option}", types[option], given[option], faults)
        elif parameter.default is parameter.empty:
            faults.append(f"{where}.{option}: {name!r} needs a value for it")
        else:
            checked[option] = parameter.default
    return checked


@cache
def _types(component: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(
        component.__init__ if inspect.isclass(component) else component, include_extras=True
    )


def _checked_value(where: str, annotation: Any, value: Any, faults: list[str]) -> Any:
    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(strict=True))
        return adapter.validate_python(tuple(value) if isinstance(value, list) else value)
    except ValidationError as error:
        faults += [f"{where}={value!r}: {_reason(fault)}" for fault in error.errors()[:1]]
        return value


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
    if fault["type"] in {"model_type", "tuple_type"}:
        expected = "tables, each under [[augment]]" if keys[0] == "augment" else f"a table, [{where}]"
        return f"{where}={fault['input']!r}: expected {expected}"
    return f"{where}={fault['input']!r}: {_reason(fault)}"


def _table_type(model: type[BaseModel], key: str) -> type[BaseModel]:
    annotation = model.model_fields[key].annotation
    options = [annotation, *get_args(annotation)]
    return next(o for o in options if isinstance(o, type) and o is not NoneType and issubclass(o, BaseModel))


def _reason(fault: Any) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ").replace("a valid tuple", "a list")
    return message[0].lower() + message[1:]
