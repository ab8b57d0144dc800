"""The pages of the site that are made from the code: commands, recipe keys, the Python face, the kernels' map.

A hook of mkdocs (see mkdocs.yml). Each page is made when the site is built and lies in no repository.
"""

import inspect
import re
from pathlib import Path
from pkgutil import resolve_name
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from annotated_types import Ge, Gt, Le, Lt
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tenfold.cli import app
from tenfold.recipe import Recipe
from tenfold.recipe.components import COMPONENTS, components, options_of

ROOT = Path(__file__).parent.parent
TABLES = ("data", "stop", "fit", "sweep")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    pages = {"commands": commands, "recipe": recipe_keys, "python": python_face, "kernels": kernels}
    for name, make in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=make()))
    return files


def commands() -> str:
    """Every verb with its arguments and options, as its `--help` has them."""
    group = typer.main.get_command(app)
    context = group.make_context("tenfold", [], resilient_parsing=True)
    parts = ["# Commands", "`tenfold COMMAND --help` says the same."]
    for name in group.list_commands(context):
        verb = group.get_command(context, name)
        records = [record for option in verb.params if (record := option.get_help_record(context))]
        rows = [(re.sub(r" <.*>$", "", label), meaning) for label, meaning in records]
        words = ["tenfold", name, *(label for label, _ in rows if not label.startswith("-"))]
        parts += [f"## {name}", f"`{' '.join(words)}`", inspect.cleandoc(verb.help or "")]
        parts += [_table(("", "meaning"), [(f"`{label}`", meaning) for label, meaning in rows])]
    return "\n\n".join(parts)


def recipe_keys() -> str:
    """Every key of a recipe with type and default, read from where recipes are checked."""
    parts = [
        "# Recipe",
        "A recipe is a TOML file. Every key can be changed on the command line: `fit.epochs=5`. "
        "`tenfold show RECIPE` prints a whole recipe.",
    ]
    for name in TABLES:
        annotation = Recipe.model_fields[name].annotation
        model = next(
            kind
            for kind in (annotation, *get_args(annotation))
            if inspect.isclass(kind) and issubclass(kind, BaseModel)
        )
        types = get_type_hints(model, include_extras=True)
        rows = [
            (f"`{name}.{key}`", _plain(types[key]), _default(field))
            for key, field in model.model_fields.items()
        ]
        parts += [f"## [{name}]", inspect.getdoc(model) or "", _table(("key", "type", "default"), rows)]
    for kind in COMPONENTS:
        parts += [f"## {'[[augment]]' if kind == 'augment' else f'[{kind}]'}", "`name` is one of these:"]
        for name, component in components(kind).items():
            parts += [f"### {name}", inspect.getdoc(component) or ""]
            types = get_type_hints(
                component.__init__ if inspect.isclass(component) else component, include_extras=True
            )
            rows = [
                (f"`{option.name}`", _plain(types[option.name]), _value(option.default))
                for option in options_of(component).values()
            ]
            parts += [_table(("option", "type", "default"), rows)] if rows else []
    return "\n\n".join(parts)


def python_face() -> str:
    """The public names of `tenfold/__init__.pyi`, documented where they are defined."""
    face = (ROOT / "tenfold" / "__init__.pyi").read_text(encoding="utf-8")
    names = re.findall(r"^from \.(\S+) import (\w+)", face, re.MULTILINE)
    parts = ["# Python", "All of these are names of `tenfold`: `tenfold.train`, `tenfold.load_run`, ..."]
    for module, name in sorted(names, key=lambda pair: pair[1].lower()):
        wing = ROOT / "tenfold" / module.partition(".")[0]
        # mkdocstrings finds nothing in a folder without `__init__.py`.
        parts.append(
            f"::: tenfold.{module}.{name}" if (wing / "__init__.py").exists() else _inspected(module, name)
        )
    return "\n\n".join(parts)


def _inspected(module: str, name: str) -> str:
    """The signature and the docstring of a public name."""
    found = resolve_name(f"tenfold.{module}:{name}")
    return f"## {name}\n\n```python\n{name}{inspect.signature(found)}\n```\n\n{inspect.getdoc(found) or ''}"


def kernels() -> str:
    """The map that lies beside the kernels."""
    return (ROOT / "tenfold" / "kernels" / "README.md").read_text(encoding="utf-8")


_WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text", NoneType: "none"}


def _plain(annotation: Any) -> str:
    """A type in a reader's words: `list of number above 0`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        base, *rest = arguments
        limits = [limit for field in rest if isinstance(field, FieldInfo) for limit in field.metadata]
        return f"{_plain(base)} {', '.join(_bounds(limits))}".rstrip()
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(map(_plain, arguments))
    if origin is tuple:
        return f"list of {_plain(arguments[0])}"
    return "table" if origin is dict else _WORDS[annotation]


def _bounds(limits: list[Any]) -> list[str]:
    words = []
    for limit in limits:
        match limit:
            case Ge(ge=number):
                words.append(f"at least {number}")
            case Gt(gt=number):
                words.append(f"above {number}")
            case Le(le=number):
                words.append(f"at most {number}")
            case Lt(lt=number):
                words.append(f"below {number}")
    return words


def _default(field: FieldInfo) -> str:
    return "" if field.is_required() else _value(field.get_default(call_default_factory=True))


def _value(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "needed"
    if value is None:
        return "none"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
