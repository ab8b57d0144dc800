"""How a recipe comes about: a base and layers of changes, put together once and checked once.

The base is a built-in recipe's name, a TOML file or a Recipe.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.core.errors import InputError, nearest
from tenfold.core.text import read_toml
from tenfold.recipe.overrides import Overrides, apply_overrides
from tenfold.recipe.schema import About, Recipe, check


@dataclass(frozen=True)
class Composition:
    """A recipe as it is asked for; nothing is read or checked before it is resolved.

    On the `base` (None: one that suits the source, which whoever resolves it has to put there) come, each over the
    one before: `beneath`, changes that the overrides are checked against; the user's `overrides`; `seed`; `minutes`;
    `folds`.
    """

    base: str | Path | Recipe | None = None
    overrides: Overrides = ()
    seed: int | None = None
    minutes: float | None = None
    beneath: Overrides = ()
    folds: int | None = None

    def __post_init__(self) -> None:
        for name, layer in (("overrides", self.overrides), ("beneath", self.beneath)):
            kept = (
                dict(layer) if isinstance(layer, Mapping) else tuple(layer)
            )  # an iterator is read only once
            object.__setattr__(self, name, kept)

    @property
    def name(self) -> str:
        """What to call it: its file's name, or "recipe" where it is only a value."""
        return Path(self.base).stem if isinstance(self.base, str | Path) else "recipe"

    @property
    def layers(self) -> tuple[Overrides, ...]:
        """The changes, the first of which is made first."""
        seed = {} if self.seed is None else {"fit.seed": self.seed}
        minutes = {} if self.minutes is None else {"fit.minutes": float(self.minutes)}
        folds = {} if self.folds is None else {"data.folds": self.folds}
        return (self.beneath, self.overrides, {**seed, **minutes, **folds})

    def resolve(self) -> Recipe:
        """The recipe. Raises InputError naming the faults of all layers at once, or the nearest known recipe."""
        title, tables = _read_base(self.base)
        return _resolved(title, tables, self.layers)


def load_recipe(recipe: str | Path | Recipe, overrides: Overrides = ()) -> Recipe:
    """A built-in recipe by name, a TOML file by path, or a Recipe, with `key=value` overrides applied.

    Values are TOML (`5`, `0.01`, `true`, `[1, 2]`); anything else is taken as a string, and `none` removes an
    optional value. Keys name tables with a dot; an augmentation is reached by its name or number
    (`augment.rotation.factor=0.1`). Overrides may also be a mapping such as `{"fit.epochs": 5}`. Raises
    InputError naming every fault at once.
    """
    return Composition(recipe, overrides).resolve()


def parse_recipe(text: str, options: bool = True) -> Recipe:
    """The recipe of a TOML text, such as `Recipe.to_toml` gives. Raises InputError naming every fault at once.

    Without `options`, those of its components are taken as they stand: see `check`.
    """
    try:
        tables = read_toml(text)
    except ValueError as error:
        raise InputError(f"the recipe cannot be read as TOML: {error}") from None
    return _resolved("the recipe", tables, (), options)


def _resolved(
    title: str, tables: dict[str, Any], layers: tuple[Overrides, ...], options: bool = True
) -> Recipe:
    faults = [fault for layer in layers for fault in apply_overrides(tables, layer)]
    recipe, more = check(tables, options)
    faults += more
    if faults or recipe is None:
        raise InputError("\n".join([f"{title} cannot be used:", *(f"  {fault}" for fault in faults)]))
    return recipe


def _read_base(base: str | Path | Recipe | None) -> tuple[str, dict[str, Any]]:
    """What to call it in a message, and its tables."""
    if base is None:
        raise ValueError("a composition without a base: choose a recipe for the source first")
    if isinstance(base, Recipe):
        return "the recipe", base.to_tables()
    path = find_recipe(base)
    return f"recipe {path.stem!r}", _read_toml(path)


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
            f"there is no recipe {str(name_or_path)!r}{nearest(str(name_or_path), list(known))}, and no folder of "
            "that name here. `tenfold recipes` lists the recipes; one of your own is given by its path, ending in "
            ".toml. Images are given by the path of their folder."
        )
    return known[str(name_or_path)]


def builtin_recipes() -> dict[str, Path]:
    """Name and file of every recipe that comes with tenfold, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "builtin").glob("*.toml"))}


def read_about(path: Path) -> About:
    """Only the `[about]` table of a recipe file: quick, for listing."""
    return About(**_read_toml(path).get("about", {}))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as TOML: {error}. Mend the file; see `tenfold show digits`."
        ) from None
