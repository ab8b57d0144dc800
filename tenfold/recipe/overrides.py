"""`key=value` overrides of a recipe's tables, before they are checked."""

from collections.abc import Iterable, Mapping
from typing import Any

from tenfold.core.text import cut, read_toml
from tenfold.recipe.components import COMPONENTS, components, takes

# `key=value` texts, or a mapping of keys to values.
Overrides = Iterable[str] | Mapping[str, Any]


def apply_overrides(tables: dict[str, Any], overrides: Overrides) -> list[str]:
    """Write each override into `tables`; return the faults."""
    faults, values = [], []
    if isinstance(overrides, Mapping):
        values, overrides = list(overrides.items()), ()
    for override in overrides:
        key, equals, text = override.partition("=")
        if equals:
            values.append((key, parse_value(text)))
        else:
            faults.append(f"{cut(repr(override))}: expected TABLE.KEY=VALUE, for instance fit.epochs=5")
    # Names first: changing a component's name drops what the new component does not understand.
    for key, value in sorted(values, key=lambda pair: pair[0] != "augment" and not pair[0].endswith(".name")):
        fault = _set(tables, key.split("."), value)
        faults += [f"{cut(key)}={cut(repr(value))}: {fault}"] if fault else []
    return faults


def of_table(overrides: Overrides, table: str) -> Overrides:
    """Those overrides whose key is one of `table`, such as data."""
    if isinstance(overrides, Mapping):
        return {key: value for key, value in overrides.items() if key.partition(".")[0] == table}
    return [text for text in overrides if text.partition("=")[0].partition(".")[0].strip() == table]


def parse_value(text: str) -> Any:
    """A value as an override writes it: TOML, `none`, or else the text itself."""
    if text.lower() in {"none", "null"}:
        return None
    try:
        return read_toml(f"value = {text}")["value"]
    except ValueError:
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
    for option in [option for option, value in table.items() if not takes(component, option, value)]:
        del table[option]
