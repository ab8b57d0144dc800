"""Imports go one way, between the wings and inside each of them, and what must be quick to import is."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from constructed import answered_run, rights

import tenfold

# Each wing may import those of the lines above its own, and nothing else of tenfold.
LAYERS = (
    ("core",),
    ("kernels",),
    ("recipe",),
    ("data", "augment", "models"),
    ("runs",),
    ("inference",),
    ("training",),
    ("findings",),
    ("report",),
    ("comparison",),
    ("workbench",),
    ("sweeps",),
    ("serving",),
    ("cli",),
    ("__main__",),
)
PACKAGE = Path(tenfold.__file__).parent
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# The public face names everything, and imports it only when it is asked for.
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def name_of(path: Path) -> str:
    """The dotted name of a module below tenfold: `data.pack`, and `data` for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def imported(tree: ast.AST, known: "set[str] | None" = None) -> set[str]:
    """The modules below tenfold (dotted) that a syntax tree imports anywhere, in functions and for types too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = whole.removeprefix("tenfold.") in (MODULES if known is None else known)
                names.add(whole if is_module else node.module or "")
    return {name.removeprefix("tenfold.") for name in names if name.startswith("tenfold.")}


def uses_the_face(tree: ast.AST) -> bool:
    """Whether a syntax tree imports what the public face names, which may lie in any wing."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            bound = {alias.name if alias.asname else alias.name.partition(".")[0] for alias in node.names}
            names |= bound & {"tenfold"}
        elif isinstance(node, ast.ImportFrom) and node.module == "tenfold":
            names |= {alias.name for alias in node.names} - {*MODULES, "__version__"}
    return bool(names)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle in a graph of imports; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_every_wing_has_its_place():
    assert {name.partition(".")[0] for name in MODULES} == LEVEL.keys(), (
        "give the new wing its line in LAYERS"
    )


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    here = module.partition(".")[0]
    for name in imported(MODULES[module]):
        there = name.partition(".")[0]
        assert there == here or LEVEL[there] < LEVEL[here], (
            f"{module} imports {name}, which does not lie below it"
        )


def test_only_a_run_that_predicts_asks_the_public_face():
    assert {module for module, tree in MODULES.items() if uses_the_face(tree)} == {"runs.folder"}
    for text in ("import tenfold", "def late():\n    from tenfold import train", "import tenfold.data"):
        assert uses_the_face(ast.parse(text)), text
    for text in ("from tenfold import __version__, recipe", "from tenfold.data import pack"):
        assert not uses_the_face(ast.parse(text)), text


def test_there_is_no_circle_not_even_inside_a_wing():
    assert circle({module: imported(tree) - {module} for module, tree in MODULES.items()}) == []


def test_a_way_back_and_a_circle_would_be_found():
    text = "def late():\n    from tenfold.runs import folder\n    import tenfold.cli as c\n"
    text += "    from tenfold.data.pack import Pack"
    assert imported(ast.parse(text), {"runs.folder", "data.pack"}) == {"runs.folder", "cli", "data.pack"}
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []


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
    modules = "tenfold.core.errors, tenfold.core.files, tenfold.recipe, tenfold.data, tenfold.runs.metrics"
    loaded = loaded_after(f"import {modules}\ntenfold.recipe.builtin_recipes()")
    assert "pydantic" in loaded
    assert "torch" not in loaded


@pytest.mark.slow
def test_training_loads_only_what_it_needs():
    loaded = loaded_after("import tenfold.training.loop, tenfold.sweeps.trial")
    assert "torch" in loaded
    assert not loaded & {"pyarrow", "sklearn", "matplotlib", "pandas", "torchvision", "timm"}


# What takes longer to import than a command that only reads runs should take altogether.
HEAVY = {
    "torch",
    "sklearn",
    "scipy",
    "matplotlib",
    "pyarrow",
    "torchvision",
    "timm",
    "onnx",
    "onnxruntime",
    "optuna",
}


def loaded_by(*arguments: object) -> set[str]:
    """The modules that a fresh Python has loaded after `tenfold ARGUMENTS`, which prints something and succeeds."""
    code = (
        f"import sys; sys.argv = {['tenfold', *map(str, arguments)]!r}\n"
        "from tenfold.cli import main\ntry: main()\nexcept SystemExit as end: assert not end.code\n"
        "print(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *said, modules = done.stdout.splitlines()
    assert any(said)
    return set(modules.split())


@pytest.mark.parametrize("arguments", [("train", "--help"), ("recipes",)], ids=" ".join)
def test_what_only_names_things_loads_no_numpy(arguments):
    assert not loaded_by(*arguments) & (HEAVY | {"numpy"})


def test_runs_are_listed_without_heavy_imports(finished):
    assert not loaded_by("runs", finished[0].parent) & HEAVY


@pytest.mark.slow
def test_runs_are_compared_without_torch_or_statistics_packages(tmp_path):
    answered_run(tmp_path / "a", rights(60, 0.6, 0))
    answered_run(tmp_path / "b", rights(60, 0.9, 1), lr=0.02)
    loaded = loaded_by("compare", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "page")
    assert (tmp_path / "page" / "comparison.html").is_file()
    assert not loaded & (HEAVY - {"scipy", "matplotlib", "pyarrow"} | {"scipy.stats"})


@pytest.mark.slow
def test_a_report_takes_no_statistics_packages(tmp_path):
    answered_run(tmp_path / "a", rights(60, 0.6, 0))
    modules = "tenfold.runs.folder, tenfold.report"
    loaded = loaded_after(
        f"import {modules}\ntenfold.report.write_report(tenfold.runs.folder.Run({str(tmp_path / 'a')!r}))"
    )
    assert "matplotlib" in loaded
    assert not loaded & {"sklearn", "timm", "torchvision", "optuna", "onnx"}


def test_the_public_face_names_what_exists_and_no_module_takes_its_place():
    for name in tenfold.__all__:
        assert getattr(tenfold, name).__module__.startswith("tenfold.")
        assert not (PACKAGE / name).exists(), "once imported, a module hides the function of its name"
        assert not (PACKAGE / f"{name}.py").exists(), "once imported, a module hides the function of its name"
    assert {"train", "evaluate", "load_run", "Run", "InputError"} <= set(tenfold.__all__)
    assert (PACKAGE / "py.typed").is_file()
    with pytest.raises(AttributeError, match="No tenfold attribute nonsense"):
        _ = tenfold.nonsense
