"""Homework 6's path in Keras, for a few steps: arrays resized up front, a frozen MobileNetV2 inside `fit`.

    /path/to/keras/python bench/peers/keras_transfer.py TRAIN_FOLDER [IMAGES]

Prints one line of JSON: seconds of a training and of a validation step of 64 images, bytes of the arrays per image,
and the peak resident memory. The weights are random, which takes as long as ImageNet's. IMAGES (default 1,280) are
resized; the homework resizes 60,000, whose arrays alone are 60,000 x 224 x 224 x 3 x 4 bytes.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.keras import Sequential
from tensorflow.keras.applications import MobileNetV2
from tensorflow.keras.applications.mobilenet_v2 import preprocess_input
from tensorflow.keras.layers import (
    Dense,
    GlobalAveragePooling2D,
    Input,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)

BATCH, WARM_UP = 64, 2


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1280
    images, labels = load(folder, count)
    before = resident_bytes()
    resized = preprocess_input(np.stack([tf.image.resize(image, (224, 224)).numpy() for image in images]))
    array_bytes = resident_bytes() - before
    model = homework()
    train_steps, validation_steps = [], []
    for start in range(0, count, BATCH):
        batch = resized[start : start + BATCH], labels[start : start + BATCH]
        train_steps.append(timed(lambda batch=batch: model.train_on_batch(*batch)))
    for start in range(0, count // 2, BATCH):
        batch = resized[start : start + BATCH], labels[start : start + BATCH]
        validation_steps.append(timed(lambda batch=batch: model.test_on_batch(*batch)))
    print(
        json.dumps(
            {
                "images": count,
                "train_step_seconds": float(np.median(train_steps[WARM_UP:])),
                "validation_step_seconds": float(np.median(validation_steps[WARM_UP:])),
                "array_bytes_per_image": resized[0].nbytes,
                "resident_bytes_for_arrays": array_bytes,
                "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "tensorflow": tf.__version__,
            }
        )
    )


def load(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first images of each class (n, 32, 32, 3) float32 and their labels."""
    classes = sorted(child for child in folder.iterdir() if child.is_dir())
    each = -(-count // len(classes))
    files = [(path, label) for label, c in enumerate(classes) for path in sorted(c.iterdir())[:each]]
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))[:count]]
    pixels = [tf.io.decode_png(tf.io.read_file(str(path)), channels=3).numpy() for path, _ in files]
    return np.stack(pixels).astype(np.float32), np.array([label for _, label in files])


def homework() -> Sequential:
    """The model of homework 6, problem 6."""
    base = MobileNetV2(include_top=False, weights=None, input_shape=(224, 224, 3))
    base.trainable = False
    model = Sequential(
        [
            Input((224, 224, 3)),
            RandomFlip(mode="horizontal"),
            RandomTranslation(0.2, 0.2),
            RandomRotation(0.2),
            RandomZoom(0.2),
            base,
            GlobalAveragePooling2D(),
            Dense(2048, activation="relu"),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["acc"])
    return model


def timed(step) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def resident_bytes() -> int:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
