"""Which score tells pictures unlike a run's training images? Judged by validation images; no test image is read.

    python bench/unlike.py --runs runs/fast-72 runs/digits-1 --held-out cifar10/train2 [--part report]

A score learns from 2,000 training images and is judged by the run's validation images against foreign pictures: the
area under the ROC curve, and the share of foreign pictures that is alarmed about where 5 % of validation images are.
Foreign pictures come in two parts that share no kind of picture: `choose`, by which a score is chosen, and `report`,
which says afterwards what it is worth. `--held-out` is a folder of class folders of pictures of the run's own kind:
those of classes that the run does not know are foreign too, the first half of such classes (by name) in `choose`, the
others in `report`. Kinds in parentheses are validation images, changed a little: to be alarmed about them would be
wrong, and they do not count in the mean. The mean over runs counts every run alike, and within a run every kind of
picture. The scores are in `unlike_scores.py`.
"""

import argparse
import io
import string
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont
from sklearn.datasets import load_digits, load_sample_image
from sklearn.metrics import roc_auc_score
from unlike_scores import Seen, scores

from tenfold import load_run
from tenfold.inference.calibrate import FALSE_ALARMS
from tenfold.inference.contract import Contract
from tenfold.inference.evaluation import CHANGED, changed_statistics, sample

COUNT = 400  # foreign pictures of a kind
HELD_OUT = "class "  # how the kinds begin that are classes of the run's own data which it does not know


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
