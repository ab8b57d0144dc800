"""How fast a run answers: command to answer for one picture, and pictures a second over a folder of files.

    python bench/predict.py --run runs/fast --data cifar10/test --keras-python /path/to/keras/venv/bin/python

Every measurement is a process of its own, in turn with the others (A B A B), with the files in the page cache.

One picture: from starting the process to its end, with the answer printed. tenfold beside a Python process that only
imports ONNX Runtime, beside Keras, which loads a saved network of the same kind and predicts one picture, and beside
Ultralytics' command `yolo classify predict` with its smallest classifier (random weights, 32 pixels).

A folder: seconds that the process itself counts after its imports, for the whole of it: finding the files, decoding,
predicting, writing CSV. Beside it decoding alone (the same way, nothing predicted), ONNX Runtime alone and
PyTorch alone (pixels in memory, batches of 256), and Keras' `predict` over `image_dataset_from_directory`. Images a
second by the clock, and images for a second of processor time, of the process and of those that decode for it: beside
other jobs only the latter can be compared. Decoding and the model share the cores: the bound is what all cores would
reach without any other work, by the processor time of decoding alone and PyTorch alone. Last the largest memory of
the process.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

# What every measured process says of itself, after `began = start()`.
SAYS = """
import json, os, resource, sys, time
import psutil
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command `tenfold` does

def used():
    own = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (own, *own.children(recursive=True)))

def start():
    return time.perf_counter(), used()

def say(images, began):
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds, processor = time.perf_counter() - began[0], used() - began[1]
    print(json.dumps({"images": images, "seconds": seconds, "processor": processor, "memory": memory}))
"""

FOLDER = """
from pathlib import Path
from tenfold.inference.opening import open_model
from tenfold.inference.pictures import pictures_of
from tenfold.inference.predict import Question, answered
from tenfold.inference.writers import writer
import tenfold.inference.torch_predictor
run, folder, out = sys.argv[1:]
began = start()
model = open_model(run)
pictures = pictures_of([folder], model.contract.class_names)
count = 0
with writer("csv", Path(out), None) as write:
    for answers in answered(model, model.predictor(few=False, device="cpu"), pictures, Question()):
        write.write(answers)
        count += len(answers)
say(count, began)
"""

DECODING = """
from tenfold.inference.decoding import blocks
from tenfold.inference.opening import open_model
from tenfold.inference.pictures import pictures_of
run, folder, out = sys.argv[1:]
model = open_model(run)
began = start()
pictures = pictures_of([folder], model.contract.class_names)
say(sum(len(block.names) for block in blocks(pictures, model.contract.target, 256)), began)
"""

ALONE = """
import numpy as np
from tenfold.inference.opening import open_model
run, few, count = sys.argv[1], sys.argv[2] == "onnx", int(sys.argv[3])
model = open_model(run)
predictor = model.predictor(few=few, device="cpu")
assert predictor.name.startswith("ONNX") == few, predictor.name
channels, height, width = model.contract.image
pixels = np.random.default_rng(0).integers(0, 256, (256, height, width, channels), np.uint8)
predictor.logits(pixels)
began = start()
for _ in range(0, count, 256):
    predictor.logits(pixels)
say(-(-count // 256) * 256, began)
"""

# Keras gets notebook 01's network, which `--run` should be, too; what it loads and how it predicts is what its
# documents show.
KERAS = """
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
from keras import layers
what, path, given = sys.argv[1:]
if what == "save":
    convolutions = [layer for filters in (16, 32, 64) for layer in (
        layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D())]
    model = keras.Sequential([
        layers.Input((32, 32, 3)), layers.Rescaling(1 / 255), *convolutions, layers.Flatten(),
        layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax")])
    model.save(path)
elif what == "one":
    model = keras.models.load_model(path)
    image = keras.utils.img_to_array(keras.utils.load_img(given, target_size=(32, 32)))
    print(model.predict(image[None], verbose=0).argmax())
else:
    model = keras.models.load_model(path)
    began = start()
    files = keras.utils.image_dataset_from_directory(
        given, image_size=(32, 32), batch_size=256, shuffle=False, verbose=False)
    say(len(model.predict(files, verbose=0)), began)
"""


def main() -> None:
    options = parse()
    files = sorted(options.data.rglob("*.png"))
    for path in files:  # into the page cache, for all alike
        path.read_bytes()
    print(f"{platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        network = str(Path(folder) / "network.keras")
        if options.keras_python:
            finish([options.keras_python, "-c", SAYS + KERAS, "save", network, ""])
        if options.what != "folder":
            one_picture(options, str(files[0]), network, Path(folder))
        if options.what != "picture":
            whole_folder(options, len(files), str(Path(folder) / "answers.csv"), network)


def one_picture(options: argparse.Namespace, picture: str, network: str, folder: Path) -> None:
    command = [sys.executable, "-m", "tenfold", "predict", options.run, picture]
    finish(command)  # the first makes the ONNX model
    lines = {
        "tenfold predict": command,
        "only `import onnxruntime, numpy, PIL.Image`": [
            *(sys.executable, "-c", "import onnxruntime, numpy, PIL.Image")
        ],
    }
    if options.keras_python:
        lines["Keras"] = [options.keras_python, "-c", SAYS + KERAS, "one", network, picture]
    if options.ultralytics:
        lines["Ultralytics"] = ultralytics(options.ultralytics, picture, folder)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in lines}
    for _ in range(options.rounds):
        for name, line in lines.items():
            seconds[name].append(finish(line)[1:])
    print(f"one picture, command to answer, {options.rounds} rounds: the fastest, the median and the slowest")
    for name, found in seconds.items():
        show(name, [wall for wall, _ in found], "s", 2)
        show("  of it processor time", [processor for _, processor in found], "s", 2)


def ultralytics(yolo: Path, picture: str, folder: Path) -> list[str]:
    """The command that answers about one picture, after a network with random weights was saved."""
    weights = folder / "network.pt"
    code = "import sys; from ultralytics import YOLO; YOLO('yolov8n-cls.yaml').save(sys.argv[1])"
    finish([str(yolo.parent / "python"), "-c", code, str(weights)])
    settings = f"model={weights} source={picture} imgsz=32 save=False device=cpu"
    return [str(yolo), "classify", "predict", *settings.split()]


def whole_folder(options: argparse.Namespace, count: int, out: str, network: str) -> None:
    data = str(options.data)
    lines = {
        "tenfold predict": [sys.executable, "-c", SAYS + FOLDER, options.run, data, out],
        "decoding alone": [sys.executable, "-c", SAYS + DECODING, options.run, data, out],
        "ONNX Runtime alone": [sys.executable, "-c", SAYS + ALONE, options.run, "onnx", str(count)],
        "PyTorch alone": [sys.executable, "-c", SAYS + ALONE, options.run, "torch", str(count)],
    }
    if options.keras_python:
        lines["Keras"] = [options.keras_python, "-c", SAYS + KERAS, "folder", network, data]
    reports: dict[str, list[dict[str, float]]] = {name: [] for name in lines}
    for _ in range(options.rounds):
        for name, line in lines.items():
            reports[name].append(json.loads(finish(line)[0].splitlines()[-1]))
    print(f"{count:,} files, {options.rounds} rounds; the fastest, the median and the slowest")
    speeds = {name: [one["images"] / one["seconds"] for one in found] for name, found in reports.items()}
    for name, found in speeds.items():
        show(name, found, "images/s", 0)
    for name, found in reports.items():
        show(name, [one["images"] / one["processor"] for one in found], "images a processor second", 0)
    for name in ("tenfold predict", "PyTorch alone"):
        print(f"  {name}: at most {max(one['memory'] for one in reports[name]):,.0f} MiB")
    ours = speeds["tenfold predict"]
    slower = map(min, speeds["decoding alone"], speeds["ONNX Runtime alone"])
    show("tenfold / the slower limit", [a / b for a, b in zip(ours, slower, strict=True)], "times", 2)
    both = zip(reports["decoding alone"], reports["PyTorch alone"], strict=True)
    bound = [psutil.cpu_count() / sum(one["processor"] / one["images"] for one in pair) for pair in both]
    show("the bound: both on all cores", bound, "images/s", 0)
    show("tenfold / the bound", [a / b for a, b in zip(ours, bound, strict=True)], "times", 2)
    if options.keras_python:
        show("tenfold / Keras", [a / b for a, b in zip(ours, speeds["Keras"], strict=True)], "times", 2)


def finish(line: list[str]) -> tuple[str, float, float]:
    """A process's output, its seconds by the clock, and those of processors that it used."""
    before = os.times()
    began = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True)
    wall = time.perf_counter() - began
    after = os.times()
    if done.returncode:
        raise SystemExit(f"{line[:4]} failed:\n{done.stderr[-3000:]}")
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout, wall, processor


def show(name: str, values: list[float], unit: str, digits: int) -> None:
    fastest, slowest = (min, max) if unit == "s" else (max, min)
    middle = statistics.median(values)
    print(
        f"  {name:<46}{fastest(values):,.{digits}f}  {middle:,.{digits}f}  {slowest(values):,.{digits}f} {unit}"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", required=True, help="a finished run, for CIFAR-10's images")
    parser.add_argument("--data", type=Path, required=True, help="a folder of class folders of PNG files")
    parser.add_argument(
        "--keras-python", help="the Python of an environment with Keras, TensorFlow and psutil"
    )
    parser.add_argument("--ultralytics", type=Path, help="the command `yolo` of an environment with it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--what", choices=("picture", "folder", "both"), default="both")
    return parser.parse_args()


if __name__ == "__main__":
    main()
