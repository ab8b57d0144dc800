"""The page of a comparison."""

from constructed import answered_run, digits_run, rights
from small import edit_recipe

from tenfold.comparison import compare


def test_seeds_of_one_recipe_make_a_page_without_pairs(tmp_path):
    for seed in (0, 1):
        answered_run(tmp_path / f"plain-{seed}", rights(60, 0.7, seed), seed=seed)
    found = compare([tmp_path / "plain-0", tmp_path / "plain-1"], tmp_path / "out")
    assert found.sentences == []
    assert "All runs repeat one recipe" in found.page.read_text()


def test_the_images_of_real_runs_are_in_the_page(tmp_path):
    digits_run(tmp_path / "weak", strength=0.003)
    strong = digits_run(tmp_path / "strong", strength=3, seed=1)
    edit_recipe(strong.path / "recipe.toml", "epochs = 20", "epochs = 21")
    page = compare([tmp_path / "weak", tmp_path / "strong"], tmp_path / "out").page.read_text()
    assert "image/webp" in page
    assert "strong right, weak wrong" in page
