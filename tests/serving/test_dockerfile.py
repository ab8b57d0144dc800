"""The image installs all that an exported folder needs to be served, and PyTorch is not among it."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from served import encoded, noise

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"
# What `tenfold serve` does from its first line to an answer, where nothing but `there` can be imported.
SERVES = """
import importlib.abc, json, sys
from importlib.metadata import packages_distributions
from pathlib import Path
from urllib.request import Request, urlopen

folder, picture, corrections, *there = sys.argv[1:]

class Elsewhere(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        owners = {one.lower().replace("_", "-").replace(".", "-") for one in OWNERS.get(name.partition(".")[0], ())}
        if owners and not owners & set(there):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

OWNERS = packages_distributions()
sys.meta_path.insert(0, Elsewhere())
from tenfold import cli
from tenfold.serving.verb import serve
with serve(folder, port=0, corrections=corrections) as server:
    for path in ("", "ready", "metrics", "openapi.json", "model"):
        urlopen(server.url + path).read()
    for path in ("predict", "explain"):
        answer = urlopen(Request(server.url + path, Path(picture).read_bytes(), {"Content-Type": "image/png"}))
        print(json.load(answer)["predicted"])
print(sorted({"torch", "onnxruntime"} & set(sys.modules)))
"""


def installed() -> set[str]:
    """The packages that the Dockerfile names, and what those need, by their canonical names."""
    command = re.search(r"pip install --constraint constraints.txt \\\n(.*)\n", DOCKERFILE.read_text())
    assert command is not None
    found, waiting = set(), [canonicalize_name(name) for name in command[1].split()]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            needed = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:  # for another system
            continue
        waiting += [
            canonicalize_name(one.name) for one in needed if one.marker is None or one.marker.evaluate()
        ]
    return found


@pytest.mark.slow
def test_an_exported_folder_is_served_by_what_the_image_installs(exported, tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_bytes(encoded(noise()))
    there = installed()
    assert "torch" not in there
    command = [sys.executable, "-c", SERVES, exported, picture, tmp_path / "corrections", "tenfold", *there]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    predicted, explained, loaded = done.stdout.splitlines()
    assert predicted == explained
    assert loaded == "['onnxruntime']"
