"""Small trainings in double precision, alone or in worlds of processes, which this is as a program."""

import json
import os
import socket
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from small import first

from tenfold.core.world import ALONE, World, joined
from tenfold.data import Source, Splits, read_splits
from tenfold.models import build_model
from tenfold.recipe import Data, load_recipe
from tenfold.training.learner import Learner
from tenfold.training.method import Step

CPU = torch.device("cpu")
# 47 images in batches of 9: the last has 2, fewer than three processes.
IMAGES, BATCH = 47, 9
NORMED = ("model.name=model-s-deep", "model.filters=[4,6]", "model.dense=8", "model.dropout=0.0")
SWIFT = (
    "model.name=swift",
    "model.widths=[8,16]",
    "model.depths=[1,2]",
    "model.pooled=1",
    "optimizer.name=muon",
)
PLAIN = ("model.name=model-s", "model.filters=[4]", "model.dense=8")
CASES = {
    "plain": (*PLAIN, "augment=[]"),
    "moving images, label smoothing": (*PLAIN, 'augment=[{name="rotation"}]', "fit.label_smoothing=0.1"),
    "mixup": (*PLAIN, 'augment=[{name="mixup",alpha=1.0}]'),
    "batch norm, penalty": (*NORMED, "augment=[]", "optimizer.name=sgd", "optimizer.momentum=0.9"),
    "whitening, muon, hardest, scales": (
        *SWIFT,
        "augment=[]",
        "fit.hardest=[1.0,0.6]",
        "fit.scales=[0.75,1.0]",
    ),
    "averaged weights": (*NORMED, "augment=[]", "fit.ema_decay=0.9"),
    "plateau": (*PLAIN, "augment=[]", "schedule.name=plateau", "schedule.patience=1", "optimizer.lr=0.05"),
    "early stopping": (*PLAIN, "augment=[]", "stop.patience=1", "optimizer.lr=0.3", "fit.epochs=9"),
}


def few_images() -> Splits:
    """Some of the digits."""
    splits = read_splits(Data(), Source("digits"))
    return replace(splits, train=first(splits.train, IMAGES), validation=first(splits.validation, 41))


def streamed_images(shards: Path) -> Splits:
    """The same, from shards of 20 images; the last batch has 2."""
    splits = read_splits(Data(streaming=True, shuffle_buffer=40), Source(str(shards)))
    return replace(splits, train=first(splits.train, IMAGES), validation=first(splits.validation, 41))


def learned(case: str, splits: Splits, world: World = ALONE, **changes: Any) -> dict[str, Any]:
    """What became of a training: each step's running loss and accuracy, epochs, end, weights' sums."""
    overrides = (*CASES[case], f"fit.batch_size={BATCH}", "fit.seed=5")
    if "fit.epochs=9" not in overrides:
        overrides = (*overrides, "fit.epochs=3")
    recipe = load_recipe("digits", overrides)
    recipe = recipe.model_copy(update={"fit": recipe.fit.model_copy(update=changes)})
    steps: list[tuple[float, float]] = []

    def watch(step: Step) -> None:
        steps.append((step.loss, step.accuracy))

    model = build_model(recipe.model, splits.image_shape, 10, seed=5).double()
    learner = Learner(model, splits, recipe, device=CPU, watch=watch, world=world)
    while learner.state.stop_reason is None:
        learner.run_epoch()
    learner.restore_best()
    return {
        "steps": steps,
        "epochs": [{**asdict_of(record), "seconds": 0} for record in learner.state.history],
        "end": learner.state.stop_reason,
        "weights": {
            name: [tensor.double().sum().item(), tensor.double().norm().item()]
            for name, tensor in model.state_dict().items()
        },
    }


def asdict_of(record: Any) -> dict[str, Any]:
    """A record of the history as plain numbers."""
    return record if isinstance(record, dict) else asdict(record)


def main() -> None:
    """`world_cases.py FOLDER SHARDS SIZE...`: worlds of so many processes, which write FOLDER/SIZE.json.

    They are forked, because importing PyTorch in each takes longer than the cases.
    """
    folder, shards, *sizes = sys.argv[1:]
    for size in sizes:
        ended = world_of(int(size), Path(folder, f"{size}.json"), Path(shards))
        if any(ended):
            sys.exit(f"the ranks of {size} ended with {ended}")


def world_of(size: int, found_in: Path, shards: Path) -> list[int]:
    """How each rank of a world of `size` processes ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = []
    for rank in range(size):
        if not (process := os.fork()):
            about = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", **{name: str(value) for name, value in about.items()}}
            run_rank(found_in, shards)
            sys.exit()
        ranks.append(process)
    return [os.waitpid(rank, 0)[1] for rank in ranks]


def run_rank(found_in: Path, shards: Path) -> None:
    """Run all cases as a rank of the world in the environment; the first writes what they gave."""
    splits = few_images()
    with joined(CPU) as world:
        found = {case: learned(case, splits, world) for case in CASES}
        found["streamed"] = learned("mixup", streamed_images(shards), world)
        found["local norms"] = learned("batch norm, penalty", splits, world, batch_norm="local")
        hand = list(np.arange(5))[world.rank :: world.size]
        found["dealt"] = [int(card) for card in world.in_turns(hand)]
        found["agreed"] = world.agree(lambda: world.rank + 10)
        if world.first:
            found_in.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
