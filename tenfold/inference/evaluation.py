"""A model on a split: loss and accuracy while training, predictions at the end."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from tenfold.data import Split, Splits
from tenfold.data.feeds import Batches
from tenfold.models import Classifier
from tenfold.runs.predictions import Predictions


@torch.inference_mode()
def score(model: Classifier, batches: Batches) -> tuple[float, float]:
    """(loss, accuracy) over a whole split. The loss is the mean cross-entropy plus the model's L2 penalty.

    Sums first and divides once, so that a short last batch weighs no more than its images.
    """
    was_training = model.training
    model.eval()
    loss = torch.zeros((), device=batches.device, dtype=torch.float64)
    correct = torch.zeros((), device=batches.device, dtype=torch.int64)
    for positions in batches.in_order():
        images, labels = batches.take(positions)
        logits = model(images)
        loss += F.cross_entropy(logits, labels, reduction="sum").double()
        correct += (logits.argmax(1) == labels).sum()
    model.train(was_training)
    penalty = model.penalty()
    mean = loss.item() / len(batches) + (0.0 if penalty is None else penalty.item())
    return mean, correct.item() / len(batches)


@torch.inference_mode()
def predict_split(
    model: Classifier, split: Split, class_names: tuple[str, ...], device: torch.device
) -> Predictions:
    """Probabilities of every image of `split`, in its order. The model is left in evaluation mode."""
    batches = Batches(split, device)
    model.to(device).eval()
    parts = [model(batches.take(positions)[0]).softmax(1).cpu() for positions in batches.in_order()]
    return Predictions(split.paths, np.asarray(split.labels), torch.cat(parts).numpy(), class_names)


def predict_splits(
    model: Classifier, splits: Splits, folder: Path, device: torch.device
) -> dict[str, Predictions]:
    """Predict validation and test, and save both below `folder/predictions/`; give them by split name."""
    (folder / "predictions").mkdir(exist_ok=True)
    predictions = {}
    for split in (splits.validation, splits.test):
        predictions[split.name] = predict_split(model, split, splits.class_names, device)
        predictions[split.name].write(folder / "predictions" / f"{split.name}.parquet")
    return predictions
