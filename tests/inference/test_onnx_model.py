import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from tenfold import kernels
from tenfold.core.errors import TenfoldError
from tenfold.inference.onnx_model import onnx_model, trace, write_onnx
from tenfold.models import Classifier, Preprocessing, WholeClassifier, build_model, wrap
from tenfold.recipe.components import Choice

SHAPE = (3, 40, 32)
NAMES = ("2", "10", "Äpfel, rote", "猫")
BACKBONE = {"weights": "none", "image_size": 64}
# timm's smallest network of the default backbone's kind: what is beside it is exported alike.
SMALLEST = {**BACKBONE, "backbone": "test_efficientnet"}
KINDS = {
    "single-conv": ("single-conv", {}, SHAPE),
    "gray": ("model-s", {"filters": (16, 32)}, (1, 8, 8)),
    "model-s": ("model-s", {}, SHAPE),
    "model-s-deep": ("model-s-deep", {}, SHAPE),
    "three-conv-gap": ("three-conv-gap", {}, SHAPE),
    "swift": ("swift", {}, SHAPE),
    "swift, mirrored": ("swift", {"views": 2, "activation": "silu"}, SHAPE),
    "swift, six views": ("swift", {"views": 6, "padded": True, "activation": "gelu"}, SHAPE),
    "frozen": ("backbone", BACKBONE, SHAPE),
    "frozen, gray": ("backbone", {**SMALLEST, "stages": 2}, (1, 28, 28)),
    "frozen, map": ("backbone", {**SMALLEST, "features": "map", "head": "mlp"}, SHAPE),
    "fine-tuned": ("backbone", {**BACKBONE, "backbone": "resnet18", "unfreeze": "all"}, SHAPE),
    "transformer": ("backbone", {"backbone": "test_vit", "weights": "none"}, SHAPE),
}


def classifier_of(name: str, options: dict, shape: tuple[int, int, int]) -> Classifier:
    """A model of which every number is its own, as after training."""
    model = build_model(Choice(name=name, **options), shape, len(NAMES), seed=1).train()
    generator = torch.Generator().manual_seed(2)
    for value in model.parameters():
        value.data += 0.02 * torch.randn(value.shape, generator=generator)
    for name, value in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            value += 0.1 * torch.rand(value.shape, generator=generator)
    return model


def images_of(model: Classifier, count: int) -> np.ndarray:
    channels, height, width = model.image_shape
    return np.random.default_rng(3).integers(0, 256, (count, height, width, channels), np.uint8)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def session_of(path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_answers_as_pytorch_does_for_any_number_of_images(kind, tmp_path):
    model = classifier_of(*KINDS[kind])
    write_onnx(model, tmp_path / "model.onnx", NAMES, temperature=1.7)
    assert model.training
    session = session_of(tmp_path / "model.onnx")
    for count in (1, 2, 5):
        images = images_of(model, count)
        logits, probabilities, predicted = session.run(None, {"images": images})
        with torch.inference_mode():
            expected = model.eval()(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
        model.train()
        assert np.ptp(expected) > 1e-3
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=2e-5 * np.abs(expected).max())
        np.testing.assert_allclose(probabilities, softmax(expected / 1.7), atol=2e-5)
        assert predicted.tolist() == [NAMES[index] for index in expected.argmax(1)]


@pytest.mark.slow
def test_the_file_says_what_it_is_and_nothing_of_this_machine(tmp_path):
    path = tmp_path / "model.onnx"
    model = classifier_of(*KINDS["model-s"])
    write_onnx(model, path, NAMES, temperature=1.5, metadata={"licence": "CC0"})
    session = session_of(path)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["class_names"]) == list(NAMES)
    assert json.loads(about["image_shape"]) == [40, 32, 3]
    assert (about["temperature"], about["licence"]) == ("1.5", "CC0")
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["batch", 40, 32, 3])
    assert [(output.name, output.shape) for output in session.get_outputs()] == [
        ("logits", ["batch", 4]),
        ("probabilities", ["batch", 4]),
        ("predicted", ["batch"]),
    ]
    onnx.checker.check_model(path, full_check=True)
    assert b".py" not in path.read_bytes()
    first = path.read_bytes()
    write_onnx(model, path, NAMES, temperature=1.5, metadata={"licence": "CC0"})
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.slow
def test_of_equal_logits_the_first_class_is_named(tmp_path):
    model = build_model(Choice(name="backbone", **BACKBONE), SHAPE, len(NAMES))  # its head starts from zero
    write_onnx(model, tmp_path / "model.onnx", NAMES)
    logits, _, predicted = session_of(tmp_path / "model.onnx").run(None, {"images": images_of(model, 2)})
    assert not logits.any()
    assert predicted.tolist() == ["2", "2"]


def test_what_suits_the_kernels_is_exported_as_pytorchs_operators():
    layer = nn.Conv2d(16, 16, 3)

    class Wide(nn.Module):
        def forward(self, images):
            return kernels.conv3x3(images, layer.weight, layer.bias, 1, True)

    images = torch.rand(2, 16, 8, 8)
    operators = {node.op_type for node in onnx_model(trace(Wide(), images)).graph.node}
    assert operators == {"Conv", "MaxPool"}


class Own(nn.Module):
    """What a user may have brought: PyTorch's own layers, a residual and attention over places."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 5, stride=4), nn.GroupNorm(4, 16), nn.GELU())
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, len(NAMES))

    def forward(self, images):
        places = self.stem(images).flatten(2).transpose(1, 2)
        mixed, _ = self.attention(places, places, places, need_weights=False)
        return self.head((places + mixed).mean(1))


@pytest.mark.slow
def test_a_users_own_network_is_exported_too(tmp_path):
    torch.manual_seed(4)
    model = WholeClassifier(
        Own(), Choice(name="model-s"), SHAPE, len(NAMES), Preprocessing((120.0,), (60.0,))
    ).eval()
    write_onnx(model, tmp_path / "model.onnx", NAMES)
    session = session_of(tmp_path / "model.onnx")
    for count in (1, 7):
        images = images_of(model, count)
        with torch.inference_mode():
            expected = model(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
        np.testing.assert_allclose(session.run(["logits"], {"images": images})[0], expected, atol=2e-5)


class Counting(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :2] * float(images.max())


def test_a_network_whose_course_depends_on_the_images_is_refused_with_the_reason(tmp_path):
    model = WholeClassifier(wrap(Counting()), Choice(name="model-s"), (1, 4, 4), 2, Preprocessing())
    with pytest.raises(TenfoldError, match=r"cannot be exported: .*forward method"):
        write_onnx(model, tmp_path / "model.onnx", ("a", "b"))
    assert not list(tmp_path.iterdir())
