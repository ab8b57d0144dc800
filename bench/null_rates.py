"""How often a rule speaks where there is nothing to find, and how often an interval covers the truth.

    python bench/null_rates.py                      # all tables, as docs/statistics.md has them
    python bench/null_rates.py --simulations 100 --only coverage
    python bench/null_rates.py --simulations 300 --only rates --rule "compare, classes, 3 seeds each"

Rules are called as a report calls them, on predictions whose truth is known: every class is equally hard, mistakes
are spread evenly, test and validation images are of one kind, each answer is right as often as it says, compared
models are equally good, the validation loss stands still. What a rule then calls more than chance is a false alarm;
each should give one in at most 5 % of the simulations.
"""

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from statistics import mean

import numpy as np
from scipy.stats import binom

from tenfold.comparison.statistics import compare_correct, error_distribution_p, mean_interval
from tenfold.findings import Evidence, answers, training, trust
from tenfold.runs import metrics
from tenfold.runs.predictions import Predictions
from tenfold.runs.resampling import resampled
from tenfold.runs.significance import LEVEL, holm
from tenfold.sweeps.verdict import noise_of

# Classes x images of each.
SIZES = ((10, 1), (10, 18), (50, 3), (100, 5), (500, 1), (10, 1000))
Random = np.random.Generator


def drawn(classes: int, images: int, random: Random) -> Predictions:
    """Answers of a model that finds every class equally hard, and whose probabilities are true ones."""
    n = classes * images
    labels = np.repeat(np.arange(classes), images)
    probabilities = np.exp(random.normal(size=(n, classes)))
    # From a half on, the first is the most probable class; it is the true one as often as its probability says.
    confidence = 0.5 + 0.5 * random.beta(3, 1, n)
    first = np.where(
        random.random(n) < confidence, labels, (labels + random.integers(1, classes, n)) % classes
    )
    probabilities[np.arange(n), first] = 0
    probabilities *= ((1 - confidence) / probabilities.sum(axis=1))[:, None]
    probabilities[np.arange(n), first] = confidence
    return Predictions([str(k) for k in range(n)], labels, probabilities, tuple(map(str, range(classes))))


def evidence(classes: int, images: int, random: Random) -> Evidence:
    """What the rules over answers read, of such a model."""
    return evidence_of(drawn(classes, images, random))


def evidence_of(given: Predictions) -> Evidence:
    """What the rules over answers read."""
    classes = len(given.class_names)
    matrix = metrics.confusion_matrix(given.labels, given.predicted, classes)
    low, high = metrics.exact_interval(np.trace(matrix), matrix.sum())
    return Evidence(
        test={
            "n": len(given),
            "accuracy": float(np.trace(matrix) / matrix.sum()),
            "accuracy_ci95": [float(low), float(high)],
            "confusion_matrix": matrix.tolist(),
            "per_class": {
                name: {"roc_auc": 0.5, "support": int(count)}
                for name, count in zip(given.class_names, np.bincount(given.labels), strict=True)
            },
        },
        predictions=given,
        class_names=given.class_names,
    )


# One rule each: whether it gave a false alarm in one simulation ----------------------------------------------


def classes_apart(classes: int, images: int, random: Random) -> bool:
    """A class called better or worse than the others."""
    return any(
        "recall" in found.numbers for found in answers.classes_apart(evidence(classes, images, random))
    )


def confused_pairs(classes: int, images: int, random: Random) -> bool:
    """A pair of classes called confused."""
    return any("pair" in found.numbers for found in answers.confused_pairs(evidence(classes, images, random)))


def false_positives(classes: int, images: int, random: Random) -> bool:
    """A class called a false alarm more often than others."""
    return bool(list(answers.false_positives(evidence(classes, images, random))))


def areas_under_roc(classes: int, images: int, random: Random) -> bool:
    """An AUC called apart from the mean."""
    return any(
        found.numbers["worst"] or found.numbers["best"]
        for found in answers.areas_under_roc(evidence(classes, images, random))
    )


def direction(classes: int, images: int, random: Random) -> bool:
    """One direction called the main one, of confusions that go both ways alike."""
    n, share = 10 * images, 0.3
    there, back = random.binomial(n, share, 2)
    matrix = np.diag(np.full(classes, n))
    matrix[[0, 1], [0, 1]] -= (there, back)
    matrix[[0, 1], [1, 0]] += (there, back)
    told = Evidence(
        test={"confusion_matrix": matrix.tolist(), "per_class": {str(k): {} for k in range(classes)}}
    )
    return any("mostly in the first" in found.sentence for found in answers.confused_pairs(told))


def validation_and_test(classes: int, images: int, random: Random) -> bool:
    """Test accuracy called different from validation accuracy."""
    n = classes * images
    of = [{"n": n, "accuracy": float(random.binomial(n, 0.9) / n)} for _ in range(2)]
    return any(
        found.numbers["p_value"] < LEVEL
        for found in answers.validation_and_test(Evidence(test=of[0], validation=of[1]))
    )


def better_than_guessing(classes: int, images: int, random: Random) -> bool:
    """A model that guesses called better than guessing."""
    n = classes * images
    right = random.binomial(n, 1 / classes)
    low, _ = metrics.exact_interval(right, n)
    return bool(low > 1 / classes)


def calibration(classes: int, images: int, random: Random) -> bool:
    """True probabilities called over- or underconfident."""
    found = next(iter(trust.calibration(Evidence(predictions=drawn(classes, images, random)))))
    low, high = found.numbers["ci95"]
    return not low <= found.numbers["confidence"] <= high


def abstaining(classes: int, images: int, random: Random) -> bool:
    """A confidence that knows nothing called useful for leaving images to a person."""
    given = drawn(classes, images, random)
    order = random.permutation(len(given))
    apart = Predictions(given.paths, given.labels, given.probabilities[order], given.class_names)
    return bool(list(trust.abstaining(Evidence(predictions=apart))))


def robustness(classes: int, images: int, random: Random) -> bool:
    """One of six equally harmful corruptions called the worst."""
    n = classes * images
    right = {str(k): [float(random.binomial(n, 0.7) / n)] for k in range(6)}
    found = next(iter(trust.robustness(Evidence(robustness={"images": n, "clean": 0.9, "accuracy": right}))))
    return bool(found.numbers["p_value"] < LEVEL)


def gap(classes: int, images: int, random: Random) -> bool:
    """A gap between training and validation accuracy where both are the same."""
    n = classes * images
    seen, held_out = random.binomial(8 * n, 0.9) / (8 * n), random.binomial(n, 0.9) / n
    record = {
        "epoch": 1,
        "accuracy": seen,
        "validation_accuracy": held_out,
        "loss": 1.0,
        "validation_loss": 1.0,
    }
    counts = {"train": {"all": 8 * n}, "validation": {"all": n}}
    told = Evidence(history=[record], training={"best_epoch": 1}, counts=counts)
    return any(found.numbers["p_value"] < LEVEL for found in training.gap(told))


def overfits(epochs: int, noise: float, random: Random) -> bool:
    """A validation loss that stands still, but for its noise, called a rise."""
    history = [
        {"epoch": k, "loss": 2 / k, "validation_loss": 0.5 * (1 + noise * random.normal())}
        for k in range(1, epochs + 1)
    ]
    return any(found.numbers["rises"] for found in training.overfitting(Evidence(history=history)))


def answered(seeds: int, images: int, random: Random, hardness: np.ndarray) -> np.ndarray:
    """(seeds, images) right or wrong: runs of one quality, which seeds vary where there are several."""
    quality = random.normal(0, 0.1 if seeds > 1 else 0, seeds)[:, None]
    return random.random((seeds, images)) < 1 / (1 + np.exp(-hardness - quality))


def compared(seeds: tuple[int, int], classes: int, images: int, random: Random) -> bool:
    """Equally good recipes called different."""
    hardness = random.normal(2, 2, classes * images)
    a, b = (answered(max(seeds), len(hardness), random, hardness)[:number] for number in seeds)
    return compare_correct(a, b).p_value < LEVEL


def compared_classes(seeds: tuple[int, int], classes: int, images: int, random: Random) -> bool:
    """A class called better or worse in one of two equally good recipes."""
    hardness = random.normal(2, 2, classes * images)
    a, b = (answered(number, len(hardness), random, hardness) for number in seeds)
    rows = [slice(k * images, (k + 1) * images) for k in range(classes)]
    return bool(holm(np.array([compare_correct(a[:, row], b[:, row]).p_value for row in rows])).min() < LEVEL)


def kinds_of_mistakes(classes: int, images: int, random: Random) -> bool:
    """Two models that make the same kinds of mistakes called different; with 50 mistakes or more each."""
    shared = drawn(classes, images, random)
    both = []
    for _ in range(2):
        own = drawn(classes, images, random).predicted
        both.append(np.where(random.random(len(own)) < 0.5, shared.predicted, own))
    if min((each != shared.labels).sum() for each in both) < 50:
        return False
    return error_distribution_p(shared.labels, *both) < LEVEL


def swept(candidates: int, seeds: int, random: Random) -> bool:
    """The winner of a sweep of equal candidates called better than another."""
    scores = random.normal(0.9, 0.01, (candidates, seeds))
    noise = noise_of(scores.tolist())
    return noise is not None and bool(np.ptp(scores.mean(axis=1)) > noise.margin)


Alarm = Callable[[int, int, Random], bool]
RULES: dict[str, Alarm] = {
    "classes_apart": classes_apart,
    "confused_pairs": confused_pairs,
    "confused_pairs: direction": direction,
    "false_positives": false_positives,
    "areas_under_roc": areas_under_roc,
    "validation_and_test": validation_and_test,
    "accuracy: better than guessing": better_than_guessing,
    "gap": gap,
    "calibration": calibration,
    "abstaining": abstaining,
    "robustness": robustness,
    "compare, one run each": partial(compared, (1, 1)),
    "compare, 3 seeds each": partial(compared, (3, 3)),
    "compare, 3 seeds with 1": partial(compared, (3, 1)),
    "compare, classes, one run each": partial(compared_classes, (1, 1)),
    "compare, classes, 3 seeds each": partial(compared_classes, (3, 3)),
    "compare, kinds of mistakes": kinds_of_mistakes,
}


def rate(alarm: Alarm, first: float, second: float, simulations: int) -> str:
    """The share of the simulations with an alarm, in percent."""
    random = np.random.default_rng(0)
    return f"{100 * mean(alarm(first, second, random) for _ in range(simulations)):.1f}"  # pyright: ignore


def rates_table(simulations: int, names: Iterable[str]) -> Iterable[str]:
    """False alarms of those rules at every size, in percent, as a Markdown table."""
    yield "| rule | " + " | ".join(f"{classes} x {images}" for classes, images in SIZES) + " |"
    yield "|---" * (1 + len(SIZES)) + "|"
    for name in names:
        yield f"| {name} | " + " | ".join(rate(RULES[name], *size, simulations) for size in SIZES) + " |"


def other_rates(simulations: int) -> Iterable[str]:
    """The rules that look at epochs or candidates."""
    yield "| rule | where | % |\n|---|---|---|"
    for epochs in (8, 20, 100):
        for noise in (0.01, 0.05):
            where = f"{epochs} epochs, noise {noise:.0%} of the loss"
            yield f"| overfitting | {where} | {rate(overfits, epochs, noise, simulations)} |"  # pyright: ignore
    for candidates, seeds in ((3, 2), (8, 3), (30, 2)):
        where = f"{candidates} candidates, {seeds} seeds each"
        yield f"| sweep: winner and others | {where} | {rate(swept, candidates, seeds, simulations)} |"


# Intervals ----------------------------------------------------------------------------------------------------


def wilson(right: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval."""
    z2, share = 1.959964**2, right / n
    centre, half = share + z2 / (2 * n), np.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n)
    return (centre - half) / (1 + z2 / n), (centre + half) / (1 + z2 / n)


def jeffreys(right: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Jeffreys' interval, with its usual ends."""
    from scipy.stats import beta

    low, high = beta.ppf(0.025, right + 0.5, n - right + 0.5), beta.ppf(0.975, right + 0.5, n - right + 0.5)
    return np.where(right == 0, 0, low), np.where(right == n, 1, high)


def percentile(right: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The percentile bootstrap's interval, without its noise of drawing."""
    return binom.ppf(0.025, n, right / n) / n, binom.ppf(0.975, n, right / n) / n


def coverage_table() -> Iterable[str]:
    """Mean and lowest coverage and mean width of intervals of an accuracy, summed over all outcomes."""
    kinds = {
        "percentile bootstrap": percentile,
        "Wilson": wilson,
        "Jeffreys": jeffreys,
        "exact (Clopper-Pearson)": metrics.exact_interval,
    }
    yield "| n | accuracy | " + " | ".join(kinds) + " |\n" + "|---" * (2 + len(kinds)) + "|"
    for n in (50, 179, 1000, 10_000):
        for start, end in ((0.5, 0.9), (0.9, 0.999)):
            right, cells = np.arange(n + 1), []
            for kind in kinds.values():
                low, high = kind(right, n)
                shares = np.linspace(start, end, 200)
                chances = binom.pmf(right, n, shares[:, None])
                covered = (chances * ((low <= shares[:, None]) & (shares[:, None] <= high))).sum(axis=1)
                width = (chances @ (high - low)).mean()
                cells.append(f"{100 * covered.mean():.1f}, {100 * covered.min():.1f}, {100 * width:.1f}")
            yield f"| {n:,} | {start} to {end} | " + " | ".join(cells) + " |"


def averages_covered(simulations: int) -> Iterable[str]:
    """Coverage of the intervals of averages over classes, in percent."""
    names = ("f1_macro", "precision_macro", "recall_macro")
    yield "| classes x images, accuracy | " + " | ".join(names) + " |\n" + "|---" * 4 + "|"
    for classes, images, share in (
        (10, 1, 0.8),
        (10, 18, 0.97),
        (50, 3, 0.8),
        (100, 5, 0.6),
        (10, 1000, 0.9),
    ):
        random, covered = np.random.default_rng(0), dict.fromkeys(names, 0)
        truth = np.full((classes, classes), (1 - share) / (classes - 1))
        np.fill_diagonal(truth, share)
        for number in range(simulations):
            matrix = np.stack([random.multinomial(images, row) for row in truth])
            none = np.zeros(0, int)  # images that stand alone need no labels here
            drawn_again = resampled(matrix, none, none, None, np.random.default_rng(number))
            found = metrics.average_intervals(matrix, drawn_again)
            for name in names:
                covered[name] += found[name][0] <= share <= found[name][1]
        cells = " | ".join(f"{100 * count / simulations:.1f}" for count in covered.values())
        yield f"| {classes} x {images}, {share:.0%} | {cells} |"


def seeds_covered(simulations: int) -> Iterable[str]:
    """Coverage of a recipe's mean accuracy over seeds, whose deviation between seeds is 1 point."""
    yield "| images | seeds | % |\n|---|---|---|"
    for images, seeds in ((179, 1), (179, 3), (1000, 3), (10_000, 3), (10_000, 5)):
        random, covered = np.random.default_rng(0), 0
        for _ in range(simulations):
            quality = 0.9 if seeds == 1 else np.clip(random.normal(0.9, 0.01, (seeds, 1)), 0, 1)
            low, high = mean_interval(random.random((seeds, images)) < quality)
            covered += low <= 0.9 <= high
        yield f"| {images:,} | {seeds} | {100 * covered / simulations:.1f} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--only", choices=("rates", "coverage"))
    parser.add_argument(
        "--rule", choices=RULES, action="append", help="only these of the rules, and no table more"
    )
    options = parser.parse_args()
    n = options.simulations
    print(
        f"{n:,} simulations each: a rate of 5 % is measured to ± {200 * (0.05 * 0.95 / n) ** 0.5:.1f} points\n"
    )
    tables = {
        "rates": (rates_table(n, options.rule or RULES), *(() if options.rule else (other_rates(n),))),
        "coverage": (coverage_table(), averages_covered(n), seeds_covered(n)),
    }
    for kind, parts in tables.items():
        for part in parts if options.only in (None, kind) else ():
            for line in part:
                print(line, flush=True)
            print()


if __name__ == "__main__":
    main()
