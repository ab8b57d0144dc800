"""The notebooks' Keras code on TensorFlow, as written there; see bench/notebook_speed.py.

Run with a Python that has tensorflow. Two things are added: only so many batches are taken, and the seconds from the
start of the last `fit` to the end of its last step are printed. Notebook 01 has no augmentation and no batch norm,
notebook 03 both.

With --seed instead, the notebook is trained whole, with its callbacks, and tested on the epoch that it keeps; a line
an epoch goes before the report:

    /path/to/keras/python bench/peers/keras_notebook.py --data cifar10 --recipe model-s-baseline --seed 0
"""

import argparse
import json
import os
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
from keras import layers, models, optimizers, regularizers
from keras.utils import image_dataset_from_directory

IMG_SIZE, BATCH_SIZE, NUM_CLASSES = 32, 64, 10
TRAIN = ("train1", "train3", "train4", "train5")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--warmup", type=int)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    notebook = {"model-s-baseline": notebook_01, "model-s-augmented": notebook_03}[options.recipe]
    if options.seed is not None:
        whole(notebook, options.data, options.seed)
        return
    model = notebook()
    for steps in (options.warmup, options.steps):
        batches, clock = dataset(options.data, steps), Clock()
        began, used = time.perf_counter(), time.process_time()
        model.fit(batches, epochs=1, verbose=0, callbacks=[clock])
        until_return, used = time.perf_counter() - began, time.process_time() - used
    versions = f"Keras {keras.__version__}, TensorFlow {tf.__version__}"
    report = {
        "seconds": clock.end - began,
        "fit_seconds": until_return,
        "cpu_seconds": used,
        "versions": versions,
    }
    print(json.dumps(report))


class Clock(keras.callbacks.Callback):
    """When the last step ended. After it, `fit` may wait for up to as long again before it returns (docs/log.md)."""

    def on_train_batch_end(self, batch, logs=None):
        self.end = time.perf_counter()


def whole(notebook, data, seed):
    keras.utils.set_random_seed(seed)
    model = notebook()
    began = time.perf_counter()
    history = model.fit(
        dataset(data, -1),
        epochs=30,
        validation_data=folder_of(data, "train2"),
        callbacks=[
            keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=3),
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=6, restore_best_weights=True),
        ],
        verbose=2,
    ).history
    seconds = time.perf_counter() - began
    losses, rates = history["val_loss"], history["learning_rate"]
    best = losses.index(min(losses))
    report = {
        "seed": seed,
        "test_accuracy": model.evaluate(folder_of(data, "test"), verbose=0)[1],
        "seconds": round(seconds),
        "epochs": len(losses),
        "best_epoch": best + 1,
        "first_drop_after": sum(rate > 0.99 * rates[0] for rate in rates),
        "validation_accuracy_at_best": history["val_accuracy"][best],
        "validation_accuracy_at_end": history["val_accuracy"][-1],
    }
    print(json.dumps(report))


def folder_of(data, name):
    return image_dataset_from_directory(
        f"{data}/{name}", image_size=(IMG_SIZE, IMG_SIZE), batch_size=BATCH_SIZE, verbose=False
    )


def dataset(data, steps):
    folders = [folder_of(data, name) for name in TRAIN]
    batches = folders[0]
    for folder in folders[1:]:
        batches = batches.concatenate(folder)
    return batches.take(steps).shuffle(buffer_size=1000).prefetch(buffer_size=tf.data.AUTOTUNE)


def compiled(inputs, outputs, optimizer):
    model = models.Model(inputs=inputs, outputs=outputs)
    model.compile(
        optimizer=optimizer, loss=keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"]
    )
    return model


def notebook_01():
    inputs = keras.Input(shape=(IMG_SIZE, IMG_SIZE, 3))
    x = layers.Rescaling(1.0 / 255)(inputs)
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters=filters, kernel_size=3, activation="relu", padding="same")(x)
        x = layers.MaxPooling2D(pool_size=2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    outputs = layers.Dense(NUM_CLASSES, activation="softmax")(x)
    return compiled(inputs, outputs, optimizers.SGD(learning_rate=0.01, momentum=0.9))


def notebook_03():
    augmentation = keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.05),
            layers.RandomZoom(0.05),
            layers.RandomContrast(0.05),
            layers.RandomBrightness(0.05),
        ]
    )
    inputs = keras.Input(shape=(IMG_SIZE, IMG_SIZE, 3))
    x = layers.Rescaling(1.0 / 255)(augmentation(inputs))
    for filters in (32, 64, 128):
        for _ in range(2):
            x = layers.Conv2D(
                filters=filters,
                kernel_size=3,
                activation="relu",
                kernel_regularizer=regularizers.L2(1e-5),
                padding="same",
            )(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(pool_size=2)(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.Dense(256, activation="relu", kernel_regularizer=regularizers.L2(1e-4))(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(NUM_CLASSES, activation="softmax", kernel_regularizer=regularizers.L2(1e-4))(x)
    return compiled(inputs, outputs, optimizers.Adam(learning_rate=0.001))


if __name__ == "__main__":
    main()
