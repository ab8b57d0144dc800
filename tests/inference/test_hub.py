import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hub_standin import TOKEN, Hub, running_hub
from small import words

import tenfold as public
from tenfold.inference.certificate import files_of

REPOSITORY = "somebody/shapes"


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory) -> Path:
    return public.export(finished[0], out=tmp_path_factory.mktemp("hub") / "export").path


@pytest.fixture
def hub():
    with running_hub() as hub:
        yield hub


def at(hub: Hub, home: Path, *arguments: str | Path, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """`tenfold ARGUMENTS` as on a machine whose hub is the stand-in; its client reads that when it is imported."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.address,
        "HF_TOKEN": token,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",  # the hub's other way to store, which the stand-in lacks
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    return subprocess.run(
        words(*arguments), env=environment, cwd=home, capture_output=True, text=True, timeout=400
    )


def test_a_pushed_folder_comes_back_and_answers_alike(hub, exported, pictures, tmp_path):
    pushed = at(hub, tmp_path, "push", exported, REPOSITORY)
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.startswith(f"{hub.address}/{REPOSITORY}\n")
    files = {path.name: path.read_bytes() for path in exported.iterdir()}
    assert hub.repositories == {REPOSITORY: files}
    picture = next(pictures.rglob("*.png"))
    ours = at(hub, tmp_path, "predict", exported, picture, "--format", "jsonl")
    theirs = at(hub, tmp_path, "predict", f"hf:{REPOSITORY}", picture, "--format", "jsonl")
    assert (theirs.returncode, theirs.stdout) == (0, ours.stdout), theirs.stderr
    assert json.loads(theirs.stdout)["predicted"]
    fetched = [line for line in hub.requests if line.startswith("GET") and "/resolve/" in line]
    assert not [line for line in fetched if "predict.py" in line]


def test_a_second_push_leaves_nothing_of_the_first_that_it_lacks(hub, exported, tmp_path):
    assert at(hub, tmp_path, "push", exported, REPOSITORY).returncode == 0
    hub.repositories[REPOSITORY] |= {"model.pt2": b"old", "picture-of-us.jpg": b"theirs"}
    assert at(hub, tmp_path, "push", exported, REPOSITORY).returncode == 0
    assert set(hub.repositories[REPOSITORY]) == {*files_of(exported), "picture-of-us.jpg"}


def test_what_the_hub_refuses_is_said_with_the_remedy(hub, exported, tmp_path):
    answer = at(hub, tmp_path, "push", exported, REPOSITORY, token="hf_wrong")
    assert answer.returncode == 1
    assert "401" in answer.stderr
    assert "HF_TOKEN" in answer.stderr
    assert hub.repositories == {}
    answer = at(hub, tmp_path, "push", exported, "a/b/c")
    assert answer.returncode == 2
    assert "OWNER/NAME" in answer.stderr


def test_what_is_not_there_or_not_an_export_or_not_what_was_certified_is_not_used(hub, exported, tmp_path):
    answer = at(hub, tmp_path, "predict", f"hf:{REPOSITORY}", "x.png")
    assert answer.returncode == 1
    assert "could not be fetched" in answer.stderr
    hub.repositories[REPOSITORY] = {"README.md": b"---\nlicense: mit\n---\n"}
    answer = at(hub, tmp_path, "predict", f"hf:{REPOSITORY}", "x.png")
    assert answer.returncode == 2
    assert "is not an exported model" in answer.stderr
    files = {path.name: path.read_bytes() for path in exported.iterdir()}
    hub.repositories[REPOSITORY] = {**files, "model.onnx": files["model.onnx"][:-1] + b"\0"}
    answer = at(hub, tmp_path, "predict", f"hf:{REPOSITORY}", "x.png")
    assert answer.returncode == 1
    assert "its model.onnx is not the one" in answer.stderr


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
