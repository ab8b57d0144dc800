"""What the verbs that only look at things print."""

import re

import pytest
from PIL import Image
from rich.console import Console

from tenfold.core.errors import InputError
from tenfold.models import build_model
from tenfold.recipe.components import Choice
from tenfold.workbench.show import layers_table, picture_recipe, show_cache, show_recipe


def test_a_model_is_a_table_of_its_layers():
    model = build_model(Choice(name="model-s", filters=(4,), dense=5), (1, 8, 8), 3)
    console = Console(width=100)
    with console.capture() as capture:
        console.print(layers_table(model))
    said = capture.get()
    assert "model-s for images of 8x8x1 in 3 classes" in said
    assert re.search(r"Dense +│ 3 +│ +18 │", said)
    assert "383 parameters, 383 of them trainable" in said  # 40 + 325 + 18


def test_a_recipe_is_shown_for_the_images_that_it_is_for(capsys):
    show_recipe("model-s-baseline", ["fit.epochs=3"], None)
    assert "images of 32x32x3 in 10 classes" in capsys.readouterr().out
    show_recipe("digits", ["fit.epochs=3"], None)
    said = capsys.readouterr().out
    assert "epochs = 3" in said
    assert "images of 8x8x1 in 10 classes" in said


def test_augmentations_are_pictured_or_there_are_none(tmp_path):
    picture_recipe("digits", [], "digits", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 100
    with pytest.raises(InputError, match=r"recipe 'digits' has no \[\[augment\]\] table"):
        picture_recipe("digits", ["augment=[]"], "digits", tmp_path / "b.png")


def test_the_cache_is_listed_and_emptied(own_cache, capsys):
    from tenfold.data import Source, read_splits
    from tenfold.recipe import Data

    read_splits(Data(), Source("digits"))
    for kept in ("features/one", "features/two"):
        (own_cache / kept).mkdir(parents=True)
        (own_cache / kept / "features.json").write_text("{}")
    show_cache(clear=False)
    said = capsys.readouterr().out
    assert "digits" in said
    assert "features of 2 splits " in said
    assert re.search(r"together +[0-9.]+ MiB", said)
    show_cache(clear=True)
    assert "MiB removed from" in capsys.readouterr().out
    assert not list((own_cache / "packs").glob("*.u8"))
    show_cache(clear=False)
    assert re.search(r"together +0\.0 MiB", capsys.readouterr().out)
