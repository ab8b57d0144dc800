"""Findings about the course of training: rules over `history.csv` and what ended it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tenfold.core.numbers import percent, points
from tenfold.findings.base import Evidence, Finding
from tenfold.runs.significance import LEVEL, rising_p, two_shares_p

History = Sequence[Mapping[str, Any]]

# What an epoch is judged by, for reading.
MONITOR_WORDS = {
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy",
    "validation_f1_macro": "macro F1 on validation",
    "validation_balanced_accuracy": "balanced accuracy on validation",
}
# A validation loss that is better by less than this share counts as no better.
NOTABLE = 0.01
# So many epochs must follow before a validation loss is said to have stopped improving.
FOLLOWING = 3


def best_epoch(history: History, monitor: str = "validation_loss") -> int | None:
    """The epoch with the lowest loss or highest accuracy, the first of equals; None without that column."""
    known = [record for record in history if record.get(monitor) is not None and np.isfinite(record[monitor])]
    if not known:
        return None
    sign = 1 if monitor.endswith("loss") else -1
    return int(min(known, key=lambda record: sign * record[monitor])["epoch"])


def learning_rate_drops(history: History) -> list[int]:
    """The epochs after which the learning rate fell to half or less; none where it falls all the time."""
    rates = [(int(record["epoch"]), record["learning_rate"]) for record in history]
    pairs = list(pairwise(rates))
    changes = sum(after[1] != before[1] for before, after in pairs)
    smooth = changes > max(4, len(pairs) / 3) or changes == len(pairs) > 2
    return [] if smooth else [before[0] for before, after in pairs if after[1] <= before[1] / 2]


def overfitting_epoch(history: History) -> int | None:
    """The last epoch that improved validation loss notably, if training loss then still fell; else None."""
    known = [record for record in history if record.get("validation_loss") is not None]
    best, last = np.inf, None
    for number, record in enumerate(known):
        if record["validation_loss"] < best * (1 - NOTABLE):
            last = number
        best = min(best, record["validation_loss"])
    if last is None or len(known) - 1 - last < FOLLOWING:
        return None
    fell = known[-1]["loss"] < known[last]["loss"] * (1 - NOTABLE)
    return int(known[last]["epoch"]) if fell else None


def overfits_from(history: History) -> int | None:
    """The epoch from which validation loss rises beyond chance while training loss still falls; else None."""
    at = _record(history, overfitting_epoch(history))
    return at["epoch"] if at is not None and _rises(at, _later_losses(history, at)) else None


def _later_losses(history: History, at: Mapping[str, Any]) -> list[float]:
    """The validation losses after an epoch's record."""
    return [record["validation_loss"] for record in history if record["epoch"] > at["epoch"]]


def _rises(at: Mapping[str, Any], later: list[float]) -> bool:
    """Whether the validation losses after an epoch's record are notably higher, and rise by more than chance."""
    higher = float(np.mean(later[-FOLLOWING:])) > at["validation_loss"] * (1 + NOTABLE)
    return higher and rising_p(np.array(later)) < LEVEL


def best_and_restored(evidence: Evidence) -> Iterator[Finding]:
    """Which epoch was best, by what, and that its weights are the ones tested."""
    epoch = evidence.training.get("best_epoch") or best_epoch(evidence.history, evidence.monitor)
    record = _record(evidence.history, epoch)
    if record is None:
        return
    value = record[evidence.monitor]
    shown = percent(value) if evidence.monitor.endswith("accuracy") else f"{value:.3f}"
    strength = evidence.training.get("strength")
    what = (
        f"Epoch {epoch}" if strength is None else f"Regularisation of strength {strength:g}, number {epoch},"
    )
    yield Finding(
        f"{what} was the best of {len(evidence.history)} by {_words(evidence.monitor)} ({shown}); "
        "its weights were restored and are the ones tested.",
        "best_and_restored",
        "training",
        {"best_epoch": epoch, evidence.monitor: value, "epochs": len(evidence.history)},
    )


def why_stopped(evidence: Evidence) -> Iterator[Finding]:
    """Why training ended, and whether it was still improving."""
    epochs = len(evidence.history)
    best = evidence.training.get("best_epoch") or best_epoch(evidence.history, evidence.monitor)
    if not epochs or best is None:
        return
    if "strength" in evidence.training:
        yield Finding(
            f"The head was solved for {epochs} strengths of regularisation, from strong to weak: "
            f"{_words(evidence.training['stop_reason'])}.",
            "why_stopped",
            "training",
            {"epochs": epochs, "best_epoch": best},
        )
        return
    planned = evidence.recipe.fit.epochs if evidence.recipe else None
    numbers = {"epochs": epochs, "planned": planned, "best_epoch": best}
    if evidence.training.get("failed"):
        sentence = f"Training failed after epoch {epochs}: {evidence.training['stop_reason']}."
    elif planned is None or epochs < planned:
        limit = f", before the limit of {planned}" if planned else ""
        why = _words(evidence.training.get("stop_reason") or f"{evidence.monitor} no longer improved")
        sentence = f"Training stopped after epoch {epochs}{limit}: {why} (best at epoch {best})."
    else:
        sentence = f"Training ran all {epochs} epochs" + (
            f"; the best was epoch {best}, so it may not have finished learning."
            if _still_improving(evidence.history, best)
            else (
                f", {epochs - best} of them after the best one."
                if epochs > best
                else "; the last was the best."
            )
        )
    yield Finding(sentence, "why_stopped", "training", numbers)


def _still_improving(history: History, best: int) -> bool:
    """Whether the best epoch is one of the last tenth (or last two), of a run of at least five."""
    return len(history) >= 5 and best > len(history) - max(2, len(history) // 10)


def overfitting(evidence: Evidence) -> Iterator[Finding]:
    """From which epoch validation loss stopped improving while training loss still fell."""
    # Strengths are no time that passes: the weaker ones fit better by design.
    timeless = evidence.left_out or "strength" in evidence.training
    epoch = None if timeless else overfitting_epoch(evidence.history)
    at, last = _record(evidence.history, epoch), evidence.history[-1] if evidence.history else None
    if at is None or last is None:
        return
    later = _later_losses(evidence.history, at)
    rises = _rises(at, later)
    opening = (
        f"The model overfits from about epoch {epoch}"
        if rises
        else f"Learning levelled off at about epoch {epoch}"
    )
    yield Finding(
        f"{opening}: validation loss was {at['validation_loss']:.3f} there, at best {min(later):.3f} "
        f"later and {last['validation_loss']:.3f} at the end, while training loss still fell from {at['loss']:.3f} "
        f"to {last['loss']:.3f}.",
        "overfitting",
        "training",
        {
            "epoch": epoch,
            "validation_loss": at["validation_loss"],
            "later_best": min(later),
            "last_validation_loss": last["validation_loss"],
            "loss": at["loss"],
            "last_loss": last["loss"],
            "rises": rises,
        },
    )


def rate_drops(evidence: Evidence) -> Iterator[Finding]:
    """When the learning rate fell, and what validation loss did next."""
    records = {int(record["epoch"]): record for record in evidence.history}
    drops = learning_rate_drops(evidence.history)
    parts = []
    for epoch in drops:
        before, after = records[epoch], records[epoch + 1]
        effect = (
            f"validation loss went from {before['validation_loss']:.3f} to {after['validation_loss']:.3f}"
        )
        parts.append(
            f"after epoch {epoch} from {before['learning_rate']:g} to {after['learning_rate']:g} ({effect})"
        )
    if parts:
        yield Finding(
            f"The learning rate fell {', '.join(parts)}.", "rate_drops", "training", {"epochs": drops}
        )


def gap(evidence: Evidence) -> Iterator[Finding]:
    """How far validation accuracy lay below training accuracy at the epoch that was restored."""
    epoch = evidence.training.get("best_epoch") or best_epoch(evidence.history, evidence.monitor)
    record = _record(evidence.history, epoch)
    if record is None or record.get("validation_accuracy") is None:
        return
    held_out, seen = record["validation_accuracy"], record["accuracy"]
    share = evidence.share_at(int(record["epoch"]))
    if share < 1:
        yield Finding(
            f"Epoch {epoch} learned only from the {share:.0%} of the training images that were hardest; its "
            f"training accuracy, {percent(seen)}, is theirs alone and cannot be held against validation's "
            f"{percent(held_out)}.",
            "gap",
            "training",
            {"epoch": epoch, "accuracy": seen, "validation_accuracy": held_out, "share": share},
        )
        return
    images = np.array([sum(evidence.counts.get("train", {}).values()), evidence.judges])
    p_value = two_shares_p(tuple(images * (seen, held_out)), tuple(images))
    numbers = {
        "epoch": epoch,
        "accuracy": seen,
        "validation_accuracy": held_out,
        "gap": seen - held_out,
        "p_value": p_value,
        "test": "Fisher's exact",
    }
    if p_value >= LEVEL:
        judgement = f"a difference of {points(seen - held_out)}, which may be chance"
    elif seen > held_out:
        judgement = f"a gap of {points(seen - held_out)}"
    else:
        judgement = f"{points(seen - held_out)} better on validation"
    where = "the best strength" if "strength" in evidence.training else f"epoch {epoch}"
    sentence = f"At {where} training accuracy was {percent(seen)} and validation accuracy "
    sentence += f"{percent(held_out)}: {judgement}."
    if evidence.recipe and evidence.recipe.augment:
        sentence += (
            " Training images were augmented, which lowers their accuracy and so hides part of the gap."
        )
    yield Finding(sentence, "gap", "training", numbers)


def _record(history: History, epoch: int | None) -> Mapping[str, Any] | None:
    return next((record for record in history if record["epoch"] == epoch), None)


def _words(name: str) -> str:
    for monitor, words in MONITOR_WORDS.items():
        name = name.replace(monitor, words)
    return name


RULES = (best_and_restored, why_stopped, overfitting, rate_drops, gap)
