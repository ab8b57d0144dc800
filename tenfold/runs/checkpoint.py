"""Saving and loading without pickle: the finished model, and all that a run needs to go on.

A checkpoint is one safetensors file: weights (`model.`), the best epoch's weights (`best.`), the optimizer's tensors
(`optimizer.`) and what the loop remembers of single images (`images.`), with everything that is not a tensor as JSON
in the file's header. One file and one rename, so there is never a checkpoint whose parts come from different epochs.
"""

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tenfold.core.errors import InputError
from tenfold.core.files import atomic, write_json
from tenfold.models import Classifier, OwnModel, Preprocessing, build_model
from tenfold.recipe.components import Choice, components

VERSION = 1
Tensors = dict[str, Tensor]


@dataclass
class State:
    """Where training stands, tensors apart. `epoch` and `step` count what is finished."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    wait: int = 0
    stop_reason: str | None = None
    failed: bool = False
    schedule: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(
    folder: Path,
    state: State,
    model: nn.Module,
    best: Tensors,
    optimizer: torch.optim.Optimizer,
    images: Tensors | None = None,
) -> None:
    """Write the checkpoint of a run folder atomically; `images`: tensors with a value for each training image."""
    slots, groups = _optimizer_parts(optimizer)
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    tensors |= {f"optimizer.{name}": tensor for name, tensor in slots.items()}
    tensors |= {f"images.{name}": tensor for name, tensor in (images or {}).items()}
    header = {"version": VERSION, "state": asdict(state), "groups": groups}
    path = _checkpoint_file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    _save(path, tensors, header)


def read_state(folder: Path) -> State:
    """Only the state of a run's checkpoint, without its tensors. Raises InputError where there is none."""
    return State(**_read_header(_checkpoint_file(folder))["state"])


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[State, Tensors, Tensors]:
    """Put a run's checkpoint into `model` and `optimizer`; return its state, the best epoch's weights and `images`.

    Raises InputError where the file is missing, damaged, of another version, or does not fit the model.
    """
    path = _checkpoint_file(folder)
    header = _read_header(path)
    tensors = load_file(path)
    _load_weights(model, _with_prefix(tensors, "model."), path)
    _restore_optimizer(optimizer, _with_prefix(tensors, "optimizer."), header["groups"])
    return State(**header["state"]), _with_prefix(tensors, "best."), _with_prefix(tensors, "images.")


def save_model(folder: Path, model: Classifier, weights: Tensors, class_names: tuple[str, ...]) -> None:
    """Write `model.json` and `model.safetensors`: with them alone, the classifier can be used anywhere."""
    write_json(folder / "model.json", {**model.describe(), "class_names": list(class_names)})
    _save(folder / "model.safetensors", model.complete(weights), {"version": VERSION})


def load_model(folder: Path, own: OwnModel | None = None) -> Classifier:
    """The classifier of a run folder, on the CPU, in evaluation mode; `own` is the user's model, where it is one.

    Raises InputError naming what is wrong.
    """
    described, weights = folder / "model.json", folder / "model.safetensors"
    if not weights.is_file() or not described.is_file():
        raise InputError(
            f"{folder}: has no model yet; `tenfold resume {folder}` goes on with an interrupted run."
        )
    choice, image_shape, classes, preprocessing = _read_description(described)
    model = build_model(choice, image_shape, classes, preprocessing=preprocessing, own=own)
    _read_header(weights)
    _load_weights(model, load_file(weights), weights)
    return model.eval()


def _read_description(path: Path) -> tuple[Choice, tuple[int, int, int], int, Preprocessing]:
    """What `build_model` needs to make the classifier that a model.json describes."""
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        choice = Choice(**description["architecture"])
        if choice.name not in components("model"):
            raise ValueError(f"there is no model {choice.name!r} in this tenfold")
        channels, height, width = description["image_shape"]
        numbers = {key: tuple(value) for key, value in description["preprocessing"].items()}
        classes = len(description["class_names"])
        return choice, (channels, height, width), classes, Preprocessing(**numbers)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: does not describe a model ({error}). Restore it from a copy, or train the run anew."
        ) from None


def _checkpoint_file(folder: Path) -> Path:
    return folder / "checkpoint" / "state.safetensors"


def _save(path: Path, tensors: Tensors, header: dict[str, Any]) -> None:
    # A tensor's memory format is not data: it is stored contiguous, and loading copies it into the model's own.
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"tenfold": json.dumps(header)}
    with atomic(path) as temporary:
        try:
            save_file(stored, temporary, metadata=metadata)
        except SafetensorError as error:
            # The library tells the system's refusal (a full disk, say) by its number, in the text only.
            if number := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
            raise


def _read_header(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file, so there is nothing to go on from. Train the run anew."
        )
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("tenfold", "{}"))
    except (SafetensorError, ValueError) as error:
        raise InputError(
            f"{path}: is damaged ({error}). Restore it from a copy, or train the run anew."
        ) from None
    if header.get("version") != VERSION:
        found = header.get("version", "none")
        raise InputError(f"{path}: was written in format {found}, this tenfold reads format {VERSION}.")
    return header


def _with_prefix(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _load_weights(model: nn.Module, weights: Tensors, path: Path) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wrong = [name for name in expected if found.get(name) != expected[name]] + sorted(
        set(found) - set(expected)
    )
    if wrong:
        name = wrong[0]
        raise InputError(
            f"{path}: {len(wrong)} tensors do not fit the model; first {name!r}: expected "
            f"{expected.get(name, 'none of that name')}, found {found.get(name, 'none')}."
        )
    model.load_state_dict(weights)


def _optimizer_parts(optimizer: torch.optim.Optimizer) -> tuple[Tensors, list[dict[str, Any]]]:
    """The optimizer's tensors by `parameter.slot`, and its groups' numbers."""
    saved = optimizer.state_dict()
    slots = {
        f"{index}.{slot}": value
        for index, memory in saved["state"].items()
        for slot, value in memory.items()
        if isinstance(value, Tensor)
    }
    groups = [
        {key: value for key, value in group.items() if key != "params"} for group in saved["param_groups"]
    ]
    return slots, groups


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, slots: Tensors, groups: list[dict[str, Any]]
) -> None:
    template = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in slots.items():
        index, _, slot = name.partition(".")
        state.setdefault(int(index), {})[slot] = tensor
    merged = [{**old, **new} for old, new in zip(template["param_groups"], groups, strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": merged})
    # PyTorch's fused updates walk parameter and memory side by side in storage order, so the memory needs the
    # parameter's own (channels_last) layout again.
    for parameter, memory in optimizer.state.items():
        for slot, value in memory.items():
            if value.shape == parameter.shape:
                memory[slot] = torch.empty_like(parameter).copy_(value)
