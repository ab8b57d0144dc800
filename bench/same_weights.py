"""Whether a change keeps the results: hashes of the weights and test predictions of a dozen tiny runs.

    python bench/same_weights.py --json before.json        # on the commit before
    python bench/same_weights.py --against before.json     # after the change, on the same machine

Each run is the real command in a process of its own. The runs cover every model, optimizer, schedule and way through
an epoch that a recipe can name. Exit status 1 where a run's weights or predictions differ.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

FEW = ("fit.epochs=2", "fit.batch_size=16")
TINY = ("model.widths=[8,8,8]", "model.depths=[1,1,1]")
# name: words of the command, after `tenfold train`. "PHOTOS" stands for a folder of small coloured pictures.
RUNS = {
    "digits": ("digits", "fit.epochs=3"),
    "digits-seed": ("digits", "fit.epochs=3", "--seed", "5"),
    "baseline": ("model-s-baseline", "--data", "PHOTOS", *FEW),
    "augmented": ("model-s-augmented", "--data", "PHOTOS", *FEW),
    "deep": ("model-s-deep", "--data", "PHOTOS", *FEW),
    "single-conv": ("single-conv", "--data", "PHOTOS", *FEW),
    "three-conv-gap": ("three-conv-gap", "--data", "PHOTOS", *FEW),
    "fast": ("fast-72", "--data", "PHOTOS", *FEW, *TINY),
    "fast-hardest": ("fast-86", "--data", "PHOTOS", *FEW, *TINY, "fit.epochs=4", "fit.hardest=[1.0,0.5]"),
    "fast-float32": ("fast-90", "--data", "PHOTOS", *FEW, *TINY, "fit.precision=float32", "fit.scales=[1.0]"),
    "mixup": ("digits", "--data", "PHOTOS", *FEW, 'augment=[{name="mixup"},{name="trivial_augment"}]'),
    "backbone": ("backbone", "--data", "PHOTOS", "model.image_size=64"),
    "backbone-mlp": ("backbone", "--data", "PHOTOS", "model.image_size=64", "model.head=mlp", "fit.epochs=3"),
    "fine-tuned": (
        "backbone",
        "--data",
        "PHOTOS",
        "model.image_size=64",
        "model.unfreeze=1",
        "model.head=mlp",
        *FEW,
    ),
}


def draw_photos(folder: Path) -> Path:
    """Three classes of 40 pictures of 32x32: stripes of another direction and colour each, with noise."""
    for label, name in enumerate(("across", "down", "slanted")):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            generator = np.random.default_rng([label, number])
            y, x = np.mgrid[:32, :32]
            phase = (y, x, x + y)[label] * generator.uniform(0.6, 1.2) + generator.uniform(0, 6)
            tint = generator.uniform(60, 120, 3)
            pixels = 128 + np.sin(phase)[..., None] * tint + generator.normal(0, 25, (32, 32, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number:02}.png")
    return folder


def hashes(run: Path) -> dict[str, str]:
    """Hashes of a run's weights, tensor by tensor, and of its test predictions."""
    import pyarrow.parquet as pq

    weights = hashlib.sha256()
    for name, tensor in sorted(load_file(run / "model.safetensors").items()):
        weights.update(name.encode() + tensor.tobytes())
    table = pq.read_table(run / "predictions" / "test.parquet")
    values = np.stack([table[c].to_numpy() for c in table.column_names if c.startswith("probability:")])
    return {
        "weights": weights.hexdigest()[:16],
        "predictions": hashlib.sha256(values.tobytes()).hexdigest()[:16],
    }


def measure(folder: Path, names: list[str]) -> dict[str, dict[str, str]]:
    """Train every run below `folder`; give its hashes by name."""
    photos = draw_photos(folder / "photos")
    found = {}
    for name in names:
        words = [str(photos) if word == "PHOTOS" else word for word in RUNS[name]]
        command = [
            sys.executable,
            "-m",
            "tenfold",
            "train",
            *words,
            "--out",
            str(folder / "runs"),
            "--name",
            name,
        ]
        environment = {**os.environ, "TENFOLD_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            sys.exit(f"{name}: {done.stderr}")
        found[name] = hashes(folder / "runs" / name)
        print(
            f"{name:15} weights {found[name]['weights']}  predictions {found[name]['predictions']}",
            flush=True,
        )
    return found


def main() -> None:
    """Measure, and compare or save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=list(RUNS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--against", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), arguments.names)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    if arguments.against:
        before = json.loads(arguments.against.read_text())
        changed = [name for name in found if before.get(name) != found[name]]
        print("all the same" if not changed else f"changed: {', '.join(changed)}")
        sys.exit(bool(changed))


if __name__ == "__main__":
    main()
