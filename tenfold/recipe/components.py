"""Choices: the name of a component and its options, checked against that component's own signature.

A recipe's `[model]`, `[optimizer]`, `[schedule]` and each `[[augment]]` name an entry of a dictionary such as
`tenfold.models.MODELS` and set its keyword-only parameters. Those signatures are the only place where an option, its
type and its default are written down; they are read here when a recipe is checked. The number types are what
components annotate their options with.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from pkgutil import resolve_name
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from tenfold.core.errors import nearest

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# A share that must not be nothing.
Part = Annotated[float, Field(gt=0, le=1)]
# A share that must leave something over: a dropout rate, a part of the images, a decay.
Share = Annotated[float, Field(ge=0, lt=1)]

MONITORS = (
    "validation_loss",
    "validation_accuracy",
    "validation_f1_macro",
    "validation_balanced_accuracy",
)
MONITOR_ALIASES = {
    "f1_macro": "validation_f1_macro",
    "balanced_accuracy": "validation_balanced_accuracy",
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

# The dictionaries that give names their meaning. They are named here, not imported, because this module lies
# below them, and because `tenfold recipes` should not have to load torch.
COMPONENTS = {
    "model": "tenfold.models:MODELS",
    "optimizer": "tenfold.training.optimizers:OPTIMIZERS",
    "schedule": "tenfold.training.schedules:SCHEDULES",
    "augment": "tenfold.augment:AUGMENTATIONS",
}


# The model that is a module of the user's own.
OWN = "own"


class Choice(BaseModel):
    """The name of a component and its options, for instance `name = "sgd"`, `lr = 0.01`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Every option by name, defaults included."""
        return dict(self.model_extra or {})


def own_words(code: str) -> list[str]:
    """The words of the command line that hand over a module of the user's own; `code` is "" where it is unknown."""
    return ["--model", code or "PACKAGE.MODULE:NAME", "--trust-code"]


def components(table: str) -> Mapping[str, Callable[..., Any]]:
    """The dictionary whose entries the table `[table]` of a recipe can name."""
    return resolve_name(COMPONENTS[table])


def options_of(component: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options that a recipe can set on a component: its keyword-only parameters."""
    parameters = inspect.signature(component).parameters
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def takes(component: Callable[..., Any], option: str, value: Any) -> bool:
    """Whether the component has this option, and the value would do for it."""
    faults: list[str] = []
    if option in options_of(component):
        _checked_value(option, _types(component)[option], value, faults)
        return not faults
    return False


def check_choice(kind: str, table: dict[str, Any], faults: list[str]) -> dict[str, Any]:
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
        faults += [f"{where}={value!r}: {reason(fault)}" for fault in error.errors()[:1]]
        return value


def reason(fault: Any) -> str:
    """What one of pydantic's faults says, in a recipe's words and as the end of a sentence."""
    message = str(fault["msg"]).removeprefix("Value error, ").replace("a valid tuple", "a list")
    return message[0].lower() + message[1:]
