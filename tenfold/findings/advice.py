"""What is likely to help next, and the command that tries it. Advice is a guess from one run, and says so little."""

from collections.abc import Iterator
from shlex import quote

from tenfold.findings.base import Evidence, Finding, points
from tenfold.findings.training import overfitting_epoch

WIDE_GAP, NARROW_GAP = 0.08, 0.03
AUGMENTATIONS = '[{name = "translation", factor = 0.1}, {name = "rotation", factor = 0.03}]'


def more_epochs(evidence: Evidence) -> Iterator[Finding]:
    """When the last epochs were the best: train longer."""
    epochs, best = len(evidence.history), evidence.training.get("best_epoch")
    planned = evidence.recipe.fit.epochs if evidence.recipe else None
    if best and epochs == planned and epochs >= 5 and best > epochs - max(2, epochs // 10):
        yield _advice(
            evidence,
            f"The best epoch ({best} of {epochs}) was among the last: training longer is likely to help.",
            "more_epochs",
            f"fit.epochs={2 * epochs}",
        )


def less_overfitting(evidence: Evidence) -> Iterator[Finding]:
    """When training and validation drift apart: augmentation, or softer targets where there is some already."""
    gap = _gap(evidence)
    if (
        evidence.recipe is None
        or gap is None
        or (gap < WIDE_GAP and overfitting_epoch(evidence.history) is None)
    ):
        return
    if gap < NARROW_GAP:
        return
    if not evidence.recipe.augment:
        yield _advice(
            evidence,
            f"Training accuracy runs {points(gap)} ahead of validation and nothing is augmented: "
            "augmentation is likely to help most.",
            "less_overfitting",
            f"augment={AUGMENTATIONS}",
        )
    elif evidence.recipe.fit.label_smoothing == 0:
        yield _advice(
            evidence,
            f"Training accuracy runs {points(gap)} ahead of validation in spite of augmentation: more images would "
            "help most; label smoothing is cheap to try.",
            "less_overfitting",
            "fit.label_smoothing=0.1",
        )


def larger_model(evidence: Evidence) -> Iterator[Finding]:
    """When even the training images are not learnt and no gap opens: a larger model."""
    gap = _gap(evidence)
    if gap is None or evidence.recipe is None or gap > NARROW_GAP:
        return
    learnt = max(record["accuracy"] for record in evidence.history)
    filters = evidence.recipe.model.options.get("filters")
    if learnt < 0.9 and filters:
        wider = [2 * width for width in filters] if isinstance(filters, list | tuple) else 2 * filters
        yield _advice(
            evidence,
            "Training and validation accuracy stay close together and low: the model is likely too small.",
            "larger_model",
            f"model.filters={wider}",
        )


def another_seed(evidence: Evidence) -> Iterator[Finding]:
    """The intervals hold for other test images, not for other seeds: only a second run shows those."""
    if evidence.recipe is not None and evidence.test:
        yield _advice(
            evidence,
            "The intervals here speak of other test images, not of other seeds. Repeat the run with another seed "
            "and compare the two (tenfold compare) before believing a small difference.",
            "another_seed",
            f"fit.seed={evidence.recipe.fit.seed + 1}",
        )


def _gap(evidence: Evidence) -> float | None:
    """Training minus validation accuracy at the best epoch; None where training figures are of some images only."""
    best = None if evidence.left_out else evidence.training.get("best_epoch")
    for record in evidence.history:
        if record["epoch"] == best and record.get("validation_accuracy") is not None:
            return record["accuracy"] - record["validation_accuracy"]
    return None


def _advice(evidence: Evidence, sentence: str, rule: str, override: str) -> Finding:
    return Finding(
        sentence, rule, "next", {"override": override}, command=f"{evidence.command} {quote(override)}"
    )


RULES = (more_epochs, less_overfitting, larger_model, another_seed)
