"""The list of the built-in recipes is whole, and there at once."""

import subprocess
import sys

from tenfold.recipe import builtin_recipes

LIST = "import sys; from tenfold.workbench.catalogue import show_recipes; show_recipes(); print(*sys.modules)"


def test_every_recipe_is_listed_without_loading_pytorch():
    done = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, check=True)
    *lines, modules = done.stdout.splitlines()
    assert {line.split()[0] for line in lines if line[:1].strip()} >= set(builtin_recipes())
    assert not {"torch", "matplotlib", "scipy", "PIL"} & set(modules.split())
