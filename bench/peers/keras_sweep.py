"""Homework 3's loop in Keras: one model after another, the best epoch of each kept; see bench/sweep.py.

    /path/to/keras/python bench/peers/keras_sweep.py IMAGES.npz EPOCHS SIZE [SIZE ...]

Prints one line of JSON: for each number of filters the seconds of every epoch and of everything around them
(building, compiling, saving).
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers


class Epochs(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seconds, self.began = [], time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        self.seconds.append(now - self.began)
        self.began = now


def main() -> None:
    images, epochs, *sizes = sys.argv[1:]
    with np.load(images) as arrays:
        train = arrays["x_train"].astype("float32") / 255, arrays["y_train"]
        validation = arrays["x_val"].astype("float32") / 255, arrays["y_val"]
    measured = {size: train_size(int(size), int(epochs), train, validation) for size in sizes}
    versions = f"Keras {keras.__version__}, TensorFlow {tf.__version__}"
    print(json.dumps({"sizes": measured, "versions": versions}))


def train_size(filters: int, epochs: int, train, validation) -> dict:
    began = time.perf_counter()
    model = keras.Sequential(
        [
            layers.Input(train[0].shape[1:]),
            layers.Conv2D(filters, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(int(train[1].max()) + 1, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = Epochs()
    with tempfile.TemporaryDirectory() as folder:
        best = keras.callbacks.ModelCheckpoint(
            Path(folder) / "best.keras", monitor="val_accuracy", save_best_only=True
        )
        model.fit(
            *train,
            validation_data=validation,
            epochs=epochs,
            batch_size=64,
            verbose=0,
            callbacks=[best, clock],
        )
    return {"epochs": clock.seconds, "around": time.perf_counter() - began - sum(clock.seconds)}


if __name__ == "__main__":
    main()
