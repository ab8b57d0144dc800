"""How many near copies of each kind `tenfold` finds, and how many pairs it takes for copies that are none.

    python bench/near_copies.py [FOLDER] [--images 2000] [--copied 500] [--out near_copies.json]

Copies are made of some pictures and laid among all; recall is the share of them that is found beside its original,
"others" is how many further pairs are called copies. FOLDER is a folder of pictures below which copies are rare, for
instance one of CIFAR-10's training folders; the handwritten digits of scikit-learn, enlarged to 28 pixels, stand for
shapes that are alike without being copies, and so do single strokes of a pen, drawn as MNIST's digit 1 is. The
thresholds were chosen on training images; no test image is read.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from changed import CHANGES, jittered

from tenfold.core.terminal import make_console, print_table
from tenfold.data.likeness import near_copies


def main() -> None:
    """Measure, print a table, and write the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--copied", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("near_copies.json"))
    options = parser.parse_args()
    sets = {"digits": digits(), "strokes": strokes()}
    if options.folder:
        sets = {options.folder.name: pictures(options.folder, options.images)} | sets
    rows = []
    for name, images in sets.items():
        for row in measured(images, options.copied):
            rows.append({"set": name, **row})
            options.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    shown = [
        (
            row["set"],
            row["kind"],
            f"{row['recall']:.1%}" if row["made"] else "",
            f"{row['others']:,}",
            f"{row['cpu']:.1f}",
        )
        for row in rows
    ]
    print_table(make_console(), ("set", "copies", "found", "other pairs", "CPU seconds"), shown)


def measured(images: np.ndarray, copied: int) -> Iterator[dict]:
    """A row for the images alone, for each kind of copy, for copies of all, and for frames of a few pictures."""
    yield row_of("none", images, images[:0])
    for kind, change in CHANGES.items():
        yield row_of(kind, images, np.stack([change(image) for image in images[:copied]]))
    bright = np.stack([CHANGES["brightened by 30 %"](image) for image in images[:1000]])
    for count in (100, 600, 1000):
        yield row_of(f"{count} of 1000 brightened", images[:1000], bright[:count])
    yield frames(images[:40])


def row_of(kind: str, images: np.ndarray, copies: np.ndarray) -> dict:
    """Copies are of the first images."""
    found, seconds = search(np.concatenate([images, copies]))
    expected = {(n, len(images) + n) for n in range(len(copies))}
    recall = len(found & expected) / max(1, len(expected))
    return {
        "kind": kind,
        "made": len(copies),
        "recall": recall,
        "others": len(found - expected),
        "cpu": seconds,
    }


def frames(images: np.ndarray) -> dict:
    """Twenty-five jittered frames of each picture: the share of frames that are linked to another of their own."""
    found, seconds = search(np.stack([jittered(images[n // 25], n) for n in range(1000)]))
    own = {pair for pair in found if pair[0] // 25 == pair[1] // 25}
    linked = len({place for pair in own for place in pair}) / 1000
    return {
        "kind": "40 in 25 frames",
        "made": 1000,
        "recall": linked,
        "others": len(found - own),
        "cpu": seconds,
    }


def search(pixels: np.ndarray) -> tuple[set[tuple[int, int]], float]:
    """The pairs, and the CPU seconds."""
    start = time.process_time()
    pairs, _ = near_copies(pixels, np.arange(len(pixels)))
    return {(first, second) for first, second in pairs.tolist()}, time.process_time() - start


def pictures(folder: Path, most: int) -> np.ndarray:
    """(n, H, W, 3) of equally many files from all over the folder, which are of one size."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".png", ".jpg", ".jpeg"})
    return np.stack(
        [np.asarray(Image.open(path).convert("RGB")) for path in files[:: max(1, len(files) // most)]]
    )


def digits() -> np.ndarray:
    """(1797, 28, 28, 1): as large as MNIST's, and smoother, so that they are more alike."""
    from sklearn.datasets import load_digits

    small = [
        Image.fromarray((image * 255 / 16).astype(np.uint8))
        for image in load_digits(return_X_y=True)[0].reshape(-1, 8, 8)
    ]
    return np.stack([np.asarray(image.resize((28, 28), Image.Resampling.BICUBIC)) for image in small])[
        ..., None
    ]


def strokes(count: int = 2000) -> np.ndarray:
    """(count, 28, 28, 1): strokes of a pen like MNIST's ones, each slanted, bent and as thick as by another hand."""
    generator, drawn = np.random.default_rng(0), []
    for _ in range(count):
        slant, height = generator.normal(0.2, 0.25), generator.uniform(0.85, 1)
        ends = np.array([[0.5 + slant / 2, 0.5 - height / 2], [0.5 - slant / 2, 0.5 + height / 2]])
        points = np.linspace(ends[0], ends[1], 5) + generator.normal(0, 0.025, (5, 2))
        widths = generator.uniform(0.08, 0.2) * generator.uniform(0.8, 1.2, 5)
        drawn.append(_stroke(points, widths))
    return np.stack(drawn)[..., None]


def _stroke(points: np.ndarray, widths: np.ndarray, fine: int = 8) -> np.ndarray:
    """(28, 28) of a stroke through `points` (n, 2) in a square of 20 pixels, centred by its mass as MNIST is."""
    steps = np.linspace(0, len(points) - 1, 80)
    path = np.stack([np.interp(steps, range(len(points)), column) for column in (*points.T, widths)], 1)
    y, x = (np.mgrid[: 28 * fine, : 28 * fine] + 0.5) / fine
    inked = np.zeros((28 * fine, 28 * fine), bool)
    for across, down, width in path * 20:
        inked |= np.hypot(x - 4 - across, y - 4 - down) < width / 2
    image = inked.reshape(28, fine, 28, fine).mean((1, 3))
    middle = [round(13.5 - np.average(np.arange(28), weights=image.sum(1 - axis))) for axis in (0, 1)]
    return np.rint(255 * np.roll(image, middle, (0, 1))).astype(np.uint8)


if __name__ == "__main__":
    main()
