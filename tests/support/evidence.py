"""What the rules of the findings are tested on: histories and answers with a known confusion matrix."""

import numpy as np

from tenfold.findings import Evidence
from tenfold.runs.metrics import measure
from tenfold.runs.predictions import Predictions

NAMES = tuple("abcde")


def history(validation_loss, loss=None, rate=0.01, accuracies=(0.9, 0.7)):
    loss = loss or [2 / epoch for epoch in range(1, len(validation_loss) + 1)]
    return [
        {
            "epoch": epoch,
            "loss": loss[epoch - 1],
            "accuracy": accuracies[0],
            "validation_loss": value,
            "validation_accuracy": accuracies[1],
            "learning_rate": rate,
        }
        for epoch, value in enumerate(validation_loss, 1)
    ]


def evidence_of(matrix, **more):
    """Evidence whose test answers have exactly this confusion matrix, with a confidence of 0.8 each."""
    matrix = np.array(matrix)
    names = NAMES[: len(matrix)]
    labels = np.repeat(np.arange(len(matrix)), matrix.sum(axis=1))
    predicted = np.concatenate([np.repeat(np.arange(len(matrix)), row) for row in matrix])
    probabilities = np.full((len(labels), len(names)), 0.2 / (len(names) - 1), np.float32)
    probabilities[np.arange(len(labels)), predicted] = 0.8
    return Evidence(
        test=measure(labels, probabilities, names),
        predictions=Predictions([str(n) for n in range(len(labels))], labels, probabilities, names),
        class_names=names,
        **more,
    )


def even(recalls, images=1000):
    """A confusion matrix with these recalls and mistakes spread evenly."""
    classes = len(recalls)
    matrix = np.zeros((classes, classes), int)
    for k, recall in enumerate(recalls):
        wrong = round(images * (1 - recall)) // (classes - 1)
        matrix[k] = wrong
        matrix[k, k] = images - wrong * (classes - 1)
    return matrix


def one(rule, evidence):
    found = list(rule(evidence))
    assert len(found) == 1
    return found[0]
