"""Runs the notebooks of this folder from top to bottom and keeps their output: `make notebooks`.

    python examples/execute.py [NAME ...]

They run in an empty folder, so that paths in their output are those of a reader. A notebook that fails, or whose
output names this machine, is left as it was.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def execute(path: Path) -> None:
    """Run a notebook and write it back with its output."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    text = nbformat.writes(notebook)
    named = [each for each in (str(Path.home()), folder, str(HERE.parent)) if f"{each}{os.sep}" in text]
    if named:
        raise SystemExit(
            f"{path}: its output names {', '.join(named)}, a place of this machine. It was not kept."
        )
    nbformat.validate(notebook)
    path.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Execute the notebooks that are named, or all."""
    for path in [HERE / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
        print(path.name, flush=True)
        execute(path)


if __name__ == "__main__":
    main()
