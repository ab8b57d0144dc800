"""A small frozen backbone, and its features by plain PyTorch."""

import numpy as np
import torch
from networks import transfer_network

from tenfold.augment import build_augmentations
from tenfold.models import Classifier, build_model
from tenfold.recipe import load_recipe
from tenfold.training.feature_cache import Views

CPU = torch.device("cpu")


SMALL = {"model.backbone": "test_efficientnet", "model.weights": "none", "model.image_size": 32}


PLAIN = Views(1, build_augmentations((), 10), 0)


def quiet(done: int, total: int) -> None:
    """A progress that nobody watches."""


def small_model(splits, seed=0, **options) -> Classifier:
    recipe = load_recipe("backbone", SMALL | {f"model.{name}": value for name, value in options.items()})
    return build_model(recipe.model, splits.image_shape, len(splits.class_names), seed=seed)


class Slow:
    """Plain PyTorch features, counting the images; it fails when `left` batches are done."""

    def __init__(self, model: Classifier, left: int = 10**9) -> None:
        self.model, self.left, self.images = model.eval(), left, 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.images += len(pixels)
        with torch.inference_mode():
            images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
            found = transfer_network(self.model).extractor((images - self.model.mean) / self.model.deviation)
        return found.permute(0, 2, 3, 1).numpy().astype(np.float16)


def same_features(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal up to float16's last bit: a batch of another size may be summed in another order."""
    np.testing.assert_allclose(found.astype(np.float32), expected.astype(np.float32), rtol=2e-3, atol=1e-5)
