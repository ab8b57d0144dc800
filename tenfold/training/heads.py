"""Heads on cached features: the path of a logistic regression's strengths, and two lines to judge any head by."""

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tenfold.data import Split, class_counts
from tenfold.models.backbone import Standardise
from tenfold.models.keras_cnns import Flatten
from tenfold.runs.checkpoint import Tensors, Within
from tenfold.training.losses import Criterion
from tenfold.training.method import Equipment, Learned, Method, NonFiniteLossError, Step

# Rows at a time: features stay float16 in the memory map, and only a block of them is ever float32.
BLOCK = 4096
ITERATIONS = 100  # of L-BFGS per strength; warm starts rarely need half of them
LOOKS = 4  # at the clock within them
TOLERANCE = 1e-6  # of the loss between two iterations: far below what validation can tell apart
# How many images the sanity lines look at, at most: they are there to be compared with, not to be exact.
SANITY_TRAIN, SANITY_VALIDATION, NEIGHBOURS = 10_000, 2_000, 20


class StrengthPath(Method):
    """Multinomial logistic regression, an epoch for each strength of regularisation, from strong to weak.

    Each is solved to the minimum by L-BFGS (Liu & Nocedal 1989) from the one before. So the epochs of history.csv
    walk from underfitting to overfitting, and the best by `stop.monitor` is the strength chosen on validation.
    """

    unit = "strength"

    def __init__(self, strengths: tuple[float, ...], equipment: Equipment) -> None:
        self.strengths, self.equipment = strengths, equipment
        counts = class_counts(equipment.train.split, equipment.model.classes)
        self.criterion = Criterion(equipment.recipe.fit, counts, equipment.device, whole=True)

    def begin(self, epoch: int) -> float:
        """L-BFGS takes steps of its own length."""
        return 1.0

    def learn(self, epoch: int, within: Within) -> Learned:
        """Solve for this epoch's strength, without pause; the loss is without penalty."""
        strength = self.strengths[epoch - 1]
        parameters = list(self.equipment.model.network.parameters())
        weight = next(p for p in parameters if p.dim() == 2)
        optimizer = torch.optim.LBFGS(
            parameters,
            max_iter=ITERATIONS // LOOKS,
            history_size=10,
            tolerance_change=TOLERANCE,
            line_search_fn="strong_wolfe",
        )
        began, evaluations = time.perf_counter(), 0

        def closure() -> Tensor:
            nonlocal evaluations
            optimizer.zero_grad()
            loss, accuracy = self._full_gradient()
            evaluations += 1
            penalty = strength / 2 * weight.square().sum()
            penalty.backward()
            self._tell(epoch, evaluations, loss, accuracy, time.perf_counter() - began)
            return penalty.detach() + loss

        for _ in range(LOOKS):
            before = _iterations(optimizer)
            optimizer.step(closure)  # pyright: ignore[reportArgumentType]
            ended = _iterations(optimizer) - before < ITERATIONS // LOOKS
            if ended or self.equipment.pace.share_of_time() >= 1:
                break
        loss, accuracy = self._full_gradient()
        optimizer.zero_grad()
        if not np.isfinite(loss):
            raise NonFiniteLossError(
                f"the loss became {loss} at strength {strength:g}; set model.standardise=true"
            )
        return Learned(loss, accuracy, steps=0)

    def memory(self) -> Tensors:
        """Nothing: each strength goes on from the head's weights."""
        return {}

    def restore(self, memory: Tensors) -> None:
        """Nothing to restore."""

    def _tell(self, epoch: int, evaluations: int, loss: float, accuracy: float, seconds: float) -> None:
        if self.equipment.watch:
            done, rate = min(evaluations, ITERATIONS), evaluations * len(self.equipment.train) / seconds
            step = Step(epoch, len(self.strengths), done, ITERATIONS, loss, accuracy, rate)
            self.equipment.watch(step)

    def _full_gradient(self) -> tuple[float, float]:
        """Add the mean loss's gradient over all training images; return mean loss and accuracy."""
        train, head = self.equipment.train, self.equipment.model.network
        sums = torch.zeros(2, dtype=torch.float64, device=train.device)
        for batch in train.batches(train.in_order(BLOCK)):
            logits = F.linear(Flatten()(batch.images).float(), *_folded(head))
            loss = self.criterion(logits, batch.labels, "sum")
            (loss * (batch.weight / len(train))).backward()
            sums += batch.weight * torch.stack([loss.detach(), (logits.argmax(1) == batch.labels).sum()])
        train.world.add(sums)
        train.world.add_all([p.grad for p in head.parameters() if p.grad is not None])
        loss_sum, correct = sums.tolist()
        return loss_sum / len(train), correct / len(train)


def _iterations(optimizer: torch.optim.LBFGS) -> int:
    """How many it has made: PyTorch keeps the count with the first parameter."""
    return optimizer.state[optimizer.param_groups[0]["params"][0]].get("n_iter", 0)


def _folded(head: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear head on features as they are: its `Standardise` is taken into them."""
    linear = next(module for module in head.modules() if isinstance(module, nn.Linear))
    layer = next((module for module in head.modules() if isinstance(module, Standardise)), None)
    if layer is None:
        return linear.weight, linear.bias
    weight = linear.weight / layer.deviation
    return weight, linear.bias - weight @ layer.mean


def measure_features(head: nn.Module, split: Split) -> None:
    """Give the head's `Standardise` the mean and deviation of the split's features, if it has one."""
    layer = next((module for module in head.modules() if isinstance(module, Standardise)), None)
    if layer is None:
        return
    count, total, squares = 0, 0.0, 0.0
    for start in range(0, len(split), BLOCK):
        block = split.images(slice(start, start + BLOCK)).reshape(-1, len(layer.mean)).astype(np.float64)
        count += len(block)
        total += block.sum(0)
        squares += np.square(block).sum(0)
    mean = total / count
    variance = np.maximum(squares / count - np.square(mean), 0.0)
    # A feature that never varies says nothing: it is left at zero instead of being blown up.
    deviation = np.where(variance > 1e-8, np.sqrt(variance), 1.0)
    layer.mean.copy_(torch.from_numpy(mean))
    layer.deviation.copy_(torch.from_numpy(deviation))


def sanity_lines(train: Split, validation: Split, classes: int, seed: int) -> dict[str, Any]:
    """Validation accuracy of the nearest class mean and of k nearest neighbours (cosine), on samples of both splits.

    A head that is no better than these has not learned what the features hold.
    """
    generator = np.random.default_rng(seed)
    known, known_labels = _sample(train, SANITY_TRAIN, generator)
    asked, asked_labels = _sample(validation, SANITY_VALIDATION, generator)
    centre = known.mean(0)
    known, asked = F.normalize(known - centre), F.normalize(asked - centre)
    member = F.one_hot(known_labels, classes).float()
    means = F.normalize((member.T @ known) / member.sum(0)[:, None].clamp(min=1))
    by_mean = (asked @ means.T).argmax(1)
    votes = torch.zeros(len(asked), classes)
    nearest = (asked @ known.T).topk(min(NEIGHBOURS, len(known)), dim=1)
    votes.scatter_add_(1, known_labels[nearest.indices], nearest.values.clamp(min=0))
    return {
        "nearest_mean_accuracy": (by_mean == asked_labels).float().mean().item(),
        "nearest_neighbours_accuracy": (votes.argmax(1) == asked_labels).float().mean().item(),
        "neighbours": min(NEIGHBOURS, len(known)),
        "training_images": len(known),
        "validation_images": len(asked),
    }


def _sample(split: Split, most: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    chosen = np.sort(generator.permutation(len(split))[:most])
    features = split.images(chosen).reshape(len(chosen), -1).astype(np.float32)
    return torch.from_numpy(features), torch.from_numpy(split.labels[chosen])
