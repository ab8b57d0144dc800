"""How fast images come from files: tenfold's first reading and its warm open, beside Keras.

    python bench/data_loading.py --data cifar10 --keras-python /path/to/keras/venv/bin/python

`--data` holds folders (train1 ... train5, test), each with one folder a class. Every measurement is a process of
its own, in turn with the others (A B A B), with the files in the page cache. Cold: decode every file and write the
pack, against one pass over Keras' `image_dataset_from_directory` with batches of 64; imports are not counted on
either side. Warm: `read_splits` on the pack that is there, which includes looking at every file for changes.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import psutil

KERAS = """
import json, os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, tensorflow as tf
count, began = 0, time.perf_counter()
for folder in sys.argv[1:]:
    batches = keras.utils.image_dataset_from_directory(folder, image_size=(32, 32), batch_size=64, verbose=False)
    for images, labels in batches:
        count += len(labels)
seconds = time.perf_counter() - began
versions = f"Keras {keras.__version__}, TensorFlow {tf.__version__}"
print(json.dumps({"images": count, "seconds": seconds, "versions": versions}))
"""

TENFOLD = """
import json, sys, time
from tenfold.data import Source, read_splits
from tenfold.recipe import Data
began = time.perf_counter()
splits = read_splits(Data(), Source(sys.argv[1]))
seconds = time.perf_counter() - began
print(json.dumps({"images": sum(map(len, splits)), "seconds": seconds}))
"""


def main() -> None:
    options = parse()
    folders = sorted(str(folder) for folder in options.data.iterdir() if folder.is_dir())
    for path in options.data.rglob("*.png"):  # into the page cache, for both alike
        path.read_bytes()
    print_machine()
    cold, warm, keras = [], [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(run([sys.executable, "-c", TENFOLD, str(options.data)], cache))
            warm += [
                run([sys.executable, "-c", TENFOLD, str(options.data)], cache) for _ in range(options.opens)
            ]
        if options.keras_python:
            keras.append(run([options.keras_python, "-c", KERAS, *folders], ""))
    print(f"{cold[0]['images']:,} files, {options.rounds} rounds; the fastest, the median and the slowest")
    show("tenfold, cold", [one["images"] / one["seconds"] for one in cold], "images/s", 0)
    if keras:
        print(keras[0]["versions"])
        show("Keras, one pass", [one["images"] / one["seconds"] for one in keras], "images/s", 0)
        pairs = [theirs["seconds"] / ours["seconds"] for ours, theirs in zip(cold, keras, strict=True)]
        show("tenfold / Keras", pairs, "times", 2)
    show("tenfold, warm open", [one["seconds"] for one in warm], "s", 3)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--keras-python", help="the Python of an environment with tensorflow; without it, no Keras"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--opens", type=int, default=5, help="warm opens in each round")
    return parser.parse_args()


def run(words: list[str], cache: str) -> dict:
    environment = {**os.environ, "TENFOLD_CACHE": cache}
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def show(name: str, values: list[float], unit: str, digits: int) -> None:
    numbers = (min(values), statistics.median(values), max(values))
    low, middle, high = (f"{number:,.{digits}f}" for number in numbers)
    print(f"{name:20} median {middle} {unit} ({low} to {high})")


def print_machine() -> None:
    memory = psutil.virtual_memory().total / 2**30
    print(f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.platform()}")
    print(f"load before the start: {os.getloadavg()[0]:.1f} processes")
    packages = ("tenfold", "pillow", "numpy", "loky")
    print(
        f"Python {platform.python_version()}, " + ", ".join(f"{name} {installed(name)}" for name in packages)
    )


def installed(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "from the source tree"


if __name__ == "__main__":
    main()
