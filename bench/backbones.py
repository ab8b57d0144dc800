"""Accuracy and CPU time of the backbones whose weights are installed, at several image sizes, on validation images.

    python bench/backbones.py cuts/cut10x200 flowers/ --seeds 3     # into bench/results/backbones.json
    python bench/backbones.py --table

A third of each source's images validates, a tenth, never looked at, is kept as a test split; the seed deals them. The
recipe is `backbone`: last features with the means of two stages, a logistic head. Images per CPU-second hold on one
thread (OMP_NUM_THREADS=1), and hardly depend on what else the machine does.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from common import machine

import tenfold
from tenfold.data import Source, read_splits
from tenfold.models.weights import PACKAGES, local_weights
from tenfold.workbench.candidates import learn

RESULTS = Path(__file__).parent / "results" / "backbones.json"
HEADER = (
    "source | training, validation images | backbone | pixels | accuracy % | loss | seeds | "
    "images per CPU-second"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 160, 224])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="print the table of what was measured")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []
    for source in options.sources:
        for backbone in filter(local_weights, PACKAGES):
            for size in options.sizes:
                for seed in range(options.seeds):
                    results.append(measure(source, backbone, size, seed))
                    print(json.dumps(results[-1]), flush=True)
                    RESULTS.parent.mkdir(exist_ok=True)
                    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.table:
        print("\n".join(table(results)))


def measure(source: str, backbone: str, size: int, seed: int) -> dict[str, Any]:
    """A head on one backbone's features; no test image is looked at."""
    recipe = tenfold.load_recipe(
        "backbone",
        {
            **{"model.backbone": backbone, "model.image_size": size},
            **{"data.validation_fraction": 0.33, "data.test_fraction": 0.1, "data.split_seed": seed},
        },
    )
    splits = read_splits(recipe.data, Source(source))
    began = time.process_time()
    found = learn(recipe, splits, torch.device("cpu"), float("inf"), lambda done, total: None)
    assert found is not None
    head = sum(record["seconds"] for record in found.learner.state.history)
    costs = found.fitting.features
    return {
        "source": Path(source).name,
        "machine": machine(),
        "images": [len(splits.train), len(splits.validation)],
        "backbone": backbone,
        "size": size,
        "seed": seed,
        "accuracy": float(found.right.mean()),
        "loss": float(found.losses.mean()),
        "images_per_cpu_second": costs["computed"] / max(time.process_time() - began - head, 1e-9),
    }


def table(results: list[dict[str, Any]]) -> list[str]:
    """A line of Markdown for each source, backbone and size: means over seeds."""
    lines = [f"| {HEADER} |", f"|{'---|' * len(HEADER.split(' | '))}"]
    keys = dict.fromkeys((one["source"], one["backbone"], one["size"]) for one in results)
    for source, backbone, size in keys:
        same = [
            one
            for one in results
            if (one["source"], one["backbone"], one["size"]) == (source, backbone, size)
        ]
        cells = [
            *(source, "{:,}, {:,}".format(*same[0]["images"]), backbone, str(size)),
            f"{100 * mean(one['accuracy'] for one in same):.1f}",
            f"{mean(one['loss'] for one in same):.3f}",
            str(len(same)),
            f"{max(one['images_per_cpu_second'] for one in same):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
