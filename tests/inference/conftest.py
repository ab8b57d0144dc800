"""A finished run with its exported folder."""

import shutil
from pathlib import Path

import pytest

import tenfold as public


@pytest.fixture(scope="session")
def shapes(once, finished) -> Path:
    """A finished run, and its folder exported in every format within; nobody may change it."""

    def export(folder: Path) -> None:
        run = shutil.copytree(finished[0], folder / "shapes")
        public.export(run, format=("torch", "openvino"), license="cc0-1.0")

    return once("exported-shapes", export)[0] / "shapes"
