"""Recipes: TOML and `key=value` overrides, checked as a whole into one frozen, typed value."""

from tenfold.recipe.composition import Composition as Composition
from tenfold.recipe.composition import builtin_recipes as builtin_recipes
from tenfold.recipe.composition import load_recipe as load_recipe
from tenfold.recipe.composition import parse_recipe as parse_recipe
from tenfold.recipe.composition import read_about as read_about
from tenfold.recipe.overrides import Overrides as Overrides
from tenfold.recipe.schema import About as About
from tenfold.recipe.schema import Data as Data
from tenfold.recipe.schema import Fit as Fit
from tenfold.recipe.schema import Recipe as Recipe
from tenfold.recipe.schema import Stop as Stop
from tenfold.recipe.schema import Sweep as Sweep
