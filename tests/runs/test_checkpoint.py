"""Checkpoints and saved models: exact, whole or not at all, without pickle, and plain about what does not fit."""

import errno
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tenfold.core.errors import InputError
from tenfold.models import build_model
from tenfold.recipe.components import Choice
from tenfold.runs.checkpoint import (
    State,
    load_checkpoint,
    read_state,
    save_checkpoint,
)
from tenfold.training.optimizers import OPTIMIZERS, build_optimizer

SHAPE, CLASSES = (1, 8, 8), 3
STATE = State(
    epoch=2,
    step=7,
    best_epoch=1,
    best_value=0.1 + 0.2,
    wait=1,
    schedule={"best": 1 / 3, "wait": 1, "cooling": 0, "factor": 0.1},
    history=[{"epoch": 1, "loss": 2 / 3}, {"epoch": 2, "loss": 0.5}],
)


def new_model(**options):
    choice = Choice(name="model-s-deep", filters=(4, 6), dense=5, **options)
    return build_model(choice, SHAPE, CLASSES)


def train_steps(model, optimizer, steps: int, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        images = torch.randint(0, 256, (6, *SHAPE), generator=generator, dtype=torch.uint8)
        torch.manual_seed(steps)
        optimizer.zero_grad()
        model(images.contiguous(memory_format=torch.channels_last)).square().mean().backward()
        optimizer.step()


def trained(name: str = "adam", steps: int = 3):
    model = new_model().train()
    optimizer = build_optimizer(Choice(name=name, lr=0.01), model.parameters())
    train_steps(model, optimizer, steps)
    return model, optimizer


def weights_of(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def saved(tmp_path):
    """A run folder with a checkpoint; its model and optimizer."""
    model, optimizer = trained()
    save_checkpoint(tmp_path, STATE, model, weights_of(new_model()), optimizer)
    return tmp_path, model, optimizer


def fresh(name: str = "adam"):
    model = new_model().train()
    return model, build_optimizer(Choice(name=name, lr=0.5), model.parameters())


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_training_goes_on_from_a_checkpoint_bit_for_bit(name, tmp_path):
    options = {"sgd": {"momentum": 0.9}, "muon": {"head_lr": 0.01}}.get(name, {})
    whole, begun = new_model().train(), new_model().train()
    whole_optimizer = build_optimizer(Choice(name=name, lr=0.01, **options), whole.parameters())
    begun_optimizer = build_optimizer(Choice(name=name, lr=0.01, **options), begun.parameters())
    for model, optimizer in ((whole, whole_optimizer), (begun, begun_optimizer)):
        train_steps(model, optimizer, 3)
    save_checkpoint(tmp_path, STATE, begun, {}, begun_optimizer)
    resumed = new_model().train()
    resumed_optimizer = build_optimizer(Choice(name=name, lr=0.5, **options), resumed.parameters())
    load_checkpoint(tmp_path, resumed, resumed_optimizer)
    for model, optimizer in ((whole, whole_optimizer), (resumed, resumed_optimizer)):
        train_steps(model, optimizer, 4, seed=1)
    assert same(whole.state_dict(), resumed.state_dict())
    for parameter, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        memory, remembered = whole_optimizer.state[parameter], resumed_optimizer.state[other]
        assert same(memory, remembered)
        assert all(memory[slot].stride() == remembered[slot].stride() for slot in memory)


def test_state_best_weights_and_groups_come_back_equal(saved):
    folder, model, optimizer = saved
    other, other_optimizer = fresh()
    state, best, _ = load_checkpoint(folder, other, other_optimizer)
    assert state == read_state(folder) == STATE
    assert same(best, new_model().state_dict())
    assert same(other.state_dict(), model.state_dict())
    assert other_optimizer.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] == 0.01
    assert other_optimizer.param_groups[0]["steps"] == 3


def test_the_file_holds_tensors_and_json_and_no_pickle(saved):
    folder, *_ = saved
    (path,) = (folder / "checkpoint").iterdir()
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        header = json.loads(file.metadata()["tenfold"])
    assert {name.split(".")[0] for name in names} == {"model", "best", "optimizer"}
    assert header["version"] == 1
    size = int.from_bytes(path.read_bytes()[:8], "little")
    tensors = json.loads(path.read_bytes()[8 : 8 + size])
    ends = [entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"]
    assert 8 + size + max(ends) == path.stat().st_size, "nothing but the header and the tensors"


def test_saving_again_replaces_the_file_and_leaves_the_one_before_beside_it(saved):
    folder, model, optimizer = saved
    before = (folder / "checkpoint" / "state.safetensors").read_bytes()
    train_steps(model, optimizer, 1)
    save_checkpoint(folder, State(epoch=3), model, {}, optimizer)
    names = sorted(path.name for path in (folder / "checkpoint").iterdir())
    assert names == ["state-before.safetensors", "state.safetensors"]
    assert read_state(folder).epoch == 3
    assert (folder / "checkpoint" / "state-before.safetensors").read_bytes() == before


def test_without_links_the_one_before_is_renamed(saved, monkeypatch):
    folder, model, optimizer = saved
    before = (folder / "checkpoint" / "state.safetensors").read_bytes()

    def refuse(*paths):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    for epoch in (3, 4):
        save_checkpoint(folder, State(epoch=epoch), model, {}, optimizer)
        kept = (folder / "checkpoint" / "state-before.safetensors").read_bytes()
        assert kept == before
        before = (folder / "checkpoint" / "state.safetensors").read_bytes()
    assert read_state(folder).epoch == 4


def test_a_failed_save_keeps_the_old_checkpoint(saved):
    folder, model, optimizer = saved
    before = (folder / "checkpoint" / "state.safetensors").read_bytes()
    unserialisable = State(epoch=9, history=[{"loss": object()}])
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_checkpoint(folder, unserialisable, model, {}, optimizer)
    assert {path.read_bytes() for path in (folder / "checkpoint").iterdir()} == {before}


def damage_cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def damage_header(data: bytes) -> bytes:
    return data[:20] + b"\xff" * 40 + data[60:]


@pytest.mark.parametrize("damage", [damage_cut, damage_header, lambda data: b"", lambda data: b"x" * 100])
def test_a_damaged_file_is_named_with_the_remedy(damage, saved):
    folder, *_ = saved
    path = folder / "checkpoint" / "state.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"state\.safetensors: is damaged .* train the run anew"):
        load_checkpoint(folder, *fresh())


def rewrite_header(folder, **changes) -> None:
    path = folder / "checkpoint" / "state.safetensors"
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["tenfold"])
    save_file(load_file(path), path, metadata={"tenfold": json.dumps({**header, **changes})})


def test_another_version_is_refused(saved):
    folder, *_ = saved
    rewrite_header(folder, version=99)
    with pytest.raises(InputError, match=r"written in format 99, this tenfold reads formats 1 to 2"):
        read_state(folder)


def test_a_file_of_another_program_is_refused(saved):
    folder, *_ = saved
    save_file({"a": torch.zeros(1)}, folder / "checkpoint" / "state.safetensors")
    with pytest.raises(InputError, match=r"was not written by tenfold"):
        load_checkpoint(folder, *fresh())


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(InputError, match=r"state\.safetensors: there is no such file"):
        read_state(tmp_path)


def test_tensors_that_do_not_fit_are_counted_and_the_first_is_named(saved):
    folder, *_ = saved
    model = build_model(Choice(name="model-s-deep", filters=(4, 6), dense=7), SHAPE, CLASSES)
    optimizer = build_optimizer(Choice(name="adam"), model.parameters())
    with pytest.raises(InputError) as caught:
        load_checkpoint(folder, model, optimizer)
    assert "3 tensors do not fit the model" in str(caught.value)
    assert "first 'network.12.weight': expected (7, 24), found (5, 24)" in str(caught.value)
