"""Every file of a source is used, or left out and why: the account, on sources as people have them."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from corpus import (
    JUNK,
    bomb,
    damaged,
    float_tiff,
    iphone,
    littered,
    pets,
    picture,
    twins,
    wide_png,
    write_dicom,
    write_heic,
)
from images import all_paths, class_folders, load, random_pixels, refused, save
from PIL import Image
from small import SMALL

from tenfold.core.errors import InputError, TenfoldError
from tenfold.data import Splits
from tenfold.data.decode import decode
from tenfold.findings import find, gather
from tenfold.recipe import Data
from tenfold.runs.folder import load_run


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TENFOLD_CACHE", str(folder))
    return folder


def accounted(splits: Splits) -> int:
    """The files that the account names: used, unreadable, and left out."""
    assert splits.reading is not None
    left_out = sum(entry.files for entry in splits.reading.left_out)
    return sum(map(len, splits)) + len(splits.bad_files) + left_out


def files_below(root: Path) -> int:
    return sum(path.is_file() or path.is_symlink() for path in root.rglob("*"))


def left_out(splits: Splits) -> dict[tuple[str, str], int]:
    assert splits.reading is not None
    return {(entry.ending, entry.reason): entry.files for entry in splits.reading.left_out}


def pixels_of(splits: Splits, path: str) -> np.ndarray:
    """The image of `path` as training sees it: (H, W, C)."""
    for split in splits:
        if path in list(split.paths):
            position = list(split.paths).index(path)
            return split.images(slice(position, position + 1))[0]
    raise AssertionError(f"{path} is in no split")


# The account -------------------------------------------------------------------------------------------------


def test_every_file_is_used_or_left_out_and_why(tmp_path):
    iphone(tmp_path)
    splits = load(tmp_path)
    assert accounted(splits) == files_below(tmp_path) == 24 + 8
    unread = "not a picture format that is read"
    assert left_out(splits) == {
        (".txt", unread): 2,
        (".mov", unread): 1,
        (".cr2", unread): 1,
        (".svg", unread): 1,
        (".npy", unread): 1,
        ("", unread): 1,
        (".png", "hidden"): 1,
    }


def test_the_account_in_terminal_json_and_data_json(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    iphone(tmp_path / "photos")
    (tmp_path / "photos" / "cat" / "bad.png").write_bytes(b"no picture")
    said = command("inspect", "photos", "--json")
    facts = json.loads(said.out)
    assert {entry["ending"]: entry["files"] for entry in facts["left_out"] if entry["ending"] == ".txt"} == {
        ".txt": 2
    }
    assert [bad["path"] for bad in facts["bad_files"]] == ["cat/bad.png"]
    lines = command("inspect", "photos").out
    assert "understood as 2 classes ('cat', 'dog') in photos: 24 images" in lines
    assert "8 files that gave no image: 2 .txt" in lines
    trained = command(
        *("train", "digits", "--data", "photos", *SMALL, "data.bad_files_limit=1", "--name", "run")
    )
    assert trained.status == 0, trained.err
    assert "8 files that gave no image: 2 .txt" in trained.out + trained.err
    kept = json.loads((tmp_path / "runs" / "run" / "data.json").read_text())
    assert kept["left_out"] == facts["left_out"]
    assert kept["bad_files"] == facts["bad_files"]
    assert kept["layout"] == facts["layout"]


def test_litter_is_neither_class_nor_image(tmp_path):
    littered(tmp_path)
    splits = load(tmp_path)
    assert splits.class_names == ("cat", "dog")
    assert not [path for path in all_paths(splits) if any(name in path for name in JUNK)]
    assert sum(map(len, splits)) == 24
    assert accounted(splits) == files_below(tmp_path) == 24 + 2 * len(JUNK)


def test_litter_in_an_archive(tmp_path):
    from images import packed

    archive = packed(littered(tmp_path / "photos"), tmp_path / "photos.zip")
    splits = load(archive)
    assert splits.class_names == ("cat", "dog")
    assert accounted(splits) == 24 + 2 * len(JUNK)


def test_inspecting_a_folder_twice_does_not_take_its_own_pages(tmp_path, command, monkeypatch):
    monkeypatch.chdir(pets(tmp_path))
    first = json.loads(command("inspect", ".", "--json").out)
    assert command("inspect", ".").status in {0, 1}
    trained = command("train", "digits", "--data", ".", *SMALL, "--name", "run")
    assert trained.status == 0, trained.err
    again = json.loads(command("inspect", ".", "--json").out)
    assert again["class_names"] == first["class_names"] == ["cat", "dog"]
    assert again["counts"] == first["counts"]


# Formats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.ppm", {}),
        ("a.jp2", {"irreversible": False}),
        ("a.tga", {}),
        ("a.ico", {"sizes": [(16, 16)]}),
        ("a.avif", {"quality": 100, "subsampling": "4:4:4"}),
        ("a.heic", {}),
        ("a.tiff", {}),
        ("a.webp", {"lossless": True}),
        ("a.PNG", {}),
        ("a.jfif", {"quality": 100, "subsampling": 0, "format": "JPEG"}),
    ],
)
def test_formats_that_are_read(tmp_path, name, options):
    pets(tmp_path)
    wanted = picture()
    path = tmp_path / "cat" / name
    write_heic(path, wanted) if name.endswith("heic") else wanted.save(path, **options)
    splits = load(tmp_path, image_size=16)
    assert accounted(splits) == files_below(tmp_path)
    assert splits.bad_files == ()
    found = pixels_of(splits, f"cat/{name}").astype(int)
    assert np.abs(found - np.asarray(wanted, int)).max() <= (
        12 if name[2:] in {"avif", "heic", "jfif"} else 0
    )


@pytest.mark.parametrize("name", ["a.pgm", "a.pbm"])
def test_gray_and_black_and_white_maps(tmp_path, name):
    pets(tmp_path)
    values = np.tile(np.array([0, 255], np.uint8), (8, 4))
    image = Image.fromarray(values)
    (image.convert("1") if name == "a.pbm" else image).save(tmp_path / "cat" / name)
    assert (pixels_of(load(tmp_path), f"cat/{name}")[..., 0] == values).all()


def test_dicom_8_bits_and_inverted(tmp_path):
    values = random_pixels(1)[..., 0]
    plain = write_dicom(tmp_path / "plain.dcm", values)
    inverted = write_dicom(tmp_path / "inverted.dcm", values, PhotometricInterpretation="MONOCHROME1")
    assert (decode(str(plain), None)[0][..., 0] == values).all()
    assert (decode(str(inverted), None)[0][..., 0] == 255 - values).all()


def test_a_source_of_12_bit_dicom_keeps_its_levels(tmp_path):
    for number, name in enumerate(("ill", "well")):
        for i in range(12):
            values = np.random.default_rng(100 * number + i).integers(0, 4096, (8, 8), np.uint16)
            write_dicom(tmp_path / name / f"{i}.dcm", values, BitsStored=12, HighBit=11)
    splits = load(tmp_path)
    assert splits.reading is not None
    assert splits.reading.target.whole_range == (0, 4095)
    assert len(np.unique(splits.train.images(slice(None)))) > 200


def test_what_an_extra_would_read_is_left_out_with_its_name(tmp_path, monkeypatch):
    from tenfold.data import formats

    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    pets(tmp_path)
    write_heic(tmp_path / "cat" / "a.heic", picture())
    write_dicom(tmp_path / "dog" / "a.dcm", random_pixels(1)[..., 0])
    splits = load(tmp_path)
    assert left_out(splits) == {
        (".heic", "needs the extra: pip install 'tenfold[heic]'"): 1,
        (".dcm", "needs the extra: pip install 'tenfold[dicom]'"): 1,
    }


# Values of more than 8 bits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 4095, (0, 4095)),
        (0, 255, (0, 255)),
        (0, 65535, (0, 65535)),
        (1000, 3000, (1000, 3000)),
        (0, 900, (0, 1023)),
    ],
)
def test_16_bits_are_scaled_by_the_range_of_the_source(tmp_path, low, high, wanted):
    for name in ("cat", "dog"):
        for i in range(8):
            wide_png(tmp_path / name / f"{i}.png", low + i, high if i else high - 1)
    splits = load(tmp_path)
    assert splits.reading is not None
    assert splits.reading.target.whole_range == wanted
    values = np.concatenate([split.images(slice(None)).ravel() for split in splits])
    assert len(np.unique(values)) > 60
    assert values.max() == round(255 * (high - wanted[0]) / (wanted[1] - wanted[0]))
    assert splits.describe()["decoding"]["whole_range"] == wanted


def test_a_dark_picture_stays_darker_than_a_bright_one(tmp_path):
    for name in ("cat", "dog"):
        for i in range(8):
            wide_png(tmp_path / name / f"{i}.png", 0, 2000 if i % 2 else 4000)
    splits = load(tmp_path)
    dark, bright = (int(pixels_of(splits, f"cat/{name}.png").max()) for name in "12")
    assert dark == round(255 * 2000 / 4095)
    assert bright == round(255 * 4000 / 4095)


@pytest.mark.parametrize(("low", "high", "wanted"), [(0, 1, (0, 1)), (0, 255, (0, 255)), (-3, 12, (-3, 12))])
def test_floating_point_is_scaled_by_the_range_of_the_source(tmp_path, low, high, wanted):
    for name in ("cat", "dog"):
        for i in range(8):
            float_tiff(tmp_path / name / f"{i}.tif", low, high if i else high / 2)
    splits = load(tmp_path)
    assert splits.reading is not None
    assert splits.reading.target.real_range == pytest.approx(wanted)
    assert pixels_of(splits, "cat/1.tif").max() == 255
    assert pixels_of(splits, "cat/0.tif").max() < 255


def test_mixed_ranges_are_said(tmp_path):
    for name in ("cat", "dog"):
        for i in range(8):
            wide_png(tmp_path / name / f"{i}.png", 0, 255 if i < 4 else 65535)
    assert [notice for notice in load(tmp_path).notices if "the ranges may be mixed" in notice]


def test_8_and_16_bits_side_by_side_are_said(tmp_path):
    pets(tmp_path)
    wide_png(tmp_path / "cat" / "wide.png", 0, 4095)
    assert [
        notice for notice in load(tmp_path).notices if "of 8 bits (24) and of more (1) are mixed" in notice
    ]


@pytest.mark.parametrize("ending", ["gif", "tif", "webp", "png"])
def test_frames_that_are_not_used_are_said(tmp_path, ending):
    pets(tmp_path)
    frames = [Image.fromarray(random_pixels(seed)) for seed in (1, 2, 3)]
    frames[0].save(tmp_path / "cat" / f"many.{ending}", save_all=True, append_images=frames[1:])
    notices = load(tmp_path).notices
    assert [notice for notice in notices if notice.startswith("1 file with several frames")], notices
    frames[0].save(tmp_path / "cat" / f"many.{ending}")
    assert not [notice for notice in load(tmp_path).notices if "frames" in notice]


# Shape -------------------------------------------------------------------------------------------------------


def oblong(root: Path, width: int, height: int) -> Path:
    for number, name in enumerate(("cat", "dog")):
        for i in range(8):
            save(root / name / f"{i}.png", random_pixels(50 * number + i, height, width))
    save(root / "cat" / "other.png", random_pixels(999, height, width + 1))
    return root


@pytest.mark.parametrize(("width", "fit"), [(200, "pad"), (24, "crop")])
def test_fit_is_chosen_by_the_share_that_cropping_takes(tmp_path, width, fit):
    splits = load(oblong(tmp_path, width, 20), image_size=16)
    assert splits.reading is not None
    assert splits.reading.target.fit == fit
    assert splits.reading.cropped == pytest.approx(1 - 20 / width, abs=0.01)
    assert splits.describe()["decoding"]["fit"] == fit
    assert [notice for notice in splits.notices if f"{1 - 20 / width:.0%}" in notice], splits.notices


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_fit_as_wanted(tmp_path, fit):
    oblong(tmp_path, 80, 20)
    edges = np.full((20, 80, 3), 128, np.uint8)
    edges[:, :10] = edges[:, -10:] = 255
    save(tmp_path / "cat" / "edges.png", edges)
    splits = load(tmp_path, image_size=16, fit=fit)
    found = pixels_of(splits, "cat/edges.png")[..., 0]
    if fit == "crop":
        assert found.max() < 140, "the ends are cut off"
    elif fit == "pad":
        assert found[0].max() == found[-1].max() == 0
        assert found[8, 0] > 240
    else:
        assert found[0, 0] > 240
        assert found[0].min() > 100


def test_one_large_colour_picture_among_small_gray_ones_changes_nothing(tmp_path):
    for number, name in enumerate(("cat", "dog")):
        for i in range(60):
            save(tmp_path / name / f"{i}.png", random_pixels(100 * number + i, channels=1))
    save(tmp_path / "cat" / "odd.png", random_pixels(7, 32, 32))
    splits = load(tmp_path)
    assert splits.image_shape == (1, 8, 8)
    assert [
        notice for notice in splits.notices if "1 image of another size" in notice and "cat/odd.png" in notice
    ]
    assert [notice for notice in splits.notices if "1 colour image among gray ones" in notice]


# Names -------------------------------------------------------------------------------------------------------


def test_composed_and_decomposed_names_are_one_class(tmp_path):
    class_folders(tmp_path, {"caf\u00e9": 8, "cafe\u0301 ": 8, "tea": 12})
    splits = load(tmp_path)
    assert splits.class_names == ("caf\u00e9", "tea")
    assert sum(map(len, splits)) == 28
    assert [notice for notice in splits.notices if "2 folders whose names look alike" in notice]


def test_a_test_folder_in_the_other_form_is_the_same_class(tmp_path):
    class_folders(tmp_path / "train", {"caf\u00e9": 8, "tea": 8})
    class_folders(tmp_path / "test", {"cafe\u0301": 3, "tea ": 3}, seed=50)
    splits = load(tmp_path)
    assert splits.class_names == ("caf\u00e9", "tea")
    assert len(splits.test) == 6


def test_upper_and_lower_case_stay_apart_and_are_said(tmp_path):
    class_folders(tmp_path, {"Cat": 8, "cat": 8})
    splits = load(tmp_path)
    assert splits.class_names == ("Cat", "cat")
    assert "the classes 'Cat' and 'cat' differ only in upper and lower case" in splits.notices


def test_control_characters_never_reach_the_terminal_raw(tmp_path, command):
    class_folders(tmp_path, {"c\x1b[31mat": 8, "d\nog": 8})
    (tmp_path / "d\nog" / "b\x1bad.png").write_bytes(b"no")
    said = command("inspect", tmp_path)
    assert "\x1b" not in said.out + said.err
    assert "c\\x1b[31mat" in said.out
    assert "d\\nog" in said.out


def test_natural_order_of_numbered_classes(tmp_path):
    class_folders(tmp_path, {"c1": 5, "c10": 5, "c2": 5})
    assert load(tmp_path).class_names == ("c1", "c2", "c10")


# The cache ---------------------------------------------------------------------------------------------------


def test_folders_of_the_same_name_size_and_time_are_told_apart(tmp_path, monkeypatch):
    twins(tmp_path)
    found = {}
    for place in ("p1", "p2", "p1", "p2"):
        monkeypatch.chdir(tmp_path / place)
        splits = load("data")
        wanted = np.asarray(Image.open("data/cat/3.bmp"))
        assert (pixels_of(splits, "cat/3.bmp") == wanted).all()
        found.setdefault(place, set()).add(splits.fingerprint)
    assert len(found["p1"]) == len(found["p2"]) == 1
    assert found["p1"] != found["p2"]


def test_folders_of_the_same_name_do_not_evict_each_other(tmp_path, monkeypatch, own_cache):
    from tenfold.data import Source, read_splits

    twins(tmp_path)
    decoded: list[int] = []
    for place in ("p1", "p2", "p1", "p2"):
        monkeypatch.chdir(tmp_path / place)
        seen = [0]
        read_splits(Data(), Source("data"), lambda done, total, seen=seen: seen.append(done))
        decoded.append(seen[-1])
    assert decoded == [24, 24, 0, 0]


def test_a_link_to_a_source_has_the_same_pack(tmp_path, own_cache):
    pets(tmp_path / "data")
    (tmp_path / "link").symlink_to("data")
    load(tmp_path / "data")
    load(tmp_path / "link")
    assert Counter(path.suffix for path in (own_cache / "packs").iterdir())[".lock"] <= 2


def test_bytes_tell_files_apart_whose_facts_are_the_same(tmp_path):
    """A source put back from a backup tool that keeps times: here by the bytes of the sample alone."""
    from tenfold.data.sources.tree import sampled_bytes as _sampled

    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"a" * 9000)
    for changed in (0, 4600, 8999):
        contents = bytearray(b"a" * 9000)
        contents[changed] = ord("b")
        other.write_bytes(contents)
        assert _sampled([str(one)]) != _sampled([str(other)]), changed


def test_verify_compares_every_image_with_the_cache(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pets(tmp_path / "data")
    assert "verified: no image differs" in command("inspect", "data", "--verify").out
    load(tmp_path / "data")
    assert "verified: no image differs" in command("inspect", "data", "--verify").out
    save(tmp_path / "data" / "cat" / "3.png", random_pixels(4242))
    trained = command("train", "digits", "--data", "data", *SMALL, "--verify")
    assert trained.status == 0, trained.err
    assert "verified: 1 image changed since the cache was made" in trained.out
    assert json.loads(command("inspect", "data", "--json", "--verify").out)["class_names"] == ["cat", "dog"]


@pytest.mark.parametrize("name", ["digits", "cifar100"])
def test_a_folder_called_like_a_known_source_is_never_hidden(tmp_path, command, monkeypatch, name):
    from tenfold import load_splits

    monkeypatch.chdir(tmp_path)
    pets(tmp_path / name)
    said = command("inspect", name)
    assert said.status == 2
    assert f"Write ./{name} for the one that is here" in said.err
    assert command("train", "digits", "--data", name, *SMALL).status == 2
    assert json.loads(command("inspect", f"./{name}", "--json").out)["class_names"] == ["cat", "dog"]
    assert load_splits(Path(name)).class_names == ("cat", "dog")


@pytest.mark.parametrize("place", ["/proc/nope", "/dev/null/cache"])
def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch, place):
    monkeypatch.setenv("TENFOLD_CACHE", place)
    pets(tmp_path)
    with pytest.raises(TenfoldError, match=place):
        load(tmp_path)


# Damage and danger -------------------------------------------------------------------------------------------


def test_pictures_that_promise_too_many_pixels(tmp_path):
    pets(tmp_path)
    bomb(tmp_path / "cat" / "00.png")
    bomb(tmp_path / "cat" / "01.png", 8200, 8200)  # below Pillow's own limit
    splits = load(tmp_path, bad_files_limit=0.5)
    reasons = {bad.path: bad.reason for bad in splits.bad_files}
    assert reasons.keys() == {"cat/00.png", "cat/01.png"}
    assert "too much memory" in reasons["cat/00.png"]
    assert "it has 8200 x 8200 pixels; more than 67,108,864 are not decoded" in reasons["cat/01.png"]


@pytest.mark.parametrize("at", [16, 30, 45, 60, -12])
def test_garbled_chunks_are_bad_files(tmp_path, at):
    pets(tmp_path)
    source = tmp_path / "cat" / "0.png"
    damaged(source, tmp_path / "cat" / "000.png", at % source.stat().st_size)
    splits = load(tmp_path, bad_files_limit=0.5)
    assert accounted(splits) == 25
    assert {bad.path for bad in splits.bad_files} <= {"cat/000.png"}


def test_a_bmp_with_flipped_header_bits(tmp_path):
    pets(tmp_path)
    good = save(tmp_path / "good.bmp", random_pixels(1))
    for at in range(10, 34, 2):
        damaged(good, tmp_path / "cat" / f"0{at}.bmp", at, 2)
    good.unlink()
    splits = load(tmp_path, bad_files_limit=1)
    assert accounted(splits) == 24 + 12
    assert splits.bad_files


def test_damage_among_the_first_images_does_not_stop_a_plan(tmp_path):
    from tenfold.data import Source
    from tenfold.data.loading import typical_size

    pets(tmp_path)
    bomb(tmp_path / "cat" / "000.png")
    damaged(tmp_path / "cat" / "0.png", tmp_path / "cat" / "001.png", 30)
    assert typical_size(Data(), Source(str(tmp_path))) == 8


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
def test_only_regular_files_are_read(tmp_path):
    pets(tmp_path)
    (tmp_path / "cat" / "kernel.png").symlink_to("/proc/kmsg")
    (tmp_path / "cat" / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "cat" / "gone.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    splits = load(tmp_path, bad_files_limit=0.5)
    assert {bad.path for bad in splits.bad_files} == {
        f"cat/{name}.png" for name in ("kernel", "zero", "gone", "pipe")
    }
    assert sum(map(len, splits)) == 24


@pytest.mark.parametrize("data", ["", "  "])
def test_an_empty_source_is_said(data):
    with pytest.raises(InputError, match="--data is empty"):
        load(data)


# Splits ------------------------------------------------------------------------------------------------------


def test_exact_copies_across_splits_are_said_before_the_first_epoch(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pets(tmp_path / "data" / "train")
    class_folders(tmp_path / "data" / "test", {"cat": 4, "dog": 4}, seed=500)
    for i in range(3):
        # The same pixels in another file.
        Image.open(tmp_path / "data" / "train" / "cat" / f"{i}.png").save(
            tmp_path / "data" / "test" / "cat" / f"copy{i}.bmp"
        )
    splits = load(tmp_path / "data", validation_fraction=0.1)
    assert [splits.test.paths[i] for i in splits.copies("test", "train", "validation")] == [
        f"test/cat/copy{i}.bmp" for i in range(3)
    ]
    copied = [
        notice for notice in splits.notices if "test images (" in notice and "are also in the" in notice
    ]
    assert sum(int(notice.split()[0]) for notice in copied) == 3
    said = command("train", "digits", "--data", "data", *SMALL, "--name", "run")
    assert said.status == 0, said.err
    text = said.out + said.err
    assert copied[0] in text
    assert text.index(copied[0]) < text.index("epoch")
    verdict = [finding.sentence for finding in find(gather(load_run("run"))) if finding.section == "verdict"]
    assert [
        line for line in verdict if line.startswith("3 of 11 test images are also training or validation")
    ]


def test_white_borders_make_no_copies(tmp_path):
    for number, name in enumerate(("cat", "dog")):
        for i in range(10):
            pixels = np.full((40, 40, 3), 255, np.uint8)
            pixels[16:24, 2:6] = random_pixels(100 * number + i, 8, 4)
            save(tmp_path / name / f"{i}.png", pixels)
    splits = load(tmp_path, image_size=8)
    assert splits.notices == ()


def test_training_and_testing_on_the_same_folder_is_said(tmp_path):
    from tenfold.data import Source, read_splits

    pets(tmp_path)
    splits = read_splits(Data(), Source(train=(str(tmp_path),), test=(str(tmp_path),)))
    assert splits.notices[0].startswith("22 of 24 test images (91.7%) are also in the train split")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_class_that_a_split_lacks_is_said(tmp_path, split):
    pets(tmp_path / "train")
    class_folders(tmp_path / split, {"cat": 4}, seed=500)
    assert (
        f"the {split} split has no image of class 'dog': nothing can be said about it there"
        in load(tmp_path).notices
    )


def test_no_images_at_all(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.svg").write_text("<svg/>")
    refused(tmp_path, "it holds no images, only 1 file(s) of other kinds (.svg)")


def test_all_classes_that_are_too_small_are_named_with_what_helps(tmp_path):
    class_folders(tmp_path, {"cat": 12, "cow": 2, "dog": 1})
    refused(tmp_path, "class 'cow' has 2 image(s)", "Too small as well: 'dog'", "at least 3 a class")
    with pytest.raises(InputError) as error:
        load(tmp_path)
    assert "fraction" not in str(error.value), "no fraction helps"
