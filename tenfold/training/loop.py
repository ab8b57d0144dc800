"""The training loop: a generator that yields one record per epoch.

What the notebooks' Keras did is kept: the logged losses contain the L2 penalty, accuracy and loss of an epoch are
the means over its images while the model was changing, the plateau schedule and early stopping count epochs as
Keras' callbacks do. The weights of the best epoch are restored always, however training ended. (The notebooks'
TensorFlow 2.15 restored them only when early stopping ended it, so that notebook 03 tested epoch 30 believing it
tested 29; Keras 3 restores them in both cases, as tenfold does.)
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tenfold.augment import Pipeline, build_augmentations
from tenfold.core.devices import choose_precision, keep_freed_memory
from tenfold.core.errors import InputError
from tenfold.core.randomness import seed_for
from tenfold.data import Split, Splits
from tenfold.data.feeds import Batches, epoch_order, hardest
from tenfold.inference.evaluation import score
from tenfold.models import Classifier
from tenfold.recipe import Recipe
from tenfold.runs.checkpoint import State, Tensors, load_checkpoint, save_checkpoint, save_model
from tenfold.runs.folder import Run
from tenfold.training.optimizers import build_optimizer
from tenfold.training.schedules import Schedule, build_schedule, improves


@dataclass(frozen=True)
class Epoch:
    """One row of history.csv: means over the images that the epoch learned from; `seconds` include validation."""

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Step:
    """What a progress display is told after each step; `loss` and `accuracy` are means since the epoch began."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float


# How many pixels a model may see before it learns: enough to know how neighbours go together.
INITIALISATION_PIXELS = 2**19
# A device beside the CPU is asked for its losses only so often, because Python waits for it each time.
STEPS_BETWEEN_LOOKS = 50

Watcher = Callable[[Step], None]


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite."""


def fit(
    model: Classifier,
    splits: Splits,
    recipe: Recipe,
    run: Run,
    *,
    device: torch.device | None = None,
    resume: bool = False,
    watch: Watcher | None = None,
    method: "type[Training] | None" = None,
) -> Iterator[Epoch]:
    """Train `model` in place, yielding each epoch's record after its checkpoint is on disk.

    To stop early, leave the loop: `tenfold resume` or `resume=True` goes on from the last finished epoch, and on
    a CPU ends with the same weights, bit for bit, as a run that was never interrupted. When the generator ends by
    itself, the model holds the best epoch's weights by `recipe.stop.monitor`. A loss that is not finite ends
    training with `State.failed` set and a reason that names the step; the best model so far is kept. `method` is
    another way through an epoch than by gradient steps.
    """
    keep_freed_memory()
    training = (method or Training)(model, splits, recipe, run, device or torch.device("cpu"), watch)
    if resume:
        training.restore()
    while training.state.stop_reason is None:
        record = training.run_epoch()
        training.save()
        if record is not None:
            yield record
    training.restore_best()


class Training:
    """The moving parts of one run: model, optimizer, schedule, data and the state that a checkpoint keeps."""

    def __init__(
        self,
        model: Classifier,
        splits: Splits,
        recipe: Recipe,
        run: Run,
        device: torch.device,
        watch: Watcher | None,
    ) -> None:
        self.model = model.to(device)
        if min(recipe.fit.scales) < 1:
            _check_scales(self.model, recipe, device)
        self.recipe, self.run, self.watch = recipe, run, watch
        self.class_names = splits.class_names
        self.train = Batches(splits.train, device)
        self.validation = Batches(_sample(splits.validation, recipe), device)
        self.augmentations: Pipeline = build_augmentations(recipe.augment, len(splits.class_names))
        self.optimizer = build_optimizer(recipe.optimizer, model.parameter_groups())
        self.schedule: Schedule = build_schedule(recipe.schedule)
        for group in self.optimizer.param_groups:
            group["base_lr"] = group["lr"] * group.get("lr_scale", 1.0)
        self.state = State(schedule=self.schedule.memory)
        self.best: Tensors = {}
        self.shares = recipe.fit.shares(recipe.fit.epochs)
        # Each training image's loss when it was last seen, where that chooses what is learned next.
        self.losses = (
            torch.full((len(self.train),), torch.inf, device=device) if min(self.shares) < 1 else None
        )
        self.began, self.spent_before = time.perf_counter(), 0.0
        self.validation_seconds = 0.0

    def restore(self) -> None:
        """Go on from the run's checkpoint."""
        self.state, self.best, images = load_checkpoint(self.run.path, self.model, self.optimizer)
        if self.losses is not None:
            self.losses.copy_(images["losses"])
        self.spent_before = sum(record["seconds"] for record in self.state.history)
        self.schedule.memory = self.state.schedule

    def restore_best(self) -> None:
        """Put the best epoch's weights into the model."""
        if self.best:
            self.model.load_state_dict(self.best)

    def save(self) -> None:
        """Write checkpoint and history, in this order: a kill between them costs nothing."""
        images = {} if self.losses is None else {"losses": self.losses}
        save_checkpoint(self.run.path, self.state, self.model, self.best, self.optimizer, images)
        self.run.write_history(self.state.history)

    def run_epoch(self) -> Epoch | None:
        """One epoch and its consequences for the state; None where the loss was not finite."""
        try:
            record = self._train_and_validate(self.state.epoch + 1)
        except NonFiniteLossError as error:
            self.state.stop_reason, self.state.failed = str(error), True
            return None
        self.state.epoch = record.epoch
        self.state.history.append(asdict(record))
        self._judge(asdict(record))
        self.schedule.observe(asdict(record))
        return record

    def _train_and_validate(self, epoch: int) -> Epoch:
        began = time.perf_counter()
        learning_rate = self._set_learning_rate(epoch)
        loss, accuracy = self.learn(epoch)
        learned = time.perf_counter()
        with self.precision():
            validation_loss, validation_accuracy = score(self.model, self.validation)
        if not math.isfinite(validation_loss):
            raise NonFiniteLossError(f"the validation loss became {validation_loss} after epoch {epoch}")
        self.validation_seconds = time.perf_counter() - learned
        seconds = round(time.perf_counter() - began, 3)
        return Epoch(epoch, loss, accuracy, validation_loss, validation_accuracy, learning_rate, seconds)

    def learn(self, epoch: int) -> tuple[float, float]:
        """One epoch of training alone, counted from 1: mean loss (with penalty) and accuracy while it changed."""
        if epoch == 1:
            self._initialise()
        self.model.begin_epoch(epoch)
        return self._train_epoch(epoch)

    def _initialise(self) -> None:
        """Show the model some training images before it learns."""
        generator = np.random.default_rng(seed_for(self.recipe.fit.seed, "initialisation"))
        height, width = self.model.image_shape[1:]
        count = min(len(self.train), max(32, INITIALISATION_PIXELS // (height * width)))
        self.model.initialise(self.train.take(generator.permutation(len(self.train))[:count])[0])

    def _train_epoch(self, epoch: int) -> tuple[float, float]:
        """Train once on every image of the epoch; return the mean loss (with penalty) and accuracy."""
        settings = self.recipe.fit
        order = epoch_order(
            self.train.split, settings.batch_size, settings.batches, settings.seed, epoch, self._kept(epoch)
        )
        augment = self.augmentations.epoch(settings.seed, epoch, len(self.train), self.train.device)
        self.model.train()
        tally, began = _Tally(epoch), time.perf_counter()
        pace = 1 if self.train.device.type == "cpu" else STEPS_BETWEEN_LOOKS
        for index, positions in enumerate(self.train.placed(order)):
            self._seed_dropout(epoch, index)
            images, labels = self.train.take(positions)
            images, targets = augment(images, labels, positions)
            images = reduced(images, settings.scale(epoch))
            self._set_learning_rate(epoch, index / len(order))
            loss, logits = self._step(images, targets)
            if self.losses is not None:
                self.losses[positions] = F.cross_entropy(logits, targets, reduction="none")
            tally.add(loss, logits, labels)
            last = index + 1 == len(order) or self._share_of_time() >= 1
            looks = (index + 1) % pace == 0 or last
            if looks:
                tally.look()
            self.state.step += 1
            if self.watch and looks:
                rate = tally.images / (time.perf_counter() - began)
                self.watch(
                    Step(epoch, settings.epochs, index + 1, len(order), tally.loss, tally.accuracy, rate)
                )
            if last:
                break
        return tally.loss, tally.accuracy

    def _kept(self, epoch: int) -> np.ndarray | None:
        """Which training images (N,) bool the epoch learns from; None where it is all of them."""
        if self.losses is None or self.shares[epoch - 1] == 1:
            return None
        return hardest(self.losses.cpu().numpy(), self.shares[epoch - 1], self.recipe.fit.seed, epoch)

    def _seed_dropout(self, epoch: int, step: int) -> None:
        """Seed the global random numbers by the step; only a CPU's where that will do, since others take time."""
        seed = seed_for(self.recipe.fit.seed, "dropout", epoch, step)
        on_cpu = self.train.device.type == "cpu"
        (torch.default_generator.manual_seed if on_cpu else torch.manual_seed)(seed)

    def _step(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """One update; return the loss with its penalty, and the logits."""
        with self.precision():
            logits = self.model(images)
        loss = F.cross_entropy(logits, targets, label_smoothing=self.recipe.fit.label_smoothing)
        penalty = self.model.penalty()
        if penalty is not None:
            loss = loss + penalty
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach(), logits.detach()

    def precision(self) -> AbstractContextManager[object]:
        """Where the network computes in bfloat16, the context in which it does."""
        chosen = choose_precision(self.recipe.fit.precision, self.train.device)
        return torch.autocast(self.train.device.type, torch.bfloat16, enabled=chosen == "bfloat16")

    def _set_learning_rate(self, epoch: int, within: float = 0.0) -> float:
        """Set each group's rate for the step after the share `within` of the epoch; return the first group's."""
        done = sum(self.shares[: epoch - 1]) + within * self.shares[epoch - 1]
        factor = self.schedule.factor(min(max(done / sum(self.shares), self._share_of_time()), 1.0))
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        return self.optimizer.param_groups[0]["lr"]

    def _share_of_time(self) -> float:
        """How much of `fit.minutes` is over, 0 without them; the epoch's validation is counted as if it were past."""
        if self.recipe.fit.minutes is None:
            return 0.0
        spent = self.spent_before + time.perf_counter() - self.began + self.validation_seconds
        return spent / (60 * self.recipe.fit.minutes)

    def _judge(self, record: dict[str, float]) -> None:
        """Note a new best epoch, and decide whether this was the last one."""
        stop, state = self.recipe.stop, self.state
        value = record[stop.monitor]
        if improves(stop.monitor, value, state.best_value, stop.min_delta):
            state.best_epoch, state.best_value, state.wait = state.epoch, value, 0
            self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            save_model(self.run.path, self.model, self.best, self.class_names)
        else:
            state.wait += 1
        if stop.patience is not None and state.wait >= stop.patience:
            state.stop_reason = f"{stop.monitor} did not improve for {stop.patience} epochs"
        elif self._share_of_time() >= 1:
            state.stop_reason = f"the {self.recipe.fit.minutes:g} minutes are over"
        elif state.epoch >= self.recipe.fit.epochs:
            state.stop_reason = f"all {self.recipe.fit.epochs} epochs done"


def reduced(images: Tensor, scale: float) -> Tensor:
    """`images` (N, C, H, W), float, with their sides reduced to a share of theirs, in the same memory format."""
    if scale == 1:
        return images
    size = [max(1, round(scale * side)) for side in images.shape[2:]]
    return F.interpolate(images, size, mode="bilinear", antialias=True)


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


def _sample(validation: Split, recipe: Recipe) -> Split:
    """The validation images that judge an epoch."""
    if recipe.stop.sample is None or recipe.stop.sample >= len(validation):
        return validation
    generator = np.random.default_rng(seed_for(recipe.fit.seed, "validation sample"))
    return validation.part(np.sort(generator.permutation(len(validation))[: recipe.stop.sample]))


class _Tally:
    """Sums of loss and correct answers over an epoch's images; divided only when read.

    What steps add stays on their device until the next look.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch, self.steps, self.images, self.loss_sum, self.correct = epoch, 0, 0, 0.0, 0
        self.pending: list[tuple[int, Tensor, Tensor]] = []

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Note a step's loss () and how many of its logits (N, classes) are right."""
        self.pending.append((len(labels), loss, (logits.argmax(1) == labels).sum()))

    def look(self) -> None:
        """Read what the steps since the last look have added. Raises NonFiniteLossError naming the first bad one."""
        counts, losses, correct = zip(*self.pending, strict=True)
        self.pending.clear()
        for count, loss in zip(counts, torch.stack(losses).tolist(), strict=True):
            self.steps += 1
            if not math.isfinite(loss):
                raise NonFiniteLossError(
                    f"the loss became {loss} at step {self.steps} of epoch {self.epoch}; "
                    "a lower optimizer.lr is the usual remedy"
                )
            self.images += count
            self.loss_sum += loss * count
        self.correct += int(torch.stack(correct).sum())

    @property
    def loss(self) -> float:
        return self.loss_sum / self.images

    @property
    def accuracy(self) -> float:
        return self.correct / self.images
