"""The notebooks in examples/ run from top to bottom, on digits instead of CIFAR-10."""

import ast
import json
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))
SMALL = {
    "source": {"data": "digits"},
    "overrides": {"fit.epochs": 2, "fit.batch_size": 128},
    "filters": [4, 8],
}


def test_the_three_originals_have_their_notebook():
    assert [path.stem for path in EXAMPLES] == ["01_baseline", "03_augmented_compared", "homework"]


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_notebook_runs(path, tmp_path, request):
    # One whose runs have figures is enough: they are drawn alike.
    if path != EXAMPLES[0]:
        request.getfixturevalue("undrawn")
    names = {}
    shown = [
        run_cell("".join(cell["source"]), names, cell["metadata"].get("tags", ()), tmp_path)
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    figures = [value for value in shown if isinstance(value, Figure)]
    assert all(value._repr_png_().startswith(b"\x89PNG") for value in figures)
    rich = [value for value in shown if hasattr(value, "_repr_html_") and value not in figures]
    assert rich
    assert all(
        "<table" in value._repr_html_() or "test images right" in value._repr_html_() for value in rich
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_notebook_is_valid_and_its_output_is_a_readers(path):
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run from top to bottom"
    said = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert "test accuracy" in said
    assert not set("\r\x1b") & set(said), "no bar's refreshes, no colours"
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert not re.search(r"/(home|root|tmp|work|Users)/", said), "no place of the machine that ran it"


def run_cell(code, names, tags, out):
    """Run a cell as Jupyter does; the value of its last expression, or None."""
    tree = ast.parse(code)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if "parameters" in tags:
        names |= SMALL | {"out": str(out)}
    value = eval(compile(last, "cell", "eval"), names) if last else None
    assert value is None or hasattr(value, "_repr_html_") or isinstance(value, Figure | Path)
    return value
