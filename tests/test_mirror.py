"""Tests mirror the package: the test of a function is found by its path, and every test file is of something.

The tests of `tenfold/WING/MODULE.py` are in `tests/WING/test_MODULE.py`; those of a package's own functions (its
`__init__.py`) are in the file of the package's name beside its folder, so those of a wing are at the top.
"""

import ast
from pathlib import Path

import pytest

import tenfold

PACKAGE, TESTS = Path(tenfold.__file__).parent, Path(__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
FILES = sorted(path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py"))

# Modules that have functions and no test file of their own: where they are tested instead, and why.
ELSEWHERE = {
    "kernels/__init__.py": (
        "kernels/test_library.py",
        "one call of the library, whose words are tested there",
    ),
    "workbench/carry_out.py": (
        "behaviour/test_resume.py",
        "joins all wings: only whole runs show it",
    ),
}
# Folders whose files are named by a promise that several modules keep, or test what lies beside the package.
BEHAVIOUR = {
    "behaviour": "what several modules promise together",
    "bench": "the scripts in bench/",
    "examples": "the notebooks and scripts in examples/",
    "packaging": "what make dist builds, and the conda recipe",
}
# Single files of the same kind.
OTHERS = {
    "serving/test_dockerfile.py": "the Dockerfile, with the fixtures of serving",
    "serving/test_page.py": "the page's files in serving/page, in a real browser",
    "test_declared.py": "how the package is written",
    "test_docs.py": "documents and examples in docstrings",
    "test_imports.py": "which wing may import which",
    "test_mirror.py": "this rule",
}


def file_of(module: Path) -> str:
    """The path, below tests/, of a module's tests."""
    named = module.parent if module.name == "__init__.py" else module.with_suffix("")
    return (named.parent / f"test_{named.name}.py").as_posix()


def has_functions(module: Path) -> bool:
    """Whether there is anything to test: a function, beside what only names, declares or types."""
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) for node in ast.walk(tree)
    )


@pytest.mark.parametrize("module", [path for path in MODULES if has_functions(path)], ids=Path.as_posix)
def test_a_module_has_its_tests_at_its_path(module):
    instead = ELSEWHERE.get(module.as_posix())
    expected = file_of(module) if instead is None else instead[0]
    assert expected in FILES, (
        f"write tests/{expected}, or say in ELSEWHERE where the module is tested and why"
    )


@pytest.mark.parametrize("file", FILES)
def test_a_test_file_is_of_a_module_or_of_a_promise(file):
    of_module = file in map(file_of, MODULES)
    assert of_module or file in OTHERS or file.partition("/")[0] in BEHAVIOUR, (
        "name it by the module that it tests, or move it to tests/behaviour/"
    )


def test_the_lists_of_exceptions_are_short_and_true():
    assert len(ELSEWHERE) + len(OTHERS) < 15
    modules = {module.as_posix() for module in MODULES}
    for name in ELSEWHERE:
        assert name in modules
        assert file_of(Path(name)) not in FILES, f"{name} has a test file of its own now"
    for file in OTHERS:
        assert file in FILES
        assert file not in map(file_of, MODULES)
    assert all((TESTS / folder).is_dir() and not (PACKAGE / folder).exists() for folder in BEHAVIOUR)
