"""The usual way through an epoch: a gradient step for each batch of augmented images."""

import math
import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tenfold.augment import build_augmentations
from tenfold.core.errors import InputError
from tenfold.core.randomness import seed_for
from tenfold.core.world import ALONE
from tenfold.data import class_counts
from tenfold.data.batches import Batch
from tenfold.data.orders import hardest
from tenfold.models import Classifier
from tenfold.recipe import Recipe
from tenfold.runs.checkpoint import Tensors, Within
from tenfold.training.losses import Criterion
from tenfold.training.method import Equipment, Learned, Method, NonFiniteLossError, Step

# A device beside the CPU is asked for its losses only so often, because Python waits for it each time.
STEPS_BETWEEN_LOOKS = 50


class GradientSteps(Method):
    """Shuffled batches, augmented; a step of the recipe's optimizer for each."""

    unit = "epoch"

    def __init__(self, equipment: Equipment) -> None:
        self.equipment = equipment
        recipe = equipment.recipe
        if min(recipe.fit.scales) < 1:
            _check_scales(equipment.model, recipe, equipment.device)
        settings, counts = recipe.fit, class_counts(equipment.train.split, equipment.model.classes)
        _check_sampler(recipe)
        self.criterion = Criterion(settings, counts, equipment.device, smoothing=settings.label_smoothing)
        self.augmentations = build_augmentations(recipe.augment, equipment.model.classes)
        # Each training image's loss when it was last seen, where that chooses what is learned next; equal in all
        # processes of a world from one epoch to the next.
        self.losses = (
            torch.full((len(equipment.train),), torch.inf, device=equipment.device)
            if min(equipment.pace.shares) < 1
            else None
        )
        # Which of them this process has seen in the epoch.
        self.seen = torch.zeros(len(equipment.train), dtype=torch.bool, device=equipment.device)
        # Which of them the epoch that has begun learns from: by what the losses were then.
        self.chosen: np.ndarray | None = None

    def begin(self, epoch: int) -> float:
        """Set the rates of the epoch's first step; return the first group's."""
        return self.equipment.pace.set_rates(epoch)

    def learn(self, epoch: int, within: Within) -> Learned:
        """Train once on every image of the epoch that is left."""
        given, settings = self.equipment, self.equipment.recipe.fit
        if not within.steps:
            self.chosen = self._kept(epoch)
        order = given.train.order(settings, epoch, self.chosen)
        augment = self.augmentations.epoch(settings.seed, epoch)
        given.model.train()
        tally, began, before = _Tally(epoch, within), time.perf_counter(), replace(within)
        pace = 1 if given.device.type == "cpu" else STEPS_BETWEEN_LOOKS
        # What mixes images needs all of a batch, whoever learns from which part of it.
        left = given.train.batches(order[before.steps :], whole=augment.mixes)
        for index, batch in enumerate(left, before.steps):
            self._seed_dropout(epoch, index)
            images, targets = augment(batch.images, batch.labels, batch.places)
            images, targets = reduced(images[batch.mine], settings.scale(epoch)), targets[batch.mine]
            given.pace.set_rates(epoch, index / len(order))
            loss, correct, logits = self._step(images, targets, batch)
            if self.losses is not None:
                places = batch.positions[batch.mine]
                seen = F.cross_entropy(logits, targets, reduction="none")
                self.losses[places] = seen.to(self.losses.dtype)
                self.seen[places] = True
            tally.add(batch.size, loss, correct)
            given.pace.took_step(batch.size)
            last = index + 1 == len(order) or given.pace.share_of_time() >= 1
            looks = (index + 1) % pace == 0 or last
            if looks:
                tally.look()
                spent = time.perf_counter() - began
                within.seconds = before.seconds + spent
                if given.watch:
                    rate = (within.images - before.images) / spent
                    given.watch(
                        Step(epoch, settings.epochs, index + 1, len(order), tally.loss, tally.accuracy, rate)
                    )
                given.pause()
            if last:
                break
        self._join_losses()
        return Learned(tally.loss, tally.accuracy, within.steps)

    def memory(self) -> Tensors:
        """The loss of each training image, where it chooses what is learned next, and what it chose last."""
        if self.losses is None:
            return {}
        chosen = {} if self.chosen is None else {"chosen": torch.from_numpy(self.chosen)}
        return {"losses": self.losses, **chosen}

    def restore(self, memory: Tensors) -> None:
        """Go on from those losses."""
        if self.losses is not None:
            self.losses.copy_(memory["losses"])
            self.chosen = memory["chosen"].numpy() if "chosen" in memory else None

    def _kept(self, epoch: int) -> np.ndarray | None:
        """Which training images (N,) bool the epoch learns from; None where it is all of them."""
        share = self.equipment.pace.shares[epoch - 1]
        if self.losses is None or share == 1:
            return None
        return hardest(self.losses.cpu().numpy(), share, self.equipment.recipe.fit.seed, epoch)

    def _seed_dropout(self, epoch: int, step: int) -> None:
        """Seed the global random numbers by the step; only a CPU's where that will do, since others take time."""
        # Each process of a world drops out on its own.
        rank = [str(self.equipment.world.rank)] if self.equipment.world.rank else []
        seed = seed_for(self.equipment.recipe.fit.seed, "dropout", epoch, step, *rank)
        on_cpu = self.equipment.device.type == "cpu"
        (torch.default_generator.manual_seed if on_cpu else torch.manual_seed)(seed)

    def _step(self, images: Tensor, targets: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """One update; the whole batch's loss with its penalty and how many are right, and these images' logits.

        A world's processes add up gradients of their parts of the mean, and so all take the same step.
        """
        given = self.equipment
        model, world = given.model, given.world
        with given.precision(), given.norms.of(ALONE if batch.weight < 1 else given.norms.world):
            logits = model(images)
        loss = self.criterion(logits, targets)
        if not world.alone:
            loss = loss * batch.share
        penalty = model.penalty()
        if penalty is not None:
            loss = loss + (penalty if world.alone else penalty / world.size)
        given.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        loss, correct = loss.detach(), (logits.argmax(1) == batch.labels[batch.mine]).sum()
        if not world.alone:
            correct = correct.to(loss.dtype) * batch.weight
            world.add_all([*_gradients(model), loss, correct])
        given.optimizer.step()
        return loss, correct, logits.detach()

    def _join_losses(self) -> None:
        """Let every process of a world know the losses that the others saw in this epoch."""
        if self.losses is None or self.equipment.world.alone:
            return
        count = self.seen.to(self.losses.dtype)
        total = torch.where(self.seen, self.losses, 0.0)
        self.equipment.world.add_all([count, total])
        self.losses = torch.where(count > 0, total / count, self.losses)
        self.seen.zero_()


def _gradients(model: Classifier) -> list[Tensor]:
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def reduced(images: Tensor, scale: float) -> Tensor:
    """`images` (N, C, H, W), float, with their sides reduced to a share of theirs, in the same memory format."""
    if scale == 1:
        return images
    size = [max(1, round(scale * side)) for side in images.shape[2:]]
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def _check_sampler(recipe: Recipe) -> None:
    """Raise InputError where a balanced sampler would have to draw from less than the whole split."""
    if recipe.fit.sampler != "balanced":
        return
    for key, default in (("hardest", (1.0,)), ("batches", "split")):
        if recipe.fit.model_dump()[key] != default:
            raise InputError(
                f'fit.sampler="balanced" draws from all images of a class: remove fit.{key}, or use '
                'fit.class_weights="balanced".'
            )


def _check_scales(model: Classifier, recipe: Recipe, device: torch.device) -> None:
    """Raise InputError where the model cannot learn from reduced images."""
    scale = min(recipe.fit.scales)
    images = reduced(torch.zeros(2, *model.image_shape, device=device), scale)
    try:
        with torch.no_grad():
            model.eval()(images)
    except (RuntimeError, InputError) as error:
        height, width = images.shape[2:]
        raise InputError(
            f"fit.scales={list(recipe.fit.scales)}: {model.architecture.name} cannot learn from images of "
            f"{height}x{width}. Leave fit.scales out, or take larger shares or another model."
        ) from error


class _Tally:
    """Adds loss and correct answers over an epoch's images to its `within`; divided only when read.

    What steps add stays on their device until the next look.
    """

    def __init__(self, epoch: int, within: Within) -> None:
        self.epoch, self.within = epoch, within
        self.pending: list[tuple[int, Tensor, Tensor]] = []

    def add(self, count: int, loss: Tensor, correct: Tensor) -> None:
        """Note a step's loss () over so many images, and how many of them () are right."""
        self.pending.append((count, loss, correct))

    def look(self) -> None:
        """Read what the steps since the last look have added. Raises NonFiniteLossError naming the first bad one."""
        counts, losses, correct = zip(*self.pending, strict=True)
        self.pending.clear()
        for count, loss in zip(counts, torch.stack(losses).tolist(), strict=True):
            self.within.steps += 1
            if not math.isfinite(loss):
                raise NonFiniteLossError(
                    f"the loss became {loss} at step {self.within.steps} of epoch {self.epoch}; "
                    "a lower optimizer.lr is the usual remedy"
                )
            self.within.images += count
            self.within.loss_sum += loss * count
        self.within.correct += round(torch.stack(correct).sum().item())

    @property
    def loss(self) -> float:
        return self.within.loss_sum / self.within.images

    @property
    def accuracy(self) -> float:
        return self.within.correct / self.within.images
