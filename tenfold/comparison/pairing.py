"""Loading, pooling and pairing of runs that answered the same test images."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tenfold.comparison.statistics import Difference, compare_correct, error_distribution_p, mean_interval
from tenfold.core.errors import InputError
from tenfold.core.numbers import percent, points
from tenfold.core.terminal import make_console, print_table
from tenfold.findings.base import called, listed
from tenfold.runs.resampling import clusters_of
from tenfold.runs.significance import LEVEL, holm

if TYPE_CHECKING:
    from tenfold.runs.folder import Run
    from tenfold.runs.predictions import Predictions

# With fewer mistakes than this nothing can be said about how they are distributed.
ENOUGH_MISTAKES = 50


@dataclass(frozen=True)
class SeedGroup:
    """One recipe and its runs, with their answers on the common test images."""

    name: str
    runs: tuple["Run", ...]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]  # (runs, N)
    clusters: NDArray[np.int64] | None = None  # (N,) what is one piece of evidence, where images are not

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(runs, N): which images each run got right."""
        return self.predicted == self.labels


@dataclass(frozen=True)
class Pair:
    """Two groups compared: `p_holm` is corrected for the number of pairs, `classes` for that and for the classes."""

    a: str
    b: str
    accuracy: Difference
    p_holm: float
    classes: dict[str, dict[str, float]]
    error_distribution_p: float
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; `page` is the written page, `rows` the table, best accuracy first."""

    groups: tuple[SeedGroup, ...]
    rows: list[dict[str, Any]]
    pairs: tuple[Pair, ...]
    page: Path

    @property
    def sentences(self) -> list[str]:
        """One sentence for each pair."""
        return [pair.sentence for pair in self.pairs]

    def _repr_html_(self) -> str:
        from tenfold.core.notebook import table_html

        return table_html(self.rows)


def compare_runs(runs: "Sequence[Run]", page: Path) -> Comparison:
    """The comparison of opened runs, whose `page` is still to be written.

    Raises InputError, with the difference named, for runs that were tested on different images or classes.
    """
    _check_same_test(runs)
    groups = _group(runs)
    pairs = _pairs(groups, runs[0].data["class_names"]) if len(groups) > 1 else ()
    return Comparison(groups, [_row(group) for group in _ranked(groups)], pairs, page)


def _check_same_test(runs: "Sequence[Run]") -> None:
    first = runs[0]
    mine = first.data["splits"]["test"]
    for other in runs[1:]:
        theirs = other.data["splits"]["test"]
        if first.data["class_names"] != other.data["class_names"]:
            raise InputError(
                f"{first.path} and {other.path} have different classes: {_unlike(first, other)}. "
                "Only runs tested on the same images can be compared."
            )
        if mine["hash"] != theirs["hash"]:
            raise InputError(
                f"{first.path} and {other.path} were tested on different images: {_sizes(mine, theirs)} "
                f"(test split hashes {mine['hash']} and {theirs['hash']}). Train both on the same source with the "
                "same data.split_seed, or evaluate both on one test folder."
            )


def _unlike(first: "Run", other: "Run") -> str:
    mine, theirs = first.data["class_names"], other.data["class_names"]
    only = [
        [name for name in names if name not in others] for names, others in ((mine, theirs), (theirs, mine))
    ]
    if not any(only):
        return "the same names in a different order"
    return "; ".join(
        f"only {run.name} has {listed([called(name) for name in names])}"
        for run, names in zip((first, other), only, strict=True)
        if names
    )


def _sizes(mine: dict[str, Any], theirs: dict[str, Any]) -> str:
    if mine["images"] != theirs["images"]:
        return f"{mine['images']:,} against {theirs['images']:,}"
    differing = [name for name, count in mine["classes"].items() if theirs["classes"].get(name) != count]
    if differing:
        return f"{mine['images']:,} each, but with other counts of {listed([called(name) for name in differing])}"
    return f"{mine['images']:,} each, but not the same ones"


# Groups ------------------------------------------------------------------------------------------------------


def _group(runs: "Sequence[Run]") -> tuple[SeedGroup, ...]:
    """Pool the runs whose recipe and training images are equal but for the seed, in the order given."""
    pooled: dict[str, list[Run]] = {}
    for run in runs:
        recipe = run.outline.unmeasured().model_copy(
            update={"fit": run.outline.fit.model_copy(update={"seed": 0})}
        )
        key = f"{recipe.to_toml()} {[run.data['splits'][split]['hash'] for split in ('train', 'validation')]}"
        pooled.setdefault(key, []).append(run)
    return tuple(_make_group(members) for members in pooled.values())


def _make_group(runs: "list[Run]") -> SeedGroup:
    answers = [run.predictions("test") for run in runs]
    _check_no_copies(runs, answers)
    order = [np.argsort(np.asarray(answer.paths), kind="stable") for answer in answers]
    labels = answers[0].labels[order[0]]
    predicted = np.stack([answer.predicted[rows] for answer, rows in zip(answers, order, strict=True)])
    groups = answers[0].groups
    clusters = clusters_of(groups[order[0]]) if len(groups) else None
    return SeedGroup(_common_name([_name(run) for run in runs]), tuple(runs), labels, predicted, clusters)


def _check_no_copies(runs: "list[Run]", answers: "list[Predictions]") -> None:
    """Raise InputError where two runs of one recipe give the same probabilities: they are one training, not two."""
    for (one, mine), (other, theirs) in combinations(zip(runs, answers, strict=True), 2):
        if list(mine.paths) == list(theirs.paths) and np.array_equal(
            mine.probabilities, theirs.probabilities
        ):
            seeds = {one.outline.fit.seed, other.outline.fit.seed}
            why = (
                "one is a copy of the other, or the same seed was trained twice"
                if len(seeds) == 1
                else "this recipe comes out the same whatever the seed"
            )
            raise InputError(
                f"{one.path} and {other.path} gave exactly the same probabilities: {why}. They would be counted as "
                "two seeds, which shows less variation than there is: leave one out."
            )


def _name(run: "Run") -> str:
    """A run's name; a sweep's trial is named with its sweep, since every sweep numbers its own from 0."""
    sweep = run.path.resolve().parent
    return f"{sweep.name}/{run.name}" if (sweep / "sweep.jsonl").is_file() else run.name


def _common_name(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    letters = takewhile(lambda column: len(set(column)) == 1, zip(*names, strict=False))
    stem = "".join(column[0] for column in letters).rstrip("-_. ") or " + ".join(names)
    return f"{stem} ({len(names)} seeds)"


def _ranked(groups: Sequence[SeedGroup]) -> list[SeedGroup]:
    return sorted(groups, key=lambda group: -group.correct.mean())


def _row(group: SeedGroup) -> dict[str, Any]:
    low, high = mean_interval(group.correct, group.clusters)
    accuracies = group.correct.mean(axis=1)
    saved = [run.metrics for run in group.runs]
    return {
        "name": group.name,
        "runs": [run.name for run in group.runs],
        "accuracy": float(accuracies.mean()),
        "accuracy_ci95": [low, high],
        "seeds_deviation": float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None,
        "f1_macro": float(np.mean([entry["test"]["f1_macro"] for entry in saved])),
        "seconds": float(np.mean([entry["training"]["seconds"] for entry in saved])),
        "epochs": float(np.mean([entry["training"]["epochs"] for entry in saved])),
        "parameters": saved[0]["training"]["parameters_total"],
    }


# Pairs -------------------------------------------------------------------------------------------------------


def _pairs(groups: Sequence[SeedGroup], class_names: Sequence[str]) -> tuple[Pair, ...]:
    """Every pair, the less accurate one as `a`."""
    chosen = [tuple(_ranked(pair)[::-1]) for pair in combinations(groups, 2)]
    differences = [compare_correct(a.correct, b.correct, _clusters(a, b)) for a, b in chosen]
    corrected = holm(np.array([difference.p_value for difference in differences]))
    return tuple(
        _pair(a, b, difference, float(p_holm), _class_changes(a, b, class_names, len(chosen)))
        for (a, b), difference, p_holm in zip(chosen, differences, corrected, strict=True)
    )


def _pair(
    a: SeedGroup, b: SeedGroup, difference: Difference, p_holm: float, classes: dict[str, dict[str, float]]
) -> Pair:
    same_errors = error_distribution_p(a.labels, a.predicted[0], b.predicted[0], _clusters(a, b))
    fewest = min(int((~group.correct[0]).sum()) for group in (a, b))
    sentence = _accuracy_sentence(a.name, b.name, difference, p_holm)
    if p_holm < LEVEL and fewest >= ENOUGH_MISTAKES:
        sentence += " " + _errors_sentence(same_errors, fewest)
    return Pair(a.name, b.name, difference, p_holm, classes, same_errors, sentence)


def _accuracy_sentence(a: str, b: str, difference: Difference, p_holm: float) -> str:
    low, high = (100 * bound for bound in difference.ci95)
    numbers = (
        f"95% interval {low:.1f} to {high:.1f}, {difference.test}: {p_text(p_holm)} after Holm's correction"
    )
    if p_holm < LEVEL:
        return f"{b} is more accurate than {a} by {points(difference.difference)} ({numbers})."
    if not difference.difference:
        return f"{a} and {b} are right equally often on these images ({numbers})."
    return f"{b} is ahead of {a} by {points(difference.difference)}, which may be chance ({numbers})."


def _errors_sentence(p_value: float, fewest: int) -> str:
    if p_value < LEVEL:
        return f"Their mistakes are of different kinds ({p_text(p_value)})."
    return (
        f"Same error distribution, higher accuracy: the kinds of their mistakes do not differ as far as "
        f"{fewest:,} or more of each can tell ({p_text(p_value)})."
    )


def p_text(p_value: float) -> str:
    """A p-value, for reading."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _class_changes(
    a: SeedGroup, b: SeedGroup, class_names: Sequence[str], pairs: int
) -> dict[str, dict[str, float]]:
    """Recall of each class in both groups, with the p-value of the change corrected for all classes and pairs."""
    changes, p_values, clusters = {}, [], _clusters(a, b)
    for k, name in enumerate(class_names):
        rows = a.labels == k
        if rows.any():
            found = compare_correct(a.correct[:, rows], b.correct[:, rows], _part(clusters, rows))
            changes[name] = {
                "a": float(a.correct[:, rows].mean()),
                "b": float(b.correct[:, rows].mean()),
                "difference": found.difference,
                "low": found.ci95[0],
                "high": found.ci95[1],
            }
            p_values.append(found.p_value)
    for change, p_holm in zip(changes.values(), holm(np.array(p_values)), strict=True):
        change["p_holm"] = min(1.0, pairs * float(p_holm))
    return changes


def _clusters(a: SeedGroup, b: SeedGroup) -> NDArray[np.int64] | None:
    """What is one piece of evidence by either: runs of before copies were looked for know of none."""
    return a.clusters if a.clusters is not None else b.clusters


def _part(clusters: NDArray[np.int64] | None, rows: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    return None if clusters is None else np.unique(clusters[rows], return_inverse=True)[1]


def print_comparison(comparison: Comparison) -> None:
    """Show the table and the sentences in the terminal."""
    console = make_console(markup=False)
    headings = ("run", "test accuracy (95%)", "macro F1", "seconds", "parameters")
    print_table(console, headings, describe_rows(comparison.rows), ("parameters", "macro F1", "seconds"))
    for sentence in (*comparison.sentences, f"page: {comparison.page}"):
        console.print(sentence)


def describe_rows(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The comparison's table as text, for a terminal: name, accuracy with interval, seconds, parameters."""
    return [
        (
            row["name"],
            f"{percent(row['accuracy'], 2)} ({' to '.join(percent(end) for end in row['accuracy_ci95'])})",
            percent(row["f1_macro"], 2),
            f"{row['seconds']:.1f}",
            f"{row['parameters']:,}",
        )
        for row in rows
    ]
