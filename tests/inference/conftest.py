"""A finished run with its exported folder, and a run on class folders to ask."""

import shutil
from pathlib import Path

import pytest
from predicted import train_on_folders

import tenfold as public
from tenfold.runs.folder import Run


@pytest.fixture(scope="session")
def shapes(once, finished) -> Path:
    """A finished run, and its folder exported in every format within; nobody may change it."""

    def export(folder: Path) -> None:
        run = shutil.copytree(finished[0], folder / "shapes")
        public.export(run, format=("torch", "openvino"), license="cc0-1.0")

    return once("exported-shapes", export)[0] / "shapes"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, Run]:
    """A run on class folders, and its test folder with files of every kind."""
    root = tmp_path_factory.mktemp("predict")
    return root, train_on_folders(root)
