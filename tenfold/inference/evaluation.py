"""A model on a split: loss and accuracy while training, predictions at the end."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from tenfold.core.world import ALONE, World
from tenfold.data import Split, Splits
from tenfold.data.batches import Feed
from tenfold.data.feeds import feed
from tenfold.inference.calibrate import calibrate, learn_familiarity
from tenfold.inference.contract import Contract, reading_of
from tenfold.inference.familiarity import Seen, harmless_changes, pixel_statistics
from tenfold.inference.opening import weights_hash
from tenfold.models import Classifier
from tenfold.runs.folder import Run
from tenfold.runs.metrics import averages
from tenfold.runs.predictions import Predictions

# Images of a split that are looked at to learn what its logits are like.
SAMPLE = 2000
CHANGED = 500  # of them that are looked at in several versions
_CHUNK = 100  # of images whose pixels are in memory at a time


class Score(NamedTuple):
    """A model on a whole split; `balanced_accuracy` is the mean recall, `f1_macro` the mean F1 of its classes."""

    loss: float
    accuracy: float
    f1_macro: float
    balanced_accuracy: float


@torch.inference_mode()
def score(
    model: Classifier,
    batches: Feed,
    emphasis: Sequence[float] | None = None,
    between: Callable[[], None] = lambda: None,
) -> Score:
    """Loss and shares of right answers over a whole split.

    The loss is the mean cross-entropy plus the model's L2 penalty; with `emphasis` (K,), the mean in which an image
    counts so much as its class does in training. Sums first and divides once, so that a short last batch weighs no
    more than its images. The processes of the feed's world share the work, and all know the result.
    `between` is called after each batch.
    """
    was_training = model.training
    model.eval()
    loss = torch.zeros((), device=batches.device, dtype=torch.float64)
    matrix = torch.zeros(model.classes**2, device=batches.device, dtype=torch.float64)
    weights = None if emphasis is None else torch.tensor(emphasis, device=batches.device)
    for batch in batches.batches(batches.in_order()):
        logits, labels = model(batch.images), batch.labels
        loss += batch.weight * F.cross_entropy(logits, labels, weights, reduction="sum").double()
        cells = torch.bincount(labels * model.classes + logits.argmax(1), minlength=len(matrix))
        matrix += batch.weight * cells
        between()
    model.train(was_training)
    batches.world.add_all([loss, matrix])
    penalty = model.penalty()
    whole = len(batches) if weights is None else weights[batches.labels].sum().item()
    found = averages(matrix.view(model.classes, -1).cpu().numpy())
    mean = loss.item() / whole + (0.0 if penalty is None else penalty.item())
    return Score(mean, found["accuracy"], found["f1_macro"], found["recall_macro"])


def predict_split(
    model: Classifier,
    split: Split,
    class_names: tuple[str, ...],
    device: torch.device,
    world: World = ALONE,
) -> Predictions:
    """Probabilities of every image of `split`, in its order; a world's processes share the work.

    The model is left in evaluation mode.
    """
    probabilities = _outputs(model, split, device, torch.nn.Softmax(1), world)
    return Predictions(
        split.paths, np.asarray(split.labels), probabilities, class_names, groups=split.evidence
    )


def split_logits(model: Classifier, split: Split, device: torch.device) -> np.ndarray:
    """Logits (N, K) float32 of every image of `split`, in its order. The model is left in evaluation mode."""
    return _outputs(model, split, device, torch.nn.Identity())


def split_statistics(split: Split) -> np.ndarray:
    """The `pixel_statistics` (N, S) of every image of `split`, in its order."""
    return np.concatenate([pixel_statistics(chunk) for chunk in _chunks(split)])


def changed_statistics(split: Split) -> np.ndarray:
    """The `pixel_statistics` (M, S) of all harmless changes of the images of `split`."""
    return np.concatenate(
        [pixel_statistics(changed) for chunk in _chunks(split) for changed in harmless_changes(chunk)]
    )


def _chunks(split: Split) -> Iterator[np.ndarray]:
    return (split.images(slice(at, at + _CHUNK)) for at in range(0, len(split), _CHUNK))


@torch.inference_mode()
def _outputs(
    model: Classifier, split: Split, device: torch.device, last: torch.nn.Module, world: World = ALONE
) -> np.ndarray:
    """Whole batches are dealt out, so that the bits do not depend on the number of processes."""
    batches = feed(split, device)
    model.to(device).eval()
    mine = batches.in_order()[world.rank :: world.size]
    parts = [last(model(batch.images)).cpu().numpy() for batch in batches.batches(mine)]
    return np.concatenate(world.in_turns(parts))


def write_contract(
    run: Run,
    model: Classifier,
    validation: Predictions,
    training: Split,
    held_out: Split,
    images: Splits,
    device: torch.device,
) -> Contract:
    """Write what a run's answers mean (`inference.json`), measured with its saved weights, and give it.

    `validation`: its predictions; `training`: the `sample` of the training images as `model` takes them, which may be
    their features, unaugmented; `held_out`: all validation images likewise, of which a sample is looked at again;
    `images`: the images themselves.
    """
    classifier = model.describe()
    contract = Contract(
        validation.class_names,
        tuple(classifier["image_shape"]),
        weights_hash(run.path),
        reading_of(run.path),
        calibration=calibrate(validation.labels, validation.probabilities, run.emphasis),
        familiarity=learn_familiarity(
            Seen(split_logits(model, training, device), split_statistics(sample(images.train))),
            changed_statistics(sample(images.train, CHANGED)),
            Seen(split_logits(model, sample(held_out), device), split_statistics(sample(images.validation))),
        ),
    )
    contract.write(run.path)
    return contract


def sample(split: Split, most: int = SAMPLE) -> Split:
    """At most so many images of `split`, evenly over its order and so over its classes."""
    if len(split) <= most:
        return split
    return split.part(np.linspace(0, len(split) - 1, most).astype(np.int64))
