"""What `make dist` builds holds everything that tenfold needs, and works where the repository is not."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def tracked() -> set[str]:
    """The files of the package that git knows, relative to the repository."""
    found = subprocess.run(
        ["git", "ls-files", "tenfold"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(found.stdout.split())


def test_the_wheel_holds_the_whole_package_and_nothing_else(dist):
    names = set(ZipFile(next(dist.glob("*.whl"))).namelist())
    assert tracked() <= names
    assert not [name for name in names if not name.startswith(("tenfold/", "tenfold-"))]


def test_the_sdist_holds_the_package_its_licence_and_no_tests(dist):
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {*tracked(), "LICENSE", "README.md", "pyproject.toml"} <= names
    assert not [name for name in names if name.startswith(("tests", "bench", "docs"))]


@pytest.mark.slow
def test_the_wheel_trains_where_the_repository_is_not(dist, tmp_path):
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(tmp_path / "site"), str(next(dist.glob("*.whl")))], check=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    small = ["model.filters=[4]", "model.dense=8", "fit.epochs=1"]
    code = "import tenfold; print(tenfold.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "tenfold", "train", "digits", *small, "--name", "it"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "it" / "report.html").is_file()
