import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hub_standin import TOKEN, ask_hub, running_hub
from small import words

import tenfold as public
from tenfold.inference.certificate import files_of

REPOSITORY = "somebody/shapes"
# The hub's client warns of what it does itself.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory) -> Path:
    return public.export(finished[0], out=tmp_path_factory.mktemp("hub") / "export").path


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that the client in this process asks, with a token that it knows."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with running_hub() as hub:
        ask_hub(monkeypatch, hub.address, tmp_path)
        yield hub


@pytest.mark.slow
def test_a_pushed_folder_comes_back_and_answers_alike(hub, exported, pictures, tmp_path, command):
    told = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
    line = words("push", exported, REPOSITORY)
    pushed = subprocess.run(line, env=told, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.startswith(f"{hub.address}/{REPOSITORY}\n")
    files = {path.name: path.read_bytes() for path in exported.iterdir()}
    assert hub.repositories == {REPOSITORY: files}
    picture = next(pictures.rglob("*.png"))
    ours = command("predict", exported, picture, "--format", "jsonl")
    theirs = command("predict", f"hf:{REPOSITORY}", picture, "--format", "jsonl")
    assert (theirs.status, theirs.out) == (0, ours.out), theirs.err
    assert json.loads(theirs.out)["predicted"]
    fetched = [line for line in hub.requests if line.startswith("GET") and "/resolve/" in line]
    assert not [line for line in fetched if "predict.py" in line]


def test_a_second_push_leaves_nothing_of_the_first_that_it_lacks(hub, exported, command):
    assert command("push", exported, REPOSITORY).status == 0
    hub.repositories[REPOSITORY] |= {"model.pt2": b"old", "picture-of-us.jpg": b"theirs"}
    assert command("push", exported, REPOSITORY).status == 0
    assert set(hub.repositories[REPOSITORY]) == {*files_of(exported), "picture-of-us.jpg"}


def test_what_the_hub_refuses_is_said_with_the_remedy(hub, exported, monkeypatch, command):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    answer = command("push", exported, REPOSITORY)
    assert answer.status == 1
    assert "401" in answer.err
    assert "HF_TOKEN" in answer.err
    assert hub.repositories == {}
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    answer = command("push", exported, "a/b/c")
    assert answer.status == 2
    assert "OWNER/NAME" in answer.err


def test_what_is_not_there_or_not_an_export_or_not_what_was_certified_is_not_used(hub, exported, command):
    answer = command("predict", f"hf:{REPOSITORY}", "x.png")
    assert answer.status == 1
    assert "could not be fetched" in answer.err
    hub.repositories[REPOSITORY] = {"README.md": b"---\nlicense: mit\n---\n"}
    answer = command("predict", f"hf:{REPOSITORY}", "x.png")
    assert answer.status == 2
    assert "is not an exported model" in answer.err
    files = {path.name: path.read_bytes() for path in exported.iterdir()}
    hub.repositories[REPOSITORY] = {**files, "model.onnx": files["model.onnx"][:-1] + b"\0"}
    answer = command("predict", f"hf:{REPOSITORY}", "x.png")
    assert answer.status == 1
    assert "its model.onnx is not the one" in answer.err


def test_a_run_is_pushed_only_with_an_export_of_its_weights(finished, exported, tmp_path, command):
    run = shutil.copytree(finished[0], tmp_path / "run")
    answer = command("push", run, REPOSITORY)
    assert answer.status == 2
    assert f"tenfold export {run}" in answer.err
    shutil.copytree(exported, run / "export")
    with (run / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    answer = command("push", run, REPOSITORY)
    assert answer.status == 2
    assert "--overwrite" in answer.err
