"""Checkpoints: all that a run needs to go on, without pickle.

A checkpoint is one safetensors file: weights (`model.`), the best epoch's weights (`best.`), the optimizer's tensors
(`optimizer.`) and what else the learner remembers (`images.`, from when that was of single images only), with
everything that is not a tensor as JSON in the file's header. One file and one rename, so there is never a checkpoint
whose parts come from different epochs. The checkpoint before the last one is kept beside it.
"""

import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tenfold.core.tensors import VERSION, WITHIN, read_tensors, write_tensors
from tenfold.models.saving import put_tensors
from tenfold.runs.files import FolderFileError, StateFile
from tenfold.runs.folder import Run
from tenfold.runs.state import State as State
from tenfold.runs.state import Within as Within
from tenfold.runs.state import state_of

Tensors = dict[str, Tensor]


def save_checkpoint(
    folder: Path,
    state: State,
    model: nn.Module,
    best: Tensors,
    optimizer: torch.optim.Optimizer,
    extra: Tensors | None = None,
) -> None:
    """Write the checkpoint of a run folder atomically; `extra`: what else a learner remembers."""
    slots, groups = _optimizer_parts(optimizer)
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    tensors |= {f"optimizer.{name}": tensor for name, tensor in slots.items()}
    tensors |= {f"images.{name}": tensor for name, tensor in (extra or {}).items()}
    path = Run(folder).path_of(Run.state)
    path.parent.mkdir(parents=True, exist_ok=True)
    # An older tenfold, which knows of no steps within epochs, must not take it for a checkpoint of an epoch's end.
    version = VERSION if state.within is None else WITHIN
    _keep_last(Run(folder))
    write_tensors(path, tensors, {"state": asdict(state), "groups": groups}, version)


def _keep_last(run: Run) -> None:
    """Give the checkpoint that is to be replaced its second name."""
    path, kept = run.path_of(Run.state), run.path_of(Run.state_before)
    if not path.is_file():
        return
    linked = kept.with_name(f".{kept.name}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        linked.unlink()
    try:
        linked.hardlink_to(path)
        linked.replace(kept)
    except OSError:  # A file system without links: for a moment there is only the one before.
        path.replace(kept)


def mend_checkpoint(run: Run) -> str | None:
    """Where the last checkpoint is damaged or missing, put the one before in its place; what was done, in words."""
    try:
        _check(run, Run.state)
        return None
    except FolderFileError as damage:
        try:
            _check(run, Run.state_before)
        except FolderFileError:
            return None  # whoever reads the last one says what is wrong with it
        run.path_of(Run.state_before).replace(run.path_of(Run.state))
        reason = str(damage).partition(". ")[0]
        return f"{reason}. Going on from the checkpoint before it, of epoch {run.state.epoch}."


def _check(run: Run, file: StateFile) -> None:
    """Raise FolderFileError where a checkpoint is not what was written."""
    path = file.existing(run)
    with file.named(run):
        state_of(read_tensors(path)[1])


def read_state(folder: Path) -> State:
    """Only the state of a run's checkpoint, without its tensors. Raises InputError where there is none."""
    return Run(folder).state


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[State, Tensors, Tensors]:
    """Put a run's checkpoint into `model` and `optimizer`; return its state, the best epoch's weights and `extra`.

    Raises InputError where the file is missing, damaged, of another version, or does not fit the model.
    """
    run = Run(folder)
    path = Run.state.existing(run)
    with Run.state.named(run):
        tensors, header = read_tensors(path)
        state = state_of(header)
        put_tensors(_with_prefix(tensors, "model."), model)
        _restore_optimizer(optimizer, _with_prefix(tensors, "optimizer."), header.get("groups"))
    return state, _with_prefix(tensors, "best."), _with_prefix(tensors, "images.")


def _with_prefix(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


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


def _restore_optimizer(optimizer: torch.optim.Optimizer, slots: Tensors, groups: Any) -> None:
    """Raises ValueError where the numbers are those of another optimizer."""
    template = optimizer.state_dict()
    if not isinstance(groups, list) or len(groups) != len(template["param_groups"]):
        raise ValueError("does not fit the recipe: its optimizer has other groups of parameters")
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
