"""Keras' own way for a folder of pictures, from scratch, until the minutes are over; see bench/peers.py.

    PYTHON bench/peers/minutes_keras.py --data FOLDER --until TIME --out PREDICTIONS.json

Needs TensorFlow. As Keras' documentation has it ("image classification from scratch"): a small Xception of separable
convolutions, flips and rotations, Adam; the epoch is kept that is best on validation.
Keras brings no weights with its package.
"""

import time

import keras
import numpy as np
from given_minutes import arguments, pictures, write
from keras import layers
from keras.utils import image_dataset_from_directory
from PIL import Image

LARGEST, TESTING = 180, 0.12


class UntilOver(keras.callbacks.Callback):
    """Stops when the time is over, within an epoch if need be, and before an epoch that would not end in time."""

    def __init__(self, end):
        self.end = end

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.time()

    def on_train_batch_end(self, batch, logs=None):
        if time.time() > self.end:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if 2 * time.time() - self.began > self.end:
            self.model.stop_training = True


def main() -> None:
    data, until, out = arguments()
    keras.utils.set_random_seed(0)
    train, test = pictures(data / "train"), pictures(data / "test")
    side = min(LARGEST, *Image.open(train[0][0]).size)
    both = {"seed": 0, "image_size": (side, side), "batch_size": 32, "verbose": False}
    learned = image_dataset_from_directory(data / "train", **both)
    judged = image_dataset_from_directory(data / "val", **both)
    names = learned.class_names
    model = xception(side, len(names))
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    best = keras.callbacks.ModelCheckpoint("best.weights.h5", save_best_only=True, save_weights_only=True)
    over = UntilOver(until - TESTING * (until - time.time()))
    history = model.fit(learned, validation_data=judged, epochs=1000, callbacks=[best, over], verbose=0)
    model.load_weights("best.weights.h5")
    images = np.stack([opened(path, side) for path, _ in test])
    said = [names[place] for place in model.predict(images, verbose=0).argmax(1)]
    write(out, test, said, f"small Xception from scratch, {side} px, {len(history.history['loss'])} epochs")


def opened(path, side):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))


def xception(side, classes):
    inputs = keras.Input((side, side, 3))
    x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(inputs))
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Activation("relu")(
        layers.BatchNormalization()(layers.Conv2D(128, 3, strides=2, padding="same")(x))
    )
    before = x
    for width in (256, 512, 728):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.BatchNormalization()(layers.SeparableConv2D(width, 3, padding="same")(x))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        before = layers.Conv2D(width, 1, strides=2, padding="same")(before)
        x = before = layers.add([x, before])
    x = layers.Activation("relu")(
        layers.BatchNormalization()(layers.SeparableConv2D(1024, 3, padding="same")(x))
    )
    x = layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


if __name__ == "__main__":
    main()
