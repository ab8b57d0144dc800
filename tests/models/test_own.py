"""A module of the user's own becomes a network by one call, or is refused with what would help."""

import own_models
import pytest
import torch
from networks import OWN, SHAPE, built
from torch import Tensor, nn

from tenfold.core.errors import InputError
from tenfold.models import (
    OwnModel,
    Preprocessing,
    build_model,
    named_model,
    wrap,
)
from tenfold.recipe.components import Choice


def test_a_wrapped_module_sees_what_its_preprocessing_says():
    class Mean(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean((2, 3)).expand(-1, 10)

    images = torch.full((2, 1, 8, 8), 51, dtype=torch.uint8)
    assert torch.allclose(built(Mean())(images), torch.full((2, 10), 0.2))
    centred = wrap(Mean(), preprocessing=Preprocessing((50.0,), (2.0,)))
    assert torch.allclose(built(centred)(images), torch.full((2, 10), 0.5))


def test_weights_are_drawn_from_the_seed_and_a_given_module_is_copied():
    first, again, other = (built(own_models.make, seed=seed).state_dict() for seed in (1, 1, 2))
    name = "network.module.convolution.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])
    mine = own_models.make(SHAPE, 10)
    model = built(mine)
    assert torch.equal(model.state_dict()[name], mine.state_dict()["convolution.weight"])
    with torch.no_grad():
        next(model.parameters()).zero_()
    assert mine.state_dict()["convolution.weight"].any()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (own_models.features_only, r"made \(2, 4, 6, 6\) of two images; expected logits of shape \(2, 10\)"),
        (own_models.not_a_module, "gave Tensor; expected a torch.nn.Module"),
        (own_models.Smooth, r"cannot take two images|cannot be called|failed"),
        (lambda: own_models.make(SHAPE, 10), "calling it with the image shape"),
        (nn.Linear(3, 10), r"cannot take two images of shape \(1, 8, 8\).*data.image_size"),
        (nn.Identity(), "expected logits"),
    ],
)
def test_what_is_no_classifier_is_refused(make, match):
    with pytest.raises((InputError, TypeError), match=match):
        built(make)


def test_a_model_that_is_not_handed_over_again_is_not_imported():
    with pytest.raises(InputError, match="add --model somewhere:make --trust-code") as caught:
        build_model(Choice(name="own", code="somewhere:make", structure=""), SHAPE, 10)
    assert "tenfold.load_run(RUN, model=...)" in str(caught.value)


def test_other_layers_than_those_trained_are_refused_even_where_the_weights_would_fit():
    noted = built(own_models.make).architecture
    assert noted.options["code"] == "own_models:make"
    assert built(own_models.make, noted).architecture == noted
    with pytest.raises(InputError, match="has other layers than the one that was trained"):
        built(own_models.smooth, noted)


def test_the_same_layers_with_other_code_are_refused_but_comments_may_change(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    text = (
        "from torch import nn\nclass Small(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.layer = nn.Linear(64, 10)\n    def forward(self, images):\n"
        "        return self.layer(images.flatten(1))\ndef make(image_shape, classes):\n    return Small()\n"
    )

    def built_from(name: str, text: str, choice: Choice = OWN) -> Choice:
        (tmp_path / f"{name}.py").write_text(text)
        found = named_model(f"{name}:make", trusted=True)
        return build_model(choice, SHAPE, 10, own=found).architecture

    noted = built_from("first", text)
    assert noted.options["source"]
    described = text.replace("nn.Linear(64, 10)", "nn.Linear(64, 10)  # one layer")
    described = described.replace("Small(nn.Module):\n", 'Small(nn.Module):\n    """A layer."""\n')
    assert built_from("second", described, noted).options["source"] == noted.options["source"]
    with pytest.raises(InputError, match="has other code than the one that was trained"):
        built_from("third", text.replace("flatten(1)", "flatten(1).tanh()"), noted)


def test_a_built_in_model_takes_no_other():
    with pytest.raises(InputError, match="the model is tenfold's own single-conv"):
        built(own_models.make, Choice(name="single-conv", filters=2, dense=2))


def test_code_is_imported_only_when_it_is_named_and_confirmed(tmp_path, monkeypatch):
    (tmp_path / "telltale.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\nfrom own_models import make\nnumber = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="If you trust it, add --trust-code"):
        named_model("telltale:make", trusted=False)
    assert not (tmp_path / "ran").exists()
    found = named_model("telltale:make", trusted=True)
    assert isinstance(found, OwnModel)
    assert found.code == "telltale:make"
    assert (tmp_path / "ran").exists()
    assert found.build(SHAPE, 10)(torch.zeros(1, *SHAPE)).shape == (1, 10)
    for code, match in (
        ("telltale", "expected PACKAGE.MODULE:NAME"),
        ("telltale:absent", "telltale has no 'absent'"),
        ("telltale:number", "expected a torch.nn.Module or a function"),
        ("no_such_module_here:make", "cannot be imported: ModuleNotFoundError"),
    ):
        with pytest.raises(InputError, match=match):
            named_model(code, trusted=True)
    with pytest.raises(InputError, match="which code"):
        named_model(None, trusted=True)
    assert named_model(None, trusted=False) is None
