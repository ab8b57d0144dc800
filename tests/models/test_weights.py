"""Weights: found, fetched, checked, refused. The hub is a real HTTP server on this machine."""

import hashlib
import os
import pickle
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
import torch
from hub_standin import ask_hub
from safetensors.torch import save_file
from small import words

from tenfold.core.errors import InputError, TenfoldError
from tenfold.models.named import NAMED
from tenfold.models.weights import (
    WeightsFile,
    check_sum,
    find_weights,
    local_weights,
    pretrained_configuration,
    put_weights,
    read_weights,
    weights_folder,
)

BACKBONE = "test_resnet"


def network(classes: int = 0, name: str = BACKBONE, seed: int = 1) -> torch.nn.Module:
    torch.manual_seed(seed)
    return timm.create_model(name, num_classes=classes)


def tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(left: torch.nn.Module, right: torch.nn.Module) -> bool:
    ours, theirs = left.state_dict(), right.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours if "num_batches" not in name)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("classes", [0, 7])
def test_a_local_file_goes_in_by_name_and_its_classifier_is_left_out(tmp_path, suffix, classes):
    source, target = network(classes, seed=1), network(seed=2)
    path = tmp_path / f"mine{suffix}"
    save_file(tensors(source), path) if suffix == ".safetensors" else torch.save(
        {"state_dict": tensors(source)}, path
    )
    file = find_weights(BACKBONE, str(path))
    assert file is not None
    assert not same(target, source)
    put_weights(target, file, ("fc",))
    assert same(target, source)


@pytest.mark.parametrize(
    ("name", "stated", "count"),
    [("lite0", "57934424", 247), ("lite1", "77cc7160", 322), ("lite2", "9656183e", 322)],
)
def test_the_installed_packages_go_in_in_order_and_their_checksums_are_right(name, stated, count):
    file = local_weights(f"tf_efficientnet_{name}")
    assert file is not None
    assert f"SHA-256 {stated}" in check_sum(file)
    target = network(name=f"tf_efficientnet_{name}")
    put_weights(target, file, ("classifier",))
    theirs = [value for name, value in read_weights(file.path).items() if "num_batches" not in name]
    ours = [value for name, value in target.state_dict().items() if "num_batches" not in name]
    assert len(theirs) == count == len(ours) + 2
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=False))


def test_weights_of_another_architecture_are_refused_by_name_and_shape(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(tensors(network(name="test_efficientnet")), path)
    with pytest.raises(
        InputError, match=r"other\.safetensors: \d+ of \d+ tensors do not fit test_resnet: '[\w.]+' exp"
    ):
        put_weights(network(), WeightsFile(BACKBONE, path, "file"))
    wrong = tensors(network())
    name = next(iter(wrong))
    wrong[name] = wrong[name][:1].clone()
    save_file(wrong, path)
    with pytest.raises(InputError, match=rf"1 of \d+ tensors .*'{name}' expected 16x3x3x3, found 1x3x3x3"):
        put_weights(network(), WeightsFile(BACKBONE, path, "file"))


def test_tensors_that_the_architecture_lacks_are_refused(tmp_path):
    path = tmp_path / "more.safetensors"
    save_file(tensors(network()) | {"layer1.9.weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"'layer1.9.weight' expected none of that name, found 2"):
        put_weights(network(), WeightsFile(BACKBONE, path, "file"))


class Trap:
    """A pickle of this runs a command when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize(
    "write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))]
)
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, write):
    path = tmp_path / "trap.pth"
    write({"conv1.weight": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(InputError, match=r"trap\.pth: is damaged, or holds Python objects"):
        read_weights(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_cut_off_is_refused(tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    save_file(tensors(network()), path) if suffix == ".safetensors" else torch.save(tensors(network()), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=rf"cut{suffix}: is damaged"):
        read_weights(path)


def test_other_faults_of_a_file_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.pth.*there is no such file"):
        find_weights(BACKBONE, str(tmp_path / "nowhere.pth"))
    (tmp_path / "notes.txt").write_text("weights")
    with pytest.raises(
        InputError, match=r"notes\.txt: is not a weights file; expected one ending in \.safetensors"
    ):
        find_weights(BACKBONE, str(tmp_path / "notes.txt"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="expected a state_dict"):
        read_weights(tmp_path / "list.pth")
    assert find_weights(BACKBONE, "none") is None


def test_a_file_brought_by_hand_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path))
    weights_folder().mkdir(parents=True)
    path = weights_folder() / f"{BACKBONE}.safetensors"
    save_file(tensors(network()), path)
    assert find_weights(BACKBONE) == WeightsFile(BACKBONE, path, "brought by hand")
    assert "no checksum is stated" in check_sum(WeightsFile(BACKBONE, path, ""))


def test_a_damaged_file_does_not_pass_its_checksum(tmp_path):
    file = local_weights("tf_efficientnet_lite0")
    assert file is not None
    copy = shutil.copy(file.path, tmp_path / file.path.name)
    with copy.open("r+b") as content:
        content.seek(100_000)
        content.write(b"damage")
    with pytest.raises(TenfoldError, match="is damaged: its SHA-256 is"):
        check_sum(WeightsFile(file.backbone, copy, "file"))


class Hub(BaseHTTPRequestHandler):
    """What the hub's client needs of a hub: one file with its commit, size and SHA-256; ranges are answered."""

    content, path_of_file, stated = b"", f"/timm/{BACKBONE}.r160_in1k/resolve/main/model.safetensors", ""

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        if self.path != self.path_of_file:
            self.send_error(404)
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        part = self.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{self.stated}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(part)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        if body:
            self.wfile.write(part)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[str]:
    """The address of a hub with the weights of one backbone, which this process asks, with a cache of its own."""
    path = tmp_path / "model.safetensors"
    save_file(tensors(network()), path)
    Hub.content = path.read_bytes()
    Hub.stated = hashlib.sha256(Hub.content).hexdigest()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    ask_hub(monkeypatch, address, tmp_path)
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_weights_are_fetched_once_from_the_hub_and_found_offline_afterwards(
    hub, tmp_path, monkeypatch, command
):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    told = kept | {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    fetched = subprocess.run(
        words("weights", BACKBONE), env=told, capture_output=True, text=True, timeout=120
    )
    assert fetched.returncode == 0, fetched.stderr
    assert f"hub timm/{BACKBONE}.r160_in1k" in fetched.stdout
    ask_hub(monkeypatch, hub, tmp_path, offline=True)
    offline = command("weights", BACKBONE, "--verify")
    assert offline.status == 0, offline.err
    assert "as stated" in offline.out


def test_any_repository_of_the_hub_may_give_a_backbones_weights(hub):
    file = find_weights(BACKBONE, f"hf:timm/{BACKBONE}.r160_in1k")
    assert file is not None
    assert file.origin == f"hub timm/{BACKBONE}.r160_in1k"
    target = network(seed=2)
    put_weights(target, file, ("fc",))
    assert same(target, network(seed=1))
    with pytest.raises(TenfoldError, match="somebody/nothing"):
        find_weights(BACKBONE, "hf:somebody/nothing")


def test_named_backbones_are_timms_with_the_licence_that_is_stated(tmp_path, monkeypatch, command):
    for name, named in NAMED.items():
        configuration = pretrained_configuration(name)
        assert configuration["license"] == named.licence.lower()
        assert not configuration.get("fixed_input_size"), "of any size"
        count = sum(value.numel() for value in network(1000, named.backbone).state_dict().values())
        assert count * 4 / 2**20 == pytest.approx(named.mebibytes, abs=2.5)
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    ask_hub(monkeypatch, "http://127.0.0.1:9", tmp_path, offline=True)
    answer = command("weights", "medium")
    assert "43 MiB" in answer.out
    assert "hgnetv2_b2.ssld_stage2_ft_in1k.safetensors" in answer.err
    assert "tf_efficientnet_lite0, needs no hub" in answer.err


def test_a_download_that_is_not_what_the_hub_states_is_an_error(hub, command):
    Hub.content = Hub.content[:-8] + b"damaged!"
    answer = command("weights", BACKBONE)
    assert answer.status == 1
    assert "is damaged: its SHA-256 is" in answer.err
    assert "Traceback" not in answer.err


def test_offline_the_error_says_which_file_to_bring_and_where_to_put_it(hub, tmp_path, monkeypatch, command):
    ask_hub(monkeypatch, hub, tmp_path, offline=True)
    answer = command("weights", "test_vit")
    assert answer.status == 1
    assert "https://huggingface.co/timm/test_vit.r160_in1k/resolve/main/model.safetensors" in answer.err
    assert f"{tmp_path / 'cache'}/weights/test_vit.safetensors" in answer.err
    assert "Traceback" not in answer.err
