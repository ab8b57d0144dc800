"""Recipes: TOML and `key=value` overrides, checked as a whole into one frozen, typed value."""

from tenfold.recipe.schema import About as About
from tenfold.recipe.schema import Data as Data
from tenfold.recipe.schema import Fit as Fit
from tenfold.recipe.schema import Recipe as Recipe
from tenfold.recipe.schema import Stop as Stop
from tenfold.recipe.schema import Sweep as Sweep
from tenfold.recipe.schema import builtin_recipes as builtin_recipes
from tenfold.recipe.schema import load_recipe as load_recipe
from tenfold.recipe.schema import parse_recipe as parse_recipe
from tenfold.recipe.schema import read_about as read_about
