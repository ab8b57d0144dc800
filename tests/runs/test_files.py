"""Files as properties of a folder: what is written reads back equal, and what is damaged is named with the remedy."""

import contextlib
import io
import zipfile

import numpy as np
import pytest
import torch
from small import edit_json, flip_byte
from typing_extensions import TypedDict

from tenfold.core.errors import InputError, TenfoldError
from tenfold.recipe import load_recipe
from tenfold.runs.files import (
    Folder,
    JsonFile,
    PicturesFile,
    Place,
    RecipeFile,
    StateFile,
    TensorsFile,
    TextFile,
)

REMEDY = "`mend {run}` makes it anew."
FEW = (None, "too few")


class Shape(TypedDict):
    count: int
    names: list[str]


class Box(Folder):
    """A folder with a file of each kind."""

    facts = JsonFile(
        "facts.json", Shape, remedy=REMEDY, check=lambda value: "too few" if value["count"] < 0 else None
    )
    fixed = JsonFile("fixed.json", list[int], remedy=REMEDY, constant=True)
    text = TextFile("sub/text.txt", remedy=REMEDY)
    recipe = RecipeFile("recipe.toml", remedy=REMEDY)
    tensors = TensorsFile("t.safetensors", remedy=REMEDY)
    state = StateFile("state.safetensors", remedy=REMEDY)
    pictures = PicturesFile("pictures.npz", remedy=REMEDY)
    drawn = Place("drawn")


@pytest.fixture
def box(tmp_path) -> Box:
    return Box(tmp_path / "my box")


FACTS = {"count": 3, "names": ["größe", "\udcff"]}


def refused(box: Box, file: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        getattr(box, file)
    said = str(caught.value)
    assert said.startswith(str(box.path_of(getattr(Box, file))))
    assert words in said
    assert said.endswith(f"`mend '{box.path}'` makes it anew.")


def test_what_is_written_reads_back_equal_and_makes_its_folder(box):
    box.facts, box.text, box.fixed = FACTS, "größe\n", [1, 2]
    assert (box.facts, box.text, box.fixed) == (FACTS, "größe\n", [1, 2])
    assert (box.path / "sub" / "text.txt").is_file()
    assert box.drawn == box.path / "drawn"
    assert repr(box) == f"Box('{box.path}')"


def test_a_file_that_is_not_there_is_none_or_an_error(box):
    assert not box.has(Box.facts)
    assert box.saved(Box.facts) is None
    refused(box, "facts", "there is no such file.")
    box.facts = FACTS
    assert box.has(Box.facts)
    assert box.saved(Box.facts) == FACTS


def test_what_is_constant_is_read_once_and_again_after_it_was_written(box):
    box.fixed = [1]
    assert box.fixed is box.fixed
    (box.path / "fixed.json").write_text("[2]")
    assert box.fixed == [1]
    box.fixed = [3]
    assert box.fixed == [3]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is damaged: it is not valid JSON"),
        (b"[" * 100_000, "is damaged: it is not valid JSON"),
        (b'{"count": NaN, "names": []}', "NaN is no number in JSON"),
        (b"\xff", "is damaged: it is not text in UTF-8"),
        (b'{"count": "3", "names": []}', "is damaged: count: input should be a valid integer"),
        (b'{"count": 3}', "is damaged: names: field required"),
        (b"[]", "is damaged: all of it: "),
        (b'{"count": -1, "names": []}', "is damaged: too few"),
        (b'{"count": 3, "names": [], "blake2b": "0"}', "it has changed since it was written"),
    ],
)
def test_json_that_is_not_what_was_written_is_named(box, content, words):
    box.facts = FACTS
    (box.path / "facts.json").write_bytes(content)
    refused(box, "facts", words)


def test_json_by_hand_needs_no_seal_and_may_hold_more(box):
    box.facts = FACTS
    edit_json(box.path / "facts.json", lambda value: {**value, "later": [1]})
    assert box.facts == {**FACTS, "later": [1]}


def test_a_recipe_reads_back_equal(box):
    box.recipe = load_recipe("digits")
    assert box.recipe == load_recipe("digits")
    other = Box(box.path)
    (box.path / "recipe.toml").write_text("[fit]\nepochs = 'x'\n")
    refused(other, "recipe", "holds no recipe of this tenfold")


def test_a_changed_byte_of_a_recipe_is_noticed_or_changes_nothing(box):
    box.recipe = load_recipe("digits", ["fit.epochs=7"])
    path = box.path / "recipe.toml"
    whole = path.read_bytes()
    harmless = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with contextlib.suppress(InputError):
            assert Box(box.path).recipe == load_recipe("digits", ["fit.epochs=7"])
            harmless += 1
    assert harmless <= 4  # in the words before the hash, which are a comment
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            _ = Box(box.path).recipe


def test_a_recipe_that_was_edited_says_what_to_do(box):
    box.recipe = load_recipe("digits", ["fit.epochs=7"])
    path = box.path / "recipe.toml"
    path.write_text(path.read_text().replace("epochs = 7", "epochs = 9"))
    refused(Box(box.path), "recipe", "remove the first line to go on with this one")
    path.write_text(path.read_text().partition("\n")[2])
    assert Box(box.path).recipe.fit.epochs == 9


def test_tensors_read_back_and_a_checkpoint_is_written_elsewhere(box):
    box.tensors = {"w": torch.arange(3.0)}
    assert box.tensors["w"].tolist() == [0, 1, 2]
    flip_byte(box.path / "t.safetensors", -1)
    refused(box, "tensors", "is damaged: its tensors have changed")
    with pytest.raises(TypeError, match="save_checkpoint"):
        box.state = None


def test_pictures_read_back_equal(box):
    positions, pictures = np.array([4, 2]), np.full((2, 3, 5, 3), 7, np.uint8)
    box.pictures = (positions, pictures)
    for found, given in zip(box.pictures, (positions, pictures), strict=True):
        np.testing.assert_array_equal(found, given)


def huge() -> bytes:
    """An array whose header promises more than any memory holds."""
    header, file = io.BytesIO(), io.BytesIO()
    shape = (1 << 40, 100, 100, 3)
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("positions.npy", header.getvalue())
        archive.writestr("pictures.npy", header.getvalue())
    return file.getvalue()


def saved(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


PICTURES = np.zeros((2, 3, 3, 3), np.uint8)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        huge(),
        saved(positions=np.arange(2)),
        saved(positions=np.arange(3), pictures=PICTURES),
        saved(positions=np.arange(2.0), pictures=PICTURES),
        saved(positions=np.arange(2), pictures=PICTURES / 2),
        saved(positions=np.arange(2), pictures=PICTURES[..., :2]),
        saved(positions=np.array([{}, {}]), pictures=PICTURES),
    ],
)
def test_pictures_that_are_none_are_named(box, content):
    box.pictures = (np.arange(2), PICTURES)
    (box.path / "pictures.npz").write_bytes(content)
    refused(box, "pictures", "is damaged")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TenfoldError, match=str(tmp_path / "file")):
        Box(tmp_path / "file").text = "x"
