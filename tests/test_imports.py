"""Imports go one way, and what must be quick to import is."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tenfold

# Each module or package may import those of the lines above its own, and nothing else of tenfold.
LAYERS = (
    ("errors", "randomness"),
    ("files", "choices", "metrics", "inline"),
    ("kernels",),
    ("environment",),
    ("overrides", "weights"),
    ("recipe",),
    ("data", "augment", "models", "optim", "schedules"),
    ("batches", "checkpoint"),
    ("predictions",),
    ("run",),
    ("fit",),
    ("transfer",),
    ("findings", "progress"),
    ("report", "explain"),
    ("comparison", "leaderboard", "planning", "reporting", "track"),
    ("workbench",),
    ("sweeps", "show"),
    ("cli",),
    ("__main__",),
)
PACKAGE = Path(tenfold.__file__).parent
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# The public face names everything, and imports it only when it is asked for.
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def place_of(path: Path) -> str:
    """The module or package, directly below tenfold, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """The modules and packages, directly below tenfold, that a syntax tree imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            if node.module == "tenfold":
                names |= {f"tenfold.{alias.name}" for alias in node.names}
            else:
                names.add(node.module or "")
    return {name.split(".")[1] for name in names if name.startswith("tenfold.")}


def test_every_module_has_its_place():
    assert {place_of(path) for path in FILES} <= LEVEL.keys(), "give the new module its line in LAYERS"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_one_way(path):
    here = place_of(path)
    for name in imported(ast.parse(path.read_text(encoding="utf-8"))) - {here}:
        assert LEVEL[name] < LEVEL[here], f"{here} imports {name}, which does not lie below it"


def test_the_way_back_would_be_found():
    text = "def late():\n    from tenfold import fit\n    import tenfold.cli as c\n    from tenfold.run import Run"
    assert imported(ast.parse(text)) == {"fit", "cli", "run"}


def loaded_after(statement: str) -> set[str]:
    """The top-level packages that a fresh Python has loaded after `statement`."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_command_line_starts_without_heavy_imports():
    loaded = loaded_after("import tenfold, tenfold.cli")
    assert "typer" in loaded
    assert not loaded & {"torch", "numpy", "pydantic", "pyarrow", "sklearn", "matplotlib", "PIL"}


def test_what_lies_below_the_models_works_without_torch():
    modules = ", ".join(f"tenfold.{name}" for name in ("errors", "files", "recipe", "metrics", "data"))
    loaded = loaded_after(f"import {modules}\ntenfold.recipe.builtin_recipes()")
    assert "pydantic" in loaded
    assert "torch" not in loaded


def test_training_loads_only_what_it_needs():
    loaded = loaded_after("import tenfold.fit, tenfold.sweeps.trial")
    assert "torch" in loaded
    assert not loaded & {"pyarrow", "sklearn", "matplotlib", "pandas", "torchvision", "timm"}


def test_the_public_face_names_what_exists_and_no_module_takes_its_place():
    for name in tenfold.__all__:
        assert getattr(tenfold, name).__module__.startswith("tenfold.")
        assert not (PACKAGE / name).exists(), "once imported, a module hides the function of its name"
        assert not (PACKAGE / f"{name}.py").exists(), "once imported, a module hides the function of its name"
    assert set(tenfold.__all__) < set(dir(tenfold))
    assert tenfold.__version__ == "0.1.0"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = tenfold.nonsense
