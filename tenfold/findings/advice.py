"""What is likely to help next, and the command that tries it. Advice is a guess from one run, and says so little."""

from collections.abc import Iterator
from shlex import join, quote, split

from tenfold.core.numbers import percent, points
from tenfold.findings.answers import ENOUGH
from tenfold.findings.base import Evidence, Finding, called, listed
from tenfold.findings.training import overfitting_epoch
from tenfold.runs.metrics import exact_interval

WIDE_GAP, NARROW_GAP = 0.08, 0.03
# A pretrained backbone is worth a try with fewer training images than this, and where more than this share is wrong.
FEW_IMAGES, MUCH_WRONG = 20_000, 0.03
# What makes every class count the same in a network, which may leave out no image then.
_SAMPLING = ("fit.sampler=balanced", "fit.hardest=[1.0]")
AUGMENTATIONS = '[{name = "translation", factor = 0.1}, {name = "rotation", factor = 0.03}]'


def more_epochs(evidence: Evidence) -> Iterator[Finding]:
    """When the last epochs were the best: train longer."""
    epochs, best = len(evidence.history), evidence.training.get("best_epoch")
    planned = evidence.recipe.fit.epochs if evidence.recipe else None
    if best and epochs == planned and epochs >= 5 and _still_rising(evidence):
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
        or "strength" in evidence.training  # its strength was chosen for just that
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
    """When even the training images are not learnt, no gap opens, and no epoch helps any more: a larger model."""
    gap = _gap(evidence)
    rising = _still_rising(evidence) or _accuracy_still_rising(evidence)
    if gap is None or evidence.recipe is None or gap > NARROW_GAP or rising:
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


def pretrained_backbone(evidence: Evidence) -> Iterator[Finding]:
    """When few images were learned from scratch, and not well: features of a pretrained backbone."""
    images = sum(evidence.counts.get("train", {}).values())
    accuracy = evidence.validation.get("accuracy")
    if evidence.recipe is None or accuracy is None or evidence.recipe.model.name == "backbone":
        return
    if 0 < images < FEW_IMAGES and 1 - accuracy > MUCH_WRONG:
        words = split(evidence.command)
        others = words[3 : len(words) - len(evidence.recipe.model_words)]
        yield Finding(
            f"This model learned from scratch, from {images:,} images. With so few, features of a backbone that was "
            "trained on photographs are often ahead; on drawn signs they may not be.",
            "pretrained_backbone",
            "next",
            {"images": images, "validation_accuracy": accuracy},
            command=join([*words[:2], "backbone", *others]),
        )


def weak_small_classes(evidence: Evidence) -> Iterator[Finding]:
    """When small classes are found clearly less often than others, and nothing makes them count more: weights."""
    counts, validation = evidence.counts.get("train", {}), evidence.validation
    if evidence.recipe is None or not validation or not counts or evidence.emphasis is not None:
        return
    mean, average = sum(counts.values()) / len(counts), validation["accuracy"]
    weak = []
    for name, values in validation["per_class"].items():
        if values["support"] < ENOUGH or counts[name] > mean / 2:
            continue
        right = values["recall"] * values["support"]
        if exact_interval(right, values["support"], 1 - 0.05 / len(counts))[1] < average:
            weak.append(name)
    if weak:
        named = [f"{called(name)} ({counts[name]:,})" for name in weak]
        yield _advice(
            evidence,
            f"Of the classes with few training images, {listed(named)} {'are' if len(weak) > 1 else 'is'} found "
            f"clearly less often than the average of {percent(average)} on validation: making every class count the "
            "same is likely to find more of them, at some cost to the large classes.",
            "weak_small_classes",
            *(["fit.class_weights=balanced"] if evidence.recipe.solves_head else _SAMPLING),
        )


def strength_at_the_edge(evidence: Evidence) -> Iterator[Finding]:
    """When the head's best strength of regularisation was the first or the last one tried: a wider path."""
    options = evidence.recipe.model.options if evidence.recipe else {}
    best = evidence.training.get("best_epoch")
    if not best or evidence.recipe is None or not evidence.recipe.solves_head:
        return
    strengths = [float(strength) for strength in options["strengths"]]
    if 1 < best < len(strengths):
        return
    step = 10**0.5
    wider = (
        [*strengths, *(round(strengths[-1] / step**k, 9) for k in range(1, 5))]
        if best > 1
        else [*(round(strengths[0] * step**k, 9) for k in range(4, 0, -1)), *strengths]
    )
    yield _advice(
        evidence,
        f"The best strength of the head's regularisation, {strengths[best - 1]:g}, is the "
        f"{'weakest' if best > 1 else 'strongest'} that was tried: a {'weaker' if best > 1 else 'stronger'} one may "
        "be better.",
        "strength_at_the_edge",
        f"model.strengths={wider}",
    )


def another_seed(evidence: Evidence) -> Iterator[Finding]:
    """The intervals hold for other test images, not for other seeds: only a second run shows those."""
    options = evidence.recipe.model.options if evidence.recipe else {}
    if options.get("head") == "logistic" and not options.get("unfreeze") and options.get("views", 1) == 1:
        return  # fitted to its one optimum, it comes out the same for every seed
    if evidence.recipe is not None and evidence.test:
        yield _advice(
            evidence,
            "The intervals here speak of other test images, not of other seeds. Repeat the run with another seed "
            "and compare the two (tenfold compare) before believing a small difference.",
            "another_seed",
            f"fit.seed={evidence.recipe.fit.seed + 1}",
        )


def _still_rising(evidence: Evidence) -> bool:
    """Whether the best epoch was among the last."""
    return (evidence.training.get("best_epoch") or 0) > _last_but(evidence)


def _accuracy_still_rising(evidence: Evidence) -> bool:
    """Whether validation accuracy was highest among the last epochs, whichever was the best one."""
    known = [
        (record["validation_accuracy"], record["epoch"])
        for record in evidence.history
        if record.get("validation_accuracy") is not None
    ]
    highest = max(known, key=lambda pair: pair[0], default=(0.0, 0))
    return highest[1] > _last_but(evidence)


def _last_but(evidence: Evidence) -> int:
    """The epoch after which the last ones begin: a tenth of them, two at least."""
    epochs = len(evidence.history)
    return epochs - max(2, epochs // 10)


def _gap(evidence: Evidence) -> float | None:
    """Training minus validation accuracy at the best epoch; None where training figures are of some images only."""
    best = None if evidence.left_out else evidence.training.get("best_epoch")
    for record in evidence.history:
        if record["epoch"] == best and record.get("validation_accuracy") is not None:
            return record["accuracy"] - record["validation_accuracy"]
    return None


def _advice(evidence: Evidence, sentence: str, rule: str, *overrides: str) -> Finding:
    said = " ".join(overrides)
    command = f"{evidence.command} {' '.join(map(quote, overrides))}"
    return Finding(sentence, rule, "next", {"override": said}, command=command)


RULES = (
    pretrained_backbone,
    weak_small_classes,
    strength_at_the_edge,
    more_epochs,
    less_overfitting,
    larger_model,
    another_seed,
)
