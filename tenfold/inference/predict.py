"""`tenfold predict`: pictures in, named classes out, block after block, so that a million of them fit."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.core.errors import InputError
from tenfold.core.processes import in_order
from tenfold.inference.answers import ACCURACY, Answers, answer
from tenfold.inference.decoding import Block, blocks
from tenfold.inference.opening import FEW, Model, open_model
from tenfold.inference.pictures import Picture, pictures_from
from tenfold.inference.predictor import Predictor

if TYPE_CHECKING:
    from torch import nn

    from tenfold.models import OwnModel
    from tenfold.models.own import Make
    from tenfold.runs.folder import Run


@dataclass(frozen=True)
class Question:
    """What is asked of every picture; `accuracy` and `coverage` are as in `answers.answer`."""

    accuracy: float = ACCURACY
    coverage: float | None = None
    raw: bool = False

    def check(self, model: Model) -> None:
        """Raise InputError, before any picture is read, for what the contract cannot promise."""
        model.contract.threshold(self.accuracy)
        if self.coverage is not None:
            model.contract.least_probability(self.coverage)


def predict(
    run: "str | Path | Run",
    images: Any,
    *,
    accuracy: float = ACCURACY,
    coverage: float | None = None,
    raw: bool = False,
    device: str = "auto",
    model: "nn.Module | Make | OwnModel | None" = None,
) -> Answers:
    """What a run's model, or an exported one, says of `images`.

    `images`: a path (file, folder, glob, archive, table), a PIL image, a picture file's bytes, a uint8 array (H, W),
    (H, W, C) or (N, H, W, C), or a list of such. Answers that reach `accuracy` on validation are not `unsure`;
    `coverage` asks for sets of classes that hold the true one so often; with `raw`, probabilities are without the
    temperature. Pictures that cannot be read are listed in `.unreadable`. `model`: see `load_run`. Raises
    InputError where none can be read, and for arrays that are not uint8.

        answers = tenfold.predict("runs/photos", "holiday/")
        answers.predicted, answers.probabilities, answers.to_pandas()
    """
    opened = open_model(*_named(run, model))
    question = Question(accuracy, coverage, raw)
    question.check(opened)
    pictures = pictures_from(images, opened.contract.class_names)
    own_data = opened.owns(_paths(images))
    few = pictures.count is not None and pictures.count <= FEW and not own_data
    predictor = opened.predictor(few, device, exactly=own_data)
    parts = list(answered(opened, predictor, pictures, question))
    together = joined(parts, opened)
    if together.unreadable and not len(together):
        name, reason = together.unreadable[0]
        raise InputError(f"{name}: cannot be read: {reason}. None of the pictures can.")
    return together


def _named(
    run: "str | Path | Run", model: "nn.Module | Make | OwnModel | None"
) -> "tuple[str | Path, OwnModel | None]":
    """The run's folder, and the module of the user's own: the one given, or the one that the run was opened with."""
    name, own = (run, None) if isinstance(run, str | Path) else (run.path, run.own)
    if model is None:
        return name, own
    from tenfold.models import given_model  # PyTorch, which ONNX Runtime does without

    return name, given_model(model)


def answered(
    model: Model, predictor: Predictor, pictures: Iterable[Picture], question: Question
) -> Iterator[Answers]:
    """Answers in blocks of as many pictures as `predictor` takes at once, in order."""
    ask = asking(model, predictor, question)
    work = blocks(pictures, model.contract.target, predictor.batch)
    first = list(islice(work, 2))
    if len(first) < 2:  # all threads on the one batch
        yield from map(ask, first)
        return
    with predictor.side_by_side() as calls, ThreadPoolExecutor(calls) as pool:
        for _, answers in in_order(partial(pool.submit, ask), chain(first, work), calls):
            yield answers


def asking(model: Model, predictor: Predictor, question: Question) -> Callable[[Block], Answers]:
    """What answers one block of pictures."""

    def ask(block: Block) -> Answers:
        answers = answer(
            model.contract,
            predictor,
            block.pixels,
            _logits(model, predictor, block.pixels),
            block.names,
            accuracy=question.accuracy,
            coverage=question.coverage,
            labels=block.labels if any(label is not None for label in block.labels) else (),
            unreadable=tuple(block.unreadable),
        )
        return answers.uncorrected() if question.raw else answers

    return ask


def _logits(model: Model, predictor: Predictor, pixels: np.ndarray) -> np.ndarray:
    """Logits (n, K) float32 of `pixels` (n, H, W, C), which may be none."""
    if not len(pixels):
        return np.empty((0, len(model.contract.class_names)), np.float32)
    return predictor.logits(pixels)


def joined(parts: Sequence[Answers], model: Model) -> Answers:
    """Several blocks of answers as one; without any, none."""
    labelled = any(part.labels for part in parts)
    empty = np.empty((0, len(model.contract.class_names)), np.float32)
    labels = [label for part in parts for label in (part.labels or [None] * len(part))]
    return Answers(
        paths=[path for part in parts for path in part.paths],
        class_names=model.contract.class_names,
        logits=np.concatenate([empty, *(part.logits for part in parts)]),
        raw=np.concatenate([empty, *(part.raw for part in parts)]),
        probabilities=np.concatenate([empty, *(part.probabilities for part in parts)]),
        unsure=_together([part.unsure for part in parts]),
        unlike=_together([part.unlike for part in parts]),
        sets=_together([part.sets for part in parts]),
        labels=labels if labelled else (),
        unreadable=tuple(fault for part in parts for fault in part.unreadable),
    )


def _together(values: list[np.ndarray | None]) -> np.ndarray | None:
    known = [value for value in values if value is not None]
    return np.concatenate(known) if known else None


def _paths(images: Any) -> list[str]:
    items = images if isinstance(images, list | tuple) else [images]
    return [str(item) for item in items if isinstance(item, str | Path)]
