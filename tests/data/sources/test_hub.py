"""Data sets of the hub, from a stand-in of it: fetched once, pinned to a commit, read as the folder that they are."""

import shutil
from pathlib import Path

import pytest
from corpus import image_folder, pets
from hub_standin import ask_hub, running_hub
from images import random_pixels, save

import tenfold
from tenfold.core.errors import InputError, TenfoldError
from tenfold.data.sources.hub import HubName, parse_name
from tenfold.workbench.request import make_source

NAME = "somebody/pets"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    with running_hub() as hub:
        ask_hub(monkeypatch, hub.address, tmp_path)
        yield hub


def files_of(root: Path) -> dict[str, bytes]:
    """A repository with the files of a folder, a card, and a script that nobody runs."""
    found = {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
    return found | {"README.md": b"---\nlicense: mit\n---\n# Pets\n", "pets.py": b"raise SystemExit(99)"}


def test_a_data_set_is_read_as_its_folder_and_again_without_the_hub(hub, tmp_path, monkeypatch):
    hub.repositories[NAME] = files_of(image_folder(tmp_path / "p"))
    splits = tenfold.load_splits(f"hf:{NAME}")
    assert splits.class_names == ("cat", "dog")
    assert len(splits.test) == 8
    assert splits.fingerprint == tenfold.load_splits(str(tmp_path / "p")).fingerprint
    assert splits.source.data == f"hf:{NAME}@{hub.sha(NAME)}"
    assert not [line for line in hub.requests if "pets.py" in line]
    asked = len(hub.requests)
    assert tenfold.load_splits(splits.source.data).fingerprint == splits.fingerprint
    assert len(hub.requests) == asked  # a commit that is here needs no hub
    ask_hub(monkeypatch, "http://127.0.0.1:9", tmp_path, offline=True)
    assert tenfold.load_splits(f"hf:{NAME}").fingerprint == splits.fingerprint
    with pytest.raises(TenfoldError, match=r"hf:somebody/birds: could not be fetched .*--repo-type dataset"):
        tenfold.load_splits("hf:somebody/birds")


@pytest.mark.usefixtures("undrawn")
def test_a_run_keeps_to_its_commit(hub, tmp_path):
    hub.repositories[NAME] = files_of(pets(tmp_path / "p"))
    small = ["model.filters=[4]", "model.dense=8", "augment=[]", "fit.epochs=1"]
    run = tenfold.train(
        "digits",
        data=f"hf:{NAME}",
        out=tmp_path,
        overrides=[*small, "data.test_fraction=0.25"],
        progress=False,
    )
    before = run.metrics["test"]
    save(tmp_path / "p" / "cat" / "new.png", random_pixels(99_999))
    hub.repositories[NAME] = files_of(tmp_path / "p")
    assert tenfold.evaluate(run.path, progress=False).metrics["test"] == before
    assert [sum(map(len, source)) for source in (tenfold.load_splits(f"hf:{NAME}"), run.splits())] == [25, 24]
    assert f"--data hf:{NAME}@" in run.train_command()


def test_what_was_fetched_in_part_is_fetched_again(hub, tmp_path):
    hub.repositories[NAME] = files_of(pets(tmp_path / "p"))
    whole = tenfold.load_splits(f"hf:{NAME}").fingerprint
    (lost, *_) = (tmp_path / "hub").rglob("cat/*.png")
    lost.unlink()
    shutil.rmtree(tmp_path / "cache" / "packs")
    assert tenfold.load_splits(f"hf:{NAME}").fingerprint == whole


def test_several_configurations_and_splits_of_the_card(hub, tmp_path):
    pets(tmp_path / "p" / "small")
    pets(tmp_path / "p" / "large", seed=500)
    files = files_of(tmp_path / "p")
    card = "---\nconfigs:\n- config_name: small\n- config_name: large\n---\n"
    hub.repositories[NAME] = files | {"README.md": card.encode()}
    with pytest.raises(InputError, match=r"2 configurations \('small', 'large'\).*hf:somebody/pets/FOLDER"):
        tenfold.load_splits(f"hf:{NAME}")
    assert sum(map(len, tenfold.load_splits(f"hf:{NAME}/small"))) == 24
    card = (
        "---\nconfigs:\n- config_name: a\n  data_files:\n  - split: test\n    path: large/*\n"
        "  - split: train\n    path: small/*\n---\n"
    )
    hub.repositories[NAME] = files | {"README.md": card.encode()}
    with pytest.raises(InputError, match=r"its card says that large/.* is of the split 'test', which the"):
        tenfold.load_splits(f"hf:{NAME}")
    with pytest.raises(InputError, match=r"it holds no files of data; its folders are 'large/cat'"):
        tenfold.load_splits(f"hf:{NAME}/medium")


def test_names():
    assert parse_name("hf:a/b/c/d@main") == HubName("a/b", "c/d", "main")
    assert str(parse_name("hf:a/b/c/d@main")) == "hf:a/b/c/d@main"
    for name in ("hf:b", "hf:a/", "hf:a/b/../c", "hf:a b/c"):
        with pytest.raises(InputError, match="OWNER/NAME"):
            parse_name(name)
    with pytest.raises(InputError):
        make_source(data="hf:b")
