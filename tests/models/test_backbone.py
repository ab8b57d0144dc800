"""A pretrained backbone under a head: its images, its features, and which of its stages learn."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import transfer_network
from sklearn.datasets import load_sample_image
from torch.nn import functional as F

from tenfold.core.errors import InputError
from tenfold.models import Classifier, build_model, summarise
from tenfold.models.backbone import Resize
from tenfold.models.weights import PACKAGES, local_weights, put_weights
from tenfold.recipe import load_recipe
from tenfold.recipe.components import Choice
from tenfold.runs.folder import Run
from tenfold.training.loop import fit

SMALL = {"backbone": "test_efficientnet", "weights": "none", "image_size": 32}
PALACE, DAISY = 698, 985  # ImageNet's numbers of what is on scikit-learn's two sample pictures


def small(image_shape=(3, 16, 16), classes=3, seed=0, **options) -> Classifier:
    return build_model(Choice(name="backbone", **{**SMALL, **options}), image_shape, classes, seed=seed)


@settings(max_examples=30)
@given(
    st.integers(4, 40),
    st.integers(4, 40),
    st.integers(4, 60),
    st.sampled_from(["bilinear", "bicubic"]),
    st.integers(),
)
def test_resizing_by_matrices_is_pytorchs_antialiased_interpolation(height, width, size, mode, seed):
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed % 2**63)) * 255
    expected = F.interpolate(images, (size, size), mode=mode, antialias=True)
    torch.testing.assert_close(Resize(height, width, size, mode)(images), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("picture", "label", "backbone"),
    # The flower is a dahlia, which ImageNet does not have; the larger ones do not take it for a daisy with certainty.
    [("flower.jpg", DAISY, "tf_efficientnet_lite0"), *(("china.jpg", PALACE, name) for name in PACKAGES)],
)
def test_the_backbones_of_packages_know_real_pictures(picture, label, backbone):
    pixels = load_sample_image(picture)
    height, width, _ = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    model = build_model(
        Choice(name="backbone", backbone=backbone), (3, side, side), 2, pretrained=True
    ).eval()
    whole = timm.create_model(backbone).eval()
    file = local_weights(backbone)
    assert file is not None
    put_weights(whole, file)
    with torch.no_grad():
        images = (torch.from_numpy(square).permute(2, 0, 1)[None].float() - model.mean) / model.deviation
        features = transfer_network(model).extractor(images)
        assert features.shape == (1, 1280, 1, 1)
        assert whole.get_classifier()(features.flatten(1)).argmax().item() == label  # pyright: ignore


def test_preprocessing_is_the_backbones_own():
    model = build_model(Choice(name="backbone", backbone="mobilenetv2_100", weights="none"), (3, 32, 32), 2)
    assert model.preprocessing.mean == pytest.approx((123.675, 116.28, 103.53))
    assert model.preprocessing.deviation == pytest.approx((58.395, 57.12, 57.375))
    assert transfer_network(model).extractor.image_size == 224
    assert transfer_network(model).extractor.interpolation == "bicubic"


def test_gray_images_are_seen_as_gray_colour_images():
    gray, colour = small((1, 16, 16)).eval(), small((3, 16, 16)).eval()
    images = torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8)
    with torch.no_grad():
        inputs = [
            (x.float() - m.mean) / m.deviation
            for x, m in ((images, gray), (images.expand(-1, 3, -1, -1), colour))
        ]
        first, second = (
            transfer_network(m).extractor(x) for m, x in zip((gray, colour), inputs, strict=True)
        )
    torch.testing.assert_close(first, second)


def test_features_are_the_backbones_pooled_ones_with_averages_of_the_last_stages_before_them():
    plain, staged = small().eval(), small(stages=2).eval()
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        own, more = (transfer_network(m).extractor(images)[:, :, 0, 0] for m in (plain, staged))
        network, resized = (
            transfer_network(plain).extractor.network,
            transfer_network(plain).extractor.resize(images),
        )
        maps = network.forward_intermediates(resized, indices=2, intermediates_only=True)
    expected = torch.cat([*(m.mean((2, 3)) for m in maps), own], 1)
    torch.testing.assert_close(more, expected)
    torch.testing.assert_close(own, network(resized))


def test_a_map_is_flattened_as_keras_does():
    model = small(features="map", image_size=64, head="mlp", dense=4, backbone="test_resnet")
    channels, height, width = transfer_network(model).extractor.feature_shape
    assert height == width == 2
    assert transfer_network(model).head[2].weight.shape == (4, channels * height * width)  # pyright: ignore
    assert "fc" not in "".join(name for name, _ in transfer_network(model).extractor.named_parameters())
    assert model(torch.zeros(2, 3, 16, 16)).shape == (2, 3)
    assert summarise(model)[-1].output_shape == (3,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "tf_efficentnet_lite0"}, "no such model .*did you mean 'tf_efficientnet_lite0'"),
        ({"backbone": "resnet18.a1_in2k"}, "no weights 'a1_in2k' .*did you mean 'a1_in1k'"),
        ({"image_size": 16}, "one feature from every 32x32 pixels.* larger model.image_size"),
        ({"backbone": "test_vit", "image_size": 96}, "takes images of 160x160 only"),
        ({"stages": 9}, "has 5 stages"),
    ],
)
def test_what_cannot_be_built_is_explained(options, message):
    with pytest.raises(InputError, match=message):
        small(**options)


def test_rebuilding_needs_no_weights_file(tmp_path):
    model = build_model(
        Choice(name="backbone", **{**SMALL, "weights": str(tmp_path / "gone.pth")}), (3, 16, 16), 3
    )
    assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 3)
    with pytest.raises(InputError, match=r"gone\.pth.*no such file"):
        build_model(model.architecture, (3, 16, 16), 3, pretrained=True)


def changed_after_training(model: Classifier, steps: int = 2) -> set[str]:
    """The names of all parameters and averages that a few steps of SGD change."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()
    for step in range(steps):
        images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(step)) * 255
        F.cross_entropy(model(images), torch.tensor([0, 1, 2, 0, 1, 2])).backward()
        optimizer.step()
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def test_a_frozen_backbone_changes_in_nothing():
    assert {name.split(".")[1] for name in changed_after_training(small())} == {"head"}


def test_only_the_last_stages_learn_and_batch_norm_keeps_its_averages():
    changed = changed_after_training(small(unfreeze=1, head="mlp", dense=8))
    blocks = {
        name.split("network.extractor.network.")[1].split(".")[0] for name in changed if "extractor" in name
    }
    assert blocks <= {"blocks", "conv_head", "bn2"}
    assert not any("blocks.0" in name or "conv_stem" in name for name in changed)
    assert not any("running" in name for name in changed)


def test_batch_norm_adapts_when_it_is_told_to():
    changed = changed_after_training(small(unfreeze="all", norm="adapted", head="mlp", dense=8))
    assert any("running_mean" in name for name in changed)
    assert any("conv_stem" in name for name in changed)


def test_stages_unfreeze_one_by_one_and_earlier_ones_learn_more_slowly():
    model = small(unfreeze=3, gradual=2, layer_decay=0.5)
    network = transfer_network(model)
    learning = []
    for epoch in range(1, 9):
        model.begin_epoch(epoch)
        learning.append(sum(all(p.requires_grad for p in stage) for stage in network.stages))
    assert learning == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [group["lr_scale"] for group in model.parameter_groups()] == [1.0, 0.5, 0.25, 0.125]


def test_fit_gives_each_stage_its_own_rate_and_resumes_a_gradual_one_exactly(few_digits, tmp_path):
    recipe = load_recipe(
        "fine-tune",
        {
            "fit.epochs": 3,
            "model.backbone": "test_efficientnet",
            "model.weights": "none",
            "model.image_size": 32,
        }
        | {"augment": [], "optimizer.lr": 0.01, "model.unfreeze": 2},
    )
    tiny = replace(few_digits, train=replace(few_digits.train, rows=few_digits.train.rows[:64]))

    def model() -> Classifier:
        return build_model(recipe.model, (1, 8, 8), 10)

    whole, begun, resumed = model(), model(), model()
    for name in ("whole", "begun"):
        (tmp_path / name).mkdir()
    assert len(list(fit(whole, tiny, recipe, Run(tmp_path / "whole")))) == 3
    epochs = fit(begun, tiny, recipe, Run(tmp_path / "begun"))
    next(epochs), next(epochs)
    epochs.close()  # pyright: ignore
    assert len(list(fit(resumed, tiny, recipe, Run(tmp_path / "begun"), resume=True))) == 1
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
