import numpy as np
import pytest
import torch
from constructed import digits_run
from torch import nn

from tenfold.findings.explain import (
    CORRUPTIONS,
    STRENGTHS,
    MapsOf,
    explain,
    grad_cam,
    last_maps,
    overlay,
    robustness,
)
from tenfold.models import build_model
from tenfold.recipe.components import Choice
from tenfold.report import write_report


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return digits_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def model():
    return build_model(Choice(name="model-s", filters=(8, 8), dense=16), (1, 8, 8), 10)


class Detector(nn.Module):
    """Says class 1 as strongly as the image has bright pixels, through one convolution that copies them."""

    def __init__(self):
        super().__init__()
        self.copy = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.copy.weight)
        self.copy.requires_grad_(False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images):
        bright = self.relu(self.copy(images.float())).mean((1, 2, 3))
        return torch.stack([-bright, bright], dim=1)


def test_grad_cam_looks_where_the_evidence_is():
    images = torch.zeros(2, 1, 8, 8)
    images[0, 0, 1, 2] = images[1, 0, 6, 5] = 255
    model = Detector()
    heat = grad_cam(model, MapsOf(model.copy, given=False), images, np.array([1, 1]))
    assert [np.unravel_index(warmth.argmax(), warmth.shape) for warmth in heat] == [(1, 2), (6, 5)]
    assert heat.max() == 1
    against = grad_cam(model, MapsOf(model.copy, given=False), images, np.array([0, 0]))
    assert against.max() == 0


class TokenAttention(nn.Module):
    """Passes tokens on as they are; what it is called is what counts."""

    def forward(self, tokens):
        return tokens


class TokenDetector(nn.Module):
    """As `Detector`, by tokens of 2x2 pixels behind one for the class, which attention is given."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(1, 1, 2, 2, bias=False)
        nn.init.ones_(self.patch.weight)
        self.attention = TokenAttention()

    def forward(self, images):
        patches = self.patch(images).flatten(2).transpose(1, 2)
        tokens = self.attention(torch.cat([torch.zeros_like(patches[:, :1]), patches], 1))
        bright = tokens[:, 1:].mean((1, 2))
        return torch.stack([-bright, bright], dim=1)


def test_the_tokens_of_attention_are_laid_out_as_the_image_is():
    images = torch.zeros(2, 1, 8, 8)
    images[0, 0, 1, 2] = images[1, 0, 6, 5] = 255
    model = TokenDetector()
    layer = last_maps(model)
    assert layer is not None
    assert layer.layer is model.attention
    heat = grad_cam(model, layer, images, np.array([1, 1]))
    blocks = [warmth.reshape(4, 2, 4, 2).mean((1, 3)) for warmth in heat]
    assert [np.unravel_index(block.argmax(), block.shape) for block in blocks] == [(0, 1), (3, 2)]


def test_a_transformer_gets_its_maps_and_windows_get_none(model):
    import timm

    images, classes = torch.rand(2, 3, 160, 160) * 255, np.array([1, 2])
    vit = timm.create_model("test_vit", num_classes=3).eval()
    heat = grad_cam(vit, last_maps(vit), images, classes)
    assert heat.shape == (2, 160, 160)
    assert heat.max() <= 1
    windows = timm.create_model("swin_tiny_patch4_window7_224", num_classes=3, depths=(1, 1, 1, 1)).eval()
    layer = last_maps(windows)
    assert heat is not None
    # The last stage has a single window here; an earlier one has many.
    first = next(m for m in windows.modules() if "Attention" in type(m).__name__)
    assert layer is not None
    assert grad_cam(windows, MapsOf(first, given=True), torch.rand(2, 3, 224, 224), classes) is None


def test_the_last_convolution_is_found(model):
    assert last_maps(model).layer is [m for m in model.modules() if isinstance(m, nn.Conv2d)][-1]
    assert last_maps(nn.Sequential(nn.Linear(2, 2))) is None


@pytest.mark.slow
def test_explanations_are_saved_and_shown(run, model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert explain(run, model, run.splits().test)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with np.load(run.path / "gradcam.npz", allow_pickle=False) as saved:
        assert saved["pictures"].shape == (len(saved["positions"]), 8, 8, 3)
    page = write_report(run, run.splits()).read_text()
    assert "Grad-CAM" in page
    assert "<td>MaxPool2d</td><td>8 × 4 × 4</td>" in page
    assert 'class="g g-0"' in page


@pytest.mark.slow
def test_robustness_is_saved_and_shown(run, model):
    saved = robustness(run, model, run.splits().test, limit=50)
    assert saved["images"] == 50
    assert set(saved["accuracy"]) == set(CORRUPTIONS)
    assert all(len(values) == STRENGTHS for values in saved["accuracy"].values())
    assert 'id="robustness"' in write_report(run, run.splits()).read_text()
    assert (run.figures / "robustness.svg").is_file()


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_corruptions_grow_with_their_strength(name, channels):
    y, x = np.mgrid[:32, :32]
    image = (127 + 80 * np.sin(x / 3) * np.cos(y / 4))[..., None].repeat(channels, axis=2).astype(np.uint8)
    images = np.stack([image, image[::-1]])
    kept = images.copy()
    changes = [np.abs(CORRUPTIONS[name](images, k).astype(float) - images).mean() for k in range(STRENGTHS)]
    assert (images == kept).all()
    assert changes[0] > 0
    assert changes == sorted(changes)
    result = CORRUPTIONS[name](images, 2)
    assert result.shape == images.shape
    assert result.dtype == np.uint8


def test_an_overlay_keeps_the_image_where_the_heat_is_and_pales_the_rest():
    heat = np.zeros((200, 100), np.float32)
    heat[:100] = 1
    colour = np.array([200, 100, 0], np.uint8)
    picture = overlay(np.broadcast_to(colour, (200, 100, 3)), heat)
    assert picture.shape == (96, 48, 3)
    assert picture[10, 10].tolist() == colour.tolist()
    assert picture[80, 10].tolist() == [200, 200, 200], "grey, and nearer to white"
