"""Which score tells pictures unlike a run's training images? Judged by validation images; no test image is read.

    python bench/unlike.py --runs runs/fast-72 runs/digits-1 --held-out cifar10/train2 [--part report]

A score learns from 2,000 training images and is judged by the run's validation images against foreign pictures: the
area under the ROC curve, and the share of foreign pictures that is alarmed about where 5 % of validation images are.
Foreign pictures come in two parts that share no kind of picture: `choose`, by which a score is chosen, and `report`,
which says afterwards what it is worth. `--held-out` is a folder of class folders of pictures of the run's own kind:
those of classes that the run does not know are foreign too, the first half of such classes (by name) in `choose`, the
others in `report`. Kinds in parentheses are validation images, changed a little: to be alarmed about them would be
wrong, and they do not count in the mean. The mean over runs counts every run alike, and within a run every kind of
picture.

The scores' sources: Hendrycks and Gimpel 2017 (probability), Liu et al. 2020 (energy), Hendrycks et al. 2022 (largest
logit), Lee et al. 2018 (Mahalanobis distance, one covariance), Ren et al. 2021 (relative), Sun et al. 2022 (nearest
neighbours), Wang et al. 2022 (ViM's residual), Ledoit and Wolf 2004 (shrinkage).
"""

import argparse
import io
import string
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_digits, load_sample_image
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from tenfold import load_run
from tenfold.core.axes import channels_first
from tenfold.inference.calibrate import FALSE_ALARMS, learn_familiarity
from tenfold.inference.contract import Contract
from tenfold.inference.evaluation import CHANGED, changed_statistics, sample
from tenfold.inference.familiarity import Seen as Sample
from tenfold.inference.familiarity import pixel_statistics
from tenfold.models import Classifier

COUNT = 400  # foreign pictures of a kind
NEIGHBOURS = 10
HELD_OUT = "class "  # how the kinds begin that are classes of the run's own data which it does not know
Score = Callable[["Seen"], np.ndarray]


class Seen:
    """What a model makes of n images.

    logits (n, K); features (n, D): what its last linear layer gets; stages: for some convolutions from first to last
    the means (n, F) of their channels; statistics (n, S): of the pixels alone.
    """

    def __init__(self, model: Classifier, pixels: np.ndarray) -> None:
        parts = [_run(model, pixels[start : start + 250]) for start in range(0, len(pixels), 250)]
        self.logits, self.features = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        self.stages = [np.concatenate(stage) for stage in zip(*(part[2] for part in parts), strict=True)]
        self.statistics = pixel_statistics(pixels)


@torch.inference_mode()
def _run(model: Classifier, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    found: list[Tensor] = []
    maps: list[Tensor] = []
    handles = [linear.register_forward_pre_hook(lambda _, given: found.append(given[0].flatten(1)))]
    for module in model.modules():
        if isinstance(module, nn.Conv2d) or module.__class__.__name__.startswith("BatchNorm"):
            handles.append(
                module.register_forward_hook(lambda _, __, out: maps.append(out.float().mean((2, 3))))
            )
    logits = model(channels_first(torch.from_numpy(pixels)))
    for handle in handles:
        handle.remove()
    chosen = sorted({round(place) for place in np.linspace(0, len(maps) - 1, 5)})
    return logits.numpy(), found[0].numpy(), [maps[place].numpy() for place in chosen]


# Scores: each learns from training images, and gives a function that is larger for pictures more unlike them -----


def scores(training: Seen, changed: np.ndarray) -> dict[str, Score]:
    """The candidates by name, learned from training images and the pixel statistics of harmless changes of them."""
    named = training.logits.argmax(1)
    sample = Sample(training.logits, training.statistics)
    familiar = learn_familiarity(sample, changed, sample)
    assert familiar is not None
    own: dict[str, Score] = {
        "as tenfold has it": lambda seen: familiar.strangeness(Sample(seen.logits, seen.statistics)),
        "logit, by class": logit_by_class(training.logits),
    }
    simple = {
        "probability": lambda seen: -softmax(seen.logits).max(1),
        "entropy": lambda seen: -(softmax(seen.logits) * np.log(softmax(seen.logits) + 1e-12)).sum(1),
        "energy": lambda seen: (
            -np.log(np.exp(seen.logits - seen.logits.max(1, keepdims=True)).sum(1)) - seen.logits.max(1)
        ),
        "largest logit": lambda seen: -seen.logits.max(1),
    }
    spaces: dict[str, Callable[[Seen], np.ndarray]] = {
        "logits": lambda seen: seen.logits,
        "features": lambda seen: seen.features,
        "pixels": lambda seen: seen.statistics,
        "stages": lambda seen: np.concatenate(seen.stages, 1),
    }
    found: dict[str, Score] = {**own, **simple}
    for name, space in spaces.items():
        known = space(training)
        if name == "pixels":
            found["pixels, changes unknown"] = partial(_from, mahalanobis(known, None), space)
            known = np.concatenate([known, changed])
        whole = mahalanobis(known, None)
        found[f"{name}: Mahalanobis"] = partial(_from, whole, space)
        if name != "pixels":
            by_class = mahalanobis(known, named)
            found[f"{name}: Mahalanobis, by class"] = partial(_from, by_class, space)
            found[f"{name}: relative"] = lambda seen, f=by_class, g=whole, s=space: f(s(seen)) - g(s(seen))
        near = neighbours(known)
        found[f"{name}: neighbours"] = partial(_from, near, space)
    residual = vim(training)
    found["features: residual (ViM)"] = residual
    for pair in (
        ("logit, by class", "pixels: Mahalanobis"),
        ("energy", "pixels: Mahalanobis"),
        ("logits: Mahalanobis", "pixels: Mahalanobis"),
        ("logit, by class", "stages: Mahalanobis"),
        ("energy", "stages: Mahalanobis"),
        ("energy", "features: neighbours"),
        ("features: Mahalanobis", "pixels: Mahalanobis"),
        ("largest logit", "pixels: Mahalanobis"),
        ("entropy", "pixels: Mahalanobis"),
        ("features: neighbours", "pixels: Mahalanobis"),
        ("stages: neighbours", "pixels: Mahalanobis"),
        ("features: relative", "pixels: Mahalanobis"),
        ("features: residual (ViM)", "pixels: Mahalanobis"),
        ("energy", "features: neighbours", "pixels: Mahalanobis"),
        ("largest logit", "features: neighbours", "pixels: Mahalanobis"),
    ):
        found[" + ".join(pair)] = either([found[name] for name in pair], training)
    for pair in (
        ("energy", "pixels: Mahalanobis"),
        ("entropy", "pixels: Mahalanobis"),
        ("largest logit", "pixels: Mahalanobis"),
        ("features: neighbours", "pixels: Mahalanobis"),
        ("stages: neighbours", "pixels: Mahalanobis"),
    ):
        found[" and ".join(pair)] = both([found[name] for name in pair], training)
    return found


def logit_by_class(training: np.ndarray) -> Score:
    """How many deviations the class's own logit lies below what training images of that class have."""
    named, own = training.argmax(1), training.max(1)
    classes = range(training.shape[1])
    rows = [own[named == each] if (named == each).sum() >= 10 else own for each in classes]
    mean, deviation = (np.array([function(row) for row in rows]) for function in (np.mean, np.std))

    def below(seen: Seen) -> np.ndarray:
        found = seen.logits.argmax(1)
        return (mean[found] - seen.logits.max(1)) / np.maximum(deviation[found], 1e-6)

    return below


def _from(
    function: Callable[[np.ndarray], np.ndarray], space: Callable[[Seen], np.ndarray], seen: Seen
) -> np.ndarray:
    return function(space(seen))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def mahalanobis(known: np.ndarray, labels: np.ndarray | None) -> Callable[[np.ndarray], np.ndarray]:
    """Squared distance from the mean, or from the nearest class's, under one covariance with shrinkage."""
    scale = known.std(0) + 1e-6
    known = (known / scale).astype(np.float64)
    labels = np.zeros(len(known), int) if labels is None else labels
    present = [label for label in np.unique(labels) if (labels == label).sum() >= 2]
    means = np.stack([known[labels == label].mean(0) for label in present])
    rows = np.isin(labels, present)
    centred = known[rows] - means[np.searchsorted(present, labels[rows])]
    precision = LedoitWolf(assume_centered=True).fit(centred).precision_

    def distance(values: np.ndarray) -> np.ndarray:
        values = values / scale
        return np.min(
            [
                np.einsum("nd,de,ne->n", values - mean, precision, values - mean, optimize=True)
                for mean in means
            ],
            axis=0,
        )

    return distance


def neighbours(known: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Distance to the k-th nearest training image, all vectors brought to length 1."""

    def unit(values: np.ndarray) -> np.ndarray:
        return values / (np.linalg.norm(values, axis=1, keepdims=True) + 1e-9)

    tree = unit(known)

    def distance(values: np.ndarray) -> np.ndarray:
        return np.sort(-(unit(values) @ tree.T), axis=1)[:, NEIGHBOURS - 1]

    return distance


def vim(training: Seen) -> Score:
    """The part of the features outside their principal space, against the energy."""
    centre = training.features.mean(0)
    values, vectors = np.linalg.eigh(np.cov((training.features - centre).T.astype(np.float64)))
    keep = int(np.searchsorted(np.cumsum(values[::-1]) / values.sum(), 0.95)) + 1
    outside = vectors[:, : max(1, len(values) - keep)]

    def length(seen: Seen) -> np.ndarray:
        return np.linalg.norm((seen.features - centre) @ outside, axis=1)

    weight = training.logits.max(1).mean() / max(length(training).mean(), 1e-9)
    return lambda seen: weight * length(seen) - np.logaddexp.reduce(seen.logits.astype(np.float64), axis=1)


def either(parts: list[Score], training: Seen) -> Score:
    """The larger of scores; of each, how far it is above its median over training images, in its 95th percentiles."""

    def scaled(score: Score) -> Score:
        known = score(training)
        middle, spread = np.median(known), np.quantile(known, 0.95) - np.median(known) + 1e-9
        return lambda seen: (score(seen) - middle) / spread

    every = [scaled(score) for score in parts]
    return lambda seen: np.max([score(seen) for score in every], axis=0)


def both(parts: list[Score], training: Seen) -> Score:
    """How seldom training images are so strange by any of the scores: -log of their tails' product (Fisher, 1925)."""
    known = [np.sort(score(training)) for score in parts]

    def seldom(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
        """-log of the tail; beyond the largest it goes on as an exponential tail would."""
        above = len(ordered) - np.searchsorted(ordered, values)
        high, largest = ordered[int(0.9 * len(ordered))], ordered[-1]
        beyond = np.maximum(values - largest, 0) / max((largest - high) / np.log(len(ordered) / 10 + 1), 1e-9)
        return -np.log((above + 0.5) / (len(ordered) + 0.5)) + beyond

    return lambda seen: np.sum(
        [seldom(score(seen), ordered) for score, ordered in zip(parts, known, strict=True)], axis=0
    )


# Foreign pictures ------------------------------------------------------------------------------------------------


def foreign(part: str, contract: Contract, held_out: Path | None, count: int) -> dict[str, np.ndarray]:
    """Foreign pictures as the model gets them, (n, H, W, C) by kind."""
    generator = np.random.default_rng({"choose": 1, "report": 2}[part])
    kinds = {
        "choose": {
            "noise": lambda: generator.integers(0, 256, (32, 32, 3), np.uint8),
            "bricks, gravel": lambda: crop(generator, ("brick.png", "gravel.png")),
            "letters": lambda: letter(generator),
            "people, rockets": lambda: crop(generator, ("astronaut.png", "rocket.jpg", "coffee.png")),
            "gradients": lambda: gradient(generator),
        },
        "report": {
            "clouds": lambda: clouds(generator),
            "grass, tissue, cells": lambda: crop(generator, ("grass.png", "ihc.png", "cell.png")),
            "digits": lambda: digit(generator),
            "china, flower, cat": lambda: crop(generator, ("china.jpg", "flower.jpg", "chelsea.png")),
            "one colour": lambda: np.full((32, 32, 3), generator.integers(0, 256, 3), np.uint8),
            "printed text": lambda: crop(generator, ("page.png", "text.png")),
        },
    }[part]
    if "digits" in kinds and contract.image[0] == 1:
        del kinds["digits"]
    found = {name: [draw() for _ in range(count)] for name, draw in kinds.items()}
    if held_out is not None:
        unknown = [folder for folder in sorted(held_out.iterdir()) if folder.name not in contract.class_names]
        half = len(unknown) // 2
        for folder in unknown[:half] if part == "choose" else unknown[half:]:
            files = sorted(folder.iterdir())[:count]
            found[f"{HELD_OUT}{folder.name}"] = [
                np.asarray(Image.open(file).convert("RGB")) for file in files
            ]
    return {name: np.stack([contract.pixels(image) for image in images]) for name, images in found.items()}


def means(found: dict[str, tuple[float, float]], known: Callable[[str], bool]) -> tuple[float, ...]:
    """The mean area and share alarmed about, over the foreign kinds that `known` chooses; nan where there is none."""
    rows = [of for kind, of in found.items() if kind[0] != "(" and known(kind)]
    return tuple(np.mean(rows, axis=0)) if rows else (np.nan, np.nan)


def harmless(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Images (n, H, W, C) in other ways than those that a score learns from; none of them is foreign."""

    def compressed(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.convert("RGB").save(file, "WEBP", quality=60)
        return Image.open(file).convert(image.mode)

    def zoomed(image: Image.Image) -> Image.Image:
        left, top = 0.07 * image.width, 0.07 * image.height
        box = (left, top, image.width - left, image.height - top)
        return image.resize(image.size, Image.Resampling.BICUBIC, box)

    changes = {
        "WebP": compressed,
        "contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.85),
        "zoomed": zoomed,
        "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(0.4)),
    }
    images = [Image.fromarray(one[..., 0] if one.shape[2] == 1 else one) for one in pixels]
    return {
        name: np.stack([np.asarray(change(image)) for image in images]).reshape(pixels.shape)
        for name, change in changes.items()
    }


def crop(generator: np.random.Generator, names: tuple[str, ...]) -> np.ndarray:
    """A square of a picture that scikit-image or scikit-learn brings along."""
    name = names[generator.integers(len(names))]
    if name in {"china.jpg", "flower.jpg"}:
        picture = load_sample_image(name)
    else:
        import skimage

        picture = np.asarray(Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB"))
    side = int(min(picture.shape[:2]) * generator.uniform(0.3, 0.9))
    top, left = (int(generator.integers(length - side + 1)) for length in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def letter(generator: np.random.Generator) -> np.ndarray:
    """A letter in one colour on another."""
    dark, light = (tuple(generator.integers(low, low + 128, 3).tolist()) for low in (0, 128))
    back, ink = (dark, light) if generator.random() < 0.5 else (light, dark)
    image = Image.new("RGB", (64, 64), back)
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), 48)
    text = string.ascii_uppercase[generator.integers(26)]
    ImageDraw.Draw(image).text((32, 32), text, fill=ink, font=font, anchor="mm")
    return np.asarray(image)


def digit(generator: np.random.Generator) -> np.ndarray:
    """A handwritten digit, white on black."""
    images = load_digits().images
    return np.repeat((images[generator.integers(len(images))] * 15.9).astype(np.uint8)[..., None], 3, 2)


def gradient(generator: np.random.Generator) -> np.ndarray:
    """From one colour to another."""
    first, last = generator.uniform(0, 255, (2, 3))
    shares = np.linspace(0, 1, 32)[:, None, None] * np.ones((1, 32, 1))
    values = first * (1 - shares) + last * shares
    return np.rint(values if generator.random() < 0.5 else values.transpose(1, 0, 2)).astype(np.uint8)


def clouds(generator: np.random.Generator) -> np.ndarray:
    """Coarse noise, enlarged smoothly."""
    noise = generator.integers(0, 256, (6, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(noise).resize((32, 32), Image.Resampling.BICUBIC))


# The table -------------------------------------------------------------------------------------------------------


def judge(
    run: Path, part: str, held_out: Path | None, images: int, only: list[str]
) -> dict[str, dict[str, tuple[float, float]]]:
    """For each score and kind of foreign picture: area under the ROC curve, and share alarmed about."""
    opened = load_run(run)
    contract = Contract(opened.class_names or (), opened.image_shape)
    splits, model = opened.splits(), opened.model()
    training, validation = (
        Seen(model, sample(split, images).images(slice(None))) for split in (splits.train, splits.validation)
    )
    count = min(COUNT, images)
    strangers = {
        name: Seen(model, pixels) for name, pixels in foreign(part, contract, held_out, count).items()
    }
    changed = harmless(sample(splits.validation, count).images(slice(None)))
    strangers |= {f"({name})": Seen(model, pixels) for name, pixels in changed.items()}
    table: dict[str, dict[str, tuple[float, float]]] = {}
    for name, score in scores(training, changed_statistics(sample(splits.train, CHANGED))).items():
        if only and name not in only:
            continue
        inside = score(validation)
        limit = np.quantile(inside, 1 - FALSE_ALARMS, method="higher")
        table[name] = {}
        for kind, seen in strangers.items():
            outside = score(seen)
            labels = np.repeat([0, 1], [len(inside), len(outside)])
            area = float(roc_auc_score(labels, np.concatenate([inside, outside])))
            table[name][kind] = area, float((outside > limit).mean())
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--part", choices=("choose", "report"), default="choose")
    parser.add_argument("--held-out", type=Path, help="a folder of class folders, not of test images")
    parser.add_argument(
        "--images", type=int, default=2000, help="of training and of validation; fewer for a large network"
    )
    parser.add_argument("--scores", nargs="+", default=[], help="only these")
    options = parser.parse_args()
    areas: dict[str, list[tuple[float, ...]]] = {}
    for run in options.runs:
        table = judge(run, options.part, options.held_out, options.images, options.scores)
        kinds = list(next(iter(table.values())))
        print(
            f"\n== {run.name}: {options.part}; area under the curve and % alarmed about: other kinds of picture, "
            "other classes; then % by kind =="
        )
        print(" " * 68 + "  ".join(kinds))
        for name, found in table.items():
            mean = (
                *means(found, lambda kind: not kind.startswith(HELD_OUT)),
                *means(found, lambda kind: kind.startswith(HELD_OUT)),
            )
            areas.setdefault(name, []).append(mean)
            shares = "  ".join(f"{share:{len(kind)}.0%}" for kind, (_, share) in found.items())
            print(f"{name:<50}{line(mean)}  {shares}")
    print(f"\n== mean over {len(options.runs)} runs ==")
    for name, found in sorted(areas.items(), key=lambda item: -np.nanmean(item[1], axis=0)[1]):
        print(f"{name:<50}{line(np.nanmean(found, axis=0))}")


def line(mean: Sequence[float] | np.ndarray) -> str:
    """Areas and shares in columns."""
    return f"{mean[0]:.3f} {mean[1]:4.0%}  {mean[2]:.3f} {mean[3]:4.0%}"


if __name__ == "__main__":
    main()
