"""What needs the model to be explained, saved as plain files in the run folder, so that a report never needs it.

`layers.json` lists the model's layers; `gradcam.npz` holds, for the images that a report shows, where the model
looked; `robustness.json` the accuracy on corrupted test images. All are optional: a report is complete without them.
"""

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from tenfold.core.axes import channels_first
from tenfold.findings.picks import picks
from tenfold.models import summarise

if TYPE_CHECKING:
    from tenfold.data import Split
    from tenfold.models import Classifier
    from tenfold.runs.folder import Run

Pixels = NDArray[np.uint8]

# Pictures are for a page, so they need no more pixels than it shows.
PICTURE_SIDE = 96
ROBUSTNESS_IMAGES = 1000
BATCH = 200
# A backbone keeps every layer's maps for the way back: some 20 MiB an image, whatever size the pixels have.
CAM_BATCH = 4
# Tokens before the patches', at most: one for the class, one for a teacher, four registers.
MOST_PREFIXES = 6


def explain(run: "Run", model: "Classifier", test: "Split", device: str | torch.device = "cpu") -> bool:
    """Save the model's layers, and Grad-CAM pictures of the telling test images.

    False where the model has no maps or tokens to look at, and so no pictures are saved.
    """
    run.layers = [{**asdict(layer), "output_shape": list(layer.output_shape)} for layer in summarise(model)]
    answers = run.predictions("test")
    chosen = picks(answers.labels, answers.probabilities)
    positions = np.array(
        sorted({position for group in chosen.values() for position in group}), dtype=np.int64
    )
    if not len(positions):
        return False
    pictures: dict[int, Pixels] = {}
    for answering, asked in _answering(run, model, positions):
        heat = _heat(answering, test.images(asked), answers.predicted[asked], device)
        if heat is None:
            return False
        shown = map(overlay, test.images(asked), heat)
        pictures |= dict(zip(asked.tolist(), shown, strict=True))
    run.gradcam = positions, np.stack([pictures[position] for position in positions.tolist()])
    return True


def _answering(
    run: "Run", model: "Classifier", positions: NDArray[np.int64]
) -> "Iterator[tuple[Classifier, NDArray[np.int64]]]":
    """Test positions with the model that answered them: `model`, or that of the fold which tested an image."""
    folds = run.predictions("test").folds
    if folds is None:
        yield model, positions
        return
    for number in np.unique(folds[positions]).tolist():
        yield run.folds[number - 1].model(), positions[folds[positions] == number]


def _heat(
    model: "Classifier", images: Pixels, classes: NDArray[Any], device: str | torch.device
) -> NDArray[np.float32] | None:
    """Where in each of `images` (n, H, W, C) the model found its class: (n, H, W); None where it has no such maps."""
    layer = last_maps(model.to(device).eval())
    if layer is None:
        return None
    parts = [slice(start, start + CAM_BATCH) for start in range(0, len(images), CAM_BATCH)]
    heat = [grad_cam(model, layer, _tensor(images[part], device), classes[part]) for part in parts]
    found = [one for one in heat if one is not None]
    return np.concatenate(found) if len(found) == len(heat) else None


@dataclass(frozen=True, eq=False)
class MapsOf:
    """A layer whose maps or tokens Grad-CAM weighs: what it gives, or for attention what it is given."""

    layer: nn.Module
    given: bool

    def hook(self, keep: Callable[[Tensor], Tensor]) -> RemovableHandle:
        """Show each map to `keep`, and go on with what that returns."""
        if self.given:

            def shown(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
                return (keep(given[0]), *given[1:]) if given else None

            return self.layer.register_forward_pre_hook(shown)

        def given_on(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return keep(output)

        return self.layer.register_forward_hook(given_on)


def last_maps(model: nn.Module) -> MapsOf | None:
    """The last attention's tokens, in a model that has any; else the last convolution's maps, or None."""
    modules = list(reversed(list(model.modules())))
    attention = next((one for one in modules if "Attention" in type(one).__name__), None)
    if attention is not None:
        return MapsOf(attention, given=True)
    convolution = next((one for one in modules if isinstance(one, nn.Conv2d)), None)
    return None if convolution is None else MapsOf(convolution, given=False)


def grad_cam(
    model: nn.Module, layer: MapsOf, images: Tensor, classes: NDArray[Any]
) -> NDArray[np.float32] | None:
    """Where in `images` (N, C, H, W) the model found each one's class: (N, H, W), from 0 to 1 in each image.

    R. R. Selvaraju et al., "Grad-CAM", ICCV 2017: a layer's maps, weighted by the mean gradient of the class's logit,
    and only where they speak for it. Tokens are laid out as the patches that they stand for; None where they are not
    of a whole image, as in windows.
    """
    maps: list[Tensor] = []

    def keep(output: Tensor) -> Tensor:
        output.retain_grad()
        maps.append(output)
        return output.clone()  # What follows may work in place, which would change the maps.

    handle = layer.hook(keep)
    try:
        # With a gradient at the input, frozen layers have one too.
        logits = model(images.float().requires_grad_(True))
        logits[torch.arange(len(images)), torch.as_tensor(classes, device=logits.device)].sum().backward()
    finally:
        handle.remove()
        model.zero_grad(set_to_none=True)
    if not maps or maps[-1].grad is None:
        return None
    found, weights = _laid_out(maps[-1].detach(), len(images)), _laid_out(maps[-1].grad, len(images))
    if found is None or weights is None:
        return None
    found = found if layer.given else found.relu()
    heat = (weights.mean((2, 3), keepdim=True) * found).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return (heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12)).cpu().numpy()


def _laid_out(maps: Tensor, images: int) -> Tensor | None:
    """(N, C, h, w) of maps as they are, or of tokens (N, T, C) whose last ones are the patches of a square image."""
    if maps.dim() == 4 and len(maps) == images:
        return maps
    if maps.dim() != 3 or len(maps) != images:
        return None
    side = math.isqrt(maps.shape[1])
    # What is over stands for the class, or for nothing ("registers").
    if maps.shape[1] - side**2 > MOST_PREFIXES:
        return None
    patches = maps[:, maps.shape[1] - side**2 :]
    return patches.transpose(1, 2).reshape(images, -1, side, side)


def overlay(image: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """The image as it is where the model looked, paler and without colour elsewhere: (h, w, 3) uint8.

    At most PICTURE_SIDE on a side. No colour is laid over the image, which would hide one of 32 pixels.
    """
    pixels = np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.float32)
    pale = 255 - 0.35 * (255 - pixels.mean(axis=2, keepdims=True))
    seen = heat[..., None]
    picture = Image.fromarray(np.clip(seen * pixels + (1 - seen) * pale, 0, 255).astype(np.uint8))
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture)


# Robustness --------------------------------------------------------------------------------------------------


def noise(images: Pixels, strength: int) -> Pixels:
    """Gaussian noise."""
    deviation = 255 * (0.04, 0.06, 0.08, 0.10, 0.14)[strength]
    random = np.random.default_rng(strength)
    return _clipped(images + random.normal(0, deviation, images.shape))


def blur(images: Pixels, strength: int) -> Pixels:
    """Gaussian blur, wider on larger images."""
    radius = (0.4, 0.6, 0.8, 1.0, 1.4)[strength] * max(1.0, max(images.shape[1:3]) / 32)
    return _each(images, lambda picture: picture.filter(ImageFilter.GaussianBlur(radius)))


def brightness(images: Pixels, strength: int) -> Pixels:
    """Every pixel brighter by the same amount."""
    return _clipped(images + 255.0 * (0.05, 0.1, 0.15, 0.2, 0.3)[strength])


def contrast(images: Pixels, strength: int) -> Pixels:
    """Pixels drawn together towards the image's own mean."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return _clipped(mean + (images - mean) * (0.75, 0.6, 0.45, 0.3, 0.15)[strength])


def jpeg(images: Pixels, strength: int) -> Pixels:
    """JPEG compression."""
    quality = (80, 65, 50, 35, 20)[strength]

    def compressed(picture: Image.Image) -> Image.Image:
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=quality)
        return Image.open(data)

    return _each(images, compressed)


# Strengths follow the small images of D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to
# common corruptions and perturbations", ICLR 2019, and go a little further at the end.
CORRUPTIONS: dict[str, Callable[[Pixels, int], Pixels]] = {
    "noise": noise,
    "blur": blur,
    "brightness": brightness,
    "contrast": contrast,
    "JPEG": jpeg,
}
STRENGTHS = 5


def robustness(
    run: "Run",
    model: "Classifier",
    test: "Split",
    device: str | torch.device = "cpu",
    limit: int = ROBUSTNESS_IMAGES,
) -> dict[str, Any]:
    """Accuracy on up to `limit` test images under every corruption at five strengths, saved in the run folder."""
    positions = np.sort(np.random.default_rng(0).permutation(len(test))[:limit])
    right = {name: np.zeros(STRENGTHS, np.int64) for name in CORRUPTIONS}
    clean = 0
    for answering, asked in _answering(run, model, positions):
        images, labels = test.images(asked), np.asarray(test.labels)[asked]
        answering.to(device).eval()
        clean += _right(answering, images, labels, device)
        for name, corrupt in CORRUPTIONS.items():
            for strength in range(STRENGTHS):
                right[name][strength] += _right(answering, corrupt(images, strength), labels, device)
    saved = {
        "images": len(positions),
        "clean": clean / len(positions),
        "accuracy": {name: (counts / len(positions)).tolist() for name, counts in right.items()},
    }
    run.robustness = saved
    return saved


@torch.inference_mode()
def _right(model: nn.Module, images: Pixels, labels: NDArray[Any], device: str | torch.device) -> int:
    right = 0
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        predicted = model(_tensor(images[part], device)).argmax(1).cpu().numpy()
        right += int((predicted == labels[part]).sum())
    return right


def _tensor(images: Pixels, device: str | torch.device) -> Tensor:
    return channels_first(torch.from_numpy(np.ascontiguousarray(images))).to(device)


def _clipped(images: NDArray[Any]) -> Pixels:
    return np.clip(np.round(images), 0, 255).astype(np.uint8)


def _each(images: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    """Apply a change of one picture to each of (N, H, W, C), grayscale or colour."""
    gray = images.shape[-1] == 1
    pictures = (Image.fromarray(image[..., 0] if gray else image) for image in images)
    changed = np.stack([np.asarray(change(picture)) for picture in pictures])
    return changed[..., None] if gray else changed
