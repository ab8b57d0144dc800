import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from images import all_paths, class_folders, load, random_pixels, refused, save
from small import flip_byte

from tenfold.core.checksums import BLOCK, damaged_blocks
from tenfold.core.errors import InputError, TenfoldError
from tenfold.data import Source, cache_entries, read_splits, remove_cache_entries
from tenfold.data.pack import open_pack, verify_packs
from tenfold.recipe import Data


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path) -> Path:
    return class_folders(tmp_path / "photos", {"cat": 12, "dog": 15})


def packs(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "packs").iterdir() if path.suffix != ".lock")


def decoded(path: Path, **data) -> int:
    """How many images opening the source decodes: 0 when its pack is there."""
    seen = [0]
    read_splits(Data(**data), Source(str(path)), lambda done, total: seen.append(done))
    return seen[-1]


def test_decoded_once_and_mapped_afterwards(photos):
    assert decoded(photos) == 27
    assert decoded(photos) == 0
    splits = load(photos)
    assert isinstance(splits.train.pixels, np.memmap)
    assert not splits.train.pixels.flags.writeable
    assert splits.train.pixels is splits.test.pixels


def test_progress_goes_from_little_to_all(photos):
    seen: list[tuple[int, int]] = []
    read_splits(Data(), Source(str(photos)), lambda done, total: seen.append((done, total)))
    assert seen[-1] == (27, 27)
    assert seen == sorted(seen)


@pytest.mark.parametrize("change", ["add", "remove", "rewrite", "rename", "touch"])
def test_made_anew_when_the_source_changes(photos, own_cache, change):
    before = load(photos)
    image = photos / "cat" / "3.png"
    if change == "add":
        save(photos / "cat" / "new.png", random_pixels(77))
    elif change == "remove":
        image.unlink()
    elif change == "rewrite":
        save(image, random_pixels(78))
    elif change == "rename":
        image.rename(image.with_name("other.png"))
    else:
        os.utime(image, ns=(1, 1))
    assert decoded(photos) > 0
    after = load(photos)
    assert (after.fingerprint == before.fingerprint) == (change == "touch")
    assert len(packs(own_cache)) == 1, "the old pack is gone"
    assert before.train.images(slice(None)).any(), "what was opened before stays readable"


def test_a_rewritten_picture_has_its_new_pixels(photos):
    load(photos)
    save(photos / "cat" / "3.png", random_pixels(78))
    splits = load(photos)
    split = next(split for split in splits if "cat/3.png" in split.paths)
    np.testing.assert_array_equal(split.images([split.paths.index("cat/3.png")])[0], random_pixels(78))


def test_options_have_packs_of_their_own(photos):
    assert load(photos).image_shape == (3, 8, 8)
    assert load(photos, image_size=16).image_shape == (3, 16, 16)
    assert load(photos, channels="grayscale").image_shape == (1, 8, 8)
    assert decoded(photos) == 0
    assert decoded(photos, image_size=16) == 0


def test_the_split_options_need_no_new_pack(photos):
    load(photos)
    assert decoded(photos, split_seed=5, test_fraction=0.3) == 0


def test_sizes_that_differ_fall_back_to_64(photos):
    save(photos / "dog" / "last.png", random_pixels(1, 20, 30))
    assert load(photos).image_shape == (3, 64, 64)


def test_equal_oblong_pictures_keep_their_shape(tmp_path):
    for i in range(6):
        save(tmp_path / "p" / "ab"[i % 2] / f"{i}.png", random_pixels(i, 10, 20))
    assert load(tmp_path / "p").image_shape == (3, 10, 20)


def test_pictures_too_large_to_be_meant_are_reduced(tmp_path):
    for i in range(6):
        save(tmp_path / "p" / "ab"[i % 2] / f"{i}.png", random_pixels(i, 2, 2000))
    assert load(tmp_path / "p").image_shape == (3, 64, 64)


def test_gray_only_where_every_picture_is(tmp_path):
    for i in range(6):
        save(tmp_path / "p" / "ab"[i % 2] / f"{i}.png", random_pixels(i, channels=1))
    assert load(tmp_path / "p").image_shape == (1, 8, 8)
    assert load(tmp_path / "p", channels="rgb").image_shape == (3, 8, 8)
    save(tmp_path / "p" / "b" / "z.png", random_pixels(9))
    assert load(tmp_path / "p").image_shape == (3, 8, 8)


def test_many_pictures_are_decoded_by_several_processes_as_by_one(tmp_path, monkeypatch):
    folder = class_folders(tmp_path / "p", {"a": 400, "b": 300})
    alone = load(folder)
    remove_cache_entries()
    monkeypatch.setattr("tenfold.data.decode_pool.INLINE_SECONDS", 0)
    shared = load(folder)
    assert shared.fingerprint == alone.fingerprint
    for one, other in zip(shared, alone, strict=True):
        np.testing.assert_array_equal(one.images(slice(None)), other.images(slice(None)))


def test_a_misfit_found_by_another_process_changes_the_shape(tmp_path, monkeypatch):
    folder = class_folders(tmp_path / "p", {"a": 400, "b": 300})
    for i in range(20):
        save(folder / "b" / f"zz{i}.png", random_pixels(i, 9, 9))
    monkeypatch.setattr("tenfold.data.decode_pool.INLINE_SECONDS", 0)
    assert load(folder).image_shape == (3, 64, 64)


@pytest.mark.parametrize("name", ["pixels.npy", "index.npz", "pack.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "empty", "null", "deep", "a changed byte"])
def test_a_damaged_pack_is_made_anew(photos, own_cache, name, damage):
    before = load(photos)
    file = next(own_cache.glob(f"packs/*/{name}"))
    contents = {"cut": file.read_bytes()[:100], "empty": b"", "null": b"null", "deep": b"[" * 100_000}
    if damage == "gone":
        file.unlink()
    elif damage == "a changed byte":
        flip_byte(file, file.stat().st_size * 2 // 3)
    else:
        file.write_bytes(contents[damage])
    assert decoded(photos) == 27
    assert load(photos).fingerprint == before.fingerprint


def test_a_changed_byte_anywhere_is_found_when_all_is_verified(tmp_path, own_cache):
    """Of a large pack a few blocks are looked at when it is opened, and all of them with `--verify`."""
    folder = tmp_path / "p"
    for number, name in enumerate(("a", "b")):
        (folder / name).mkdir(parents=True)
        for i in range(20):
            save(folder / name / f"{i}.png", np.full((256, 256, 3), (5 * i + number, 9, 0), np.uint8))
    before = load(folder).fingerprint
    pixels = next(own_cache.glob("packs/*/pixels.npy"))
    assert pixels.stat().st_size > 6 * BLOCK
    flip_byte(pixels, 4 * BLOCK + 5)
    assert damaged_blocks(pixels, np.load(pixels.with_name("index.npz"))["blocks"]) == [4]
    assert verify_packs(Data(), Source(str(folder))) == 0
    assert not pixels.exists()
    assert load(folder).fingerprint == before
    assert not damaged_blocks(pixels, np.load(pixels.with_name("index.npz"))["blocks"])


# Several processes, and interruptions ------------------------------------------------------------------------

LOAD = """
import sys
from tenfold.data import Source, read_splits
from tenfold.recipe import Data
seen = [0]
splits = read_splits(Data(), Source(sys.argv[1]), lambda done, total: seen.append(done))
print(splits.fingerprint, seen[-1])
"""


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", LOAD, str(folder)], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_at_once_make_one_pack(tmp_path, own_cache):
    folder = class_folders(tmp_path / "p", {"a": 900, "b": 900})
    answers = [process.communicate()[0].split() for process in [start(folder), start(folder), start(folder)]]
    assert len({fingerprint for fingerprint, _ in answers}) == 1
    assert sorted(int(count) for _, count in answers) == [0, 0, 1800]
    assert len(packs(own_cache)) == 1


def test_a_killed_process_leaves_nothing_in_the_way(tmp_path, own_cache):
    folder = class_folders(tmp_path / "p", {"a": 900, "b": 900})
    process = start(folder)
    while not list(own_cache.glob("packs/.*.tmp/pixels.npy")) and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert process.returncode == -9
    assert packs(own_cache)[0].startswith(".")
    assert decoded(folder) == 1800
    assert not [name for name in packs(own_cache) if name.startswith(".")]


FILL = """
import sys
import tenfold.data.decode_pool
from tenfold.core.errors import TenfoldError
tenfold.data.decode_pool.INLINE_SECONDS = float(sys.argv[2])
try:
    exec(sys.argv[3])
except TenfoldError as error:
    print(error.exit_status, error)
"""


@pytest.mark.parametrize("inline", ["0", "60"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, own_cache, inline):
    """A real one, of 128 KiB, seen only by the process that fills it."""
    folder = class_folders(tmp_path / "p", {"a": 600, "b": 600})
    own_cache.mkdir()
    mount = f"mount -t tmpfs -o size=128k none {own_cache} || exit 77"
    script = f"{mount}; \"$@\" && find {own_cache}/packs ! -name '*.lock'"
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*alone, "mkdir", own_cache / "packs"], capture_output=True).returncode:
        pytest.skip("this machine lets no process mount a file system of its own")
    done = subprocess.run(
        [*alone, sys.executable, "-c", FILL, str(folder), inline, LOAD], capture_output=True, text=True
    )
    said, *left = done.stdout.splitlines()
    assert said.startswith("1 ")
    assert "the disk is full" in said
    assert str(own_cache) in said
    assert left == [f"{own_cache}/packs"]


def test_a_file_size_limit_is_told_and_leaves_nothing(tmp_path, own_cache):
    folder = class_folders(tmp_path / "p", {"a": 600, "b": 600})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(TenfoldError, match="the disk is full") as error:
            load(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(own_cache) in str(error.value)
    assert error.value.exit_status == 1
    assert packs(own_cache) == []
    assert decoded(folder) == 1200


def test_a_cache_that_cannot_be_written(photos, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "file"))
    with pytest.raises(TenfoldError, match="cannot be written"):
        load(photos)


def test_nothing_is_left_of_a_source_that_is_refused(tmp_path, own_cache):
    folder = class_folders(tmp_path / "p", {"a": 3, "b": 0})
    refused(folder, "holds no images")
    assert packs(own_cache) == []


@pytest.mark.slow
def test_a_killed_decoding_process_is_told(tmp_path, own_cache, monkeypatch):
    folder = class_folders(tmp_path / "p", {"a": 2000, "b": 2000})
    monkeypatch.setattr("tenfold.data.decode_pool.INLINE_SECONDS", 0)
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        if killed:  # the one that was killed has no command line any more
            return
        children = [p for p in psutil.Process().children() if "LokyProcess" in " ".join(p.cmdline())]
        if children:
            killed.append(children[0].pid)
            children[0].kill()

    with pytest.raises(TenfoldError, match="was killed"):
        read_splits(Data(), Source(str(folder)), kill_one)
    assert killed
    assert packs(own_cache) == []


# Bad files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def damaged(tmp_path) -> Path:
    """200 pictures of which one is cut off and one is no picture."""
    folder = class_folders(tmp_path / "p", {"cat": 100, "dog": 100})
    path = folder / "cat" / "17.png"
    path.write_bytes(path.read_bytes()[:100])
    (folder / "dog" / "5.png").write_bytes(b"<html>404</html>")
    return folder


def test_bad_files_are_named_and_left_out(damaged):
    splits = load(damaged)
    assert [bad.path for bad in splits.bad_files] == ["cat/17.png", "dog/5.png"]
    assert "truncated" in splits.bad_files[0].reason
    assert "not a picture" in splits.bad_files[1].reason
    assert sum(map(len, splits)) == 198
    assert not {"cat/17.png", "dog/5.png"} & set(all_paths(splits))
    for split in splits:
        for position, path in enumerate(split.paths):
            name, file = path.split("/")
            seed = 1000 * ("cat", "dog").index(name) + int(file.removesuffix(".png"))
            np.testing.assert_array_equal(split.images([position])[0], random_pixels(seed))


def test_bad_files_beyond_the_limit(damaged):
    refused(damaged, "2 of 200", "0.005", "cat/17.png: ", "dog/5.png: not a picture", bad_files_limit=0.005)
    assert decoded(damaged, bad_files_limit=0.01) == 0, "the pack serves whoever raises the limit"


def test_many_bad_files_are_not_all_listed(tmp_path):
    folder = class_folders(tmp_path / "p", {"cat": 20, "dog": 20})
    for i in range(15):
        (folder / "cat" / f"{i}.png").write_bytes(b"")
    refused(folder, "15 of 40", "cat/0.png: the file is empty", "and 5 more")


def test_a_class_of_which_nothing_can_be_read(tmp_path):
    folder = class_folders(tmp_path / "p", {"cat": 20, "dog": 20, "emu": 2})
    for i in range(2):
        (folder / "emu" / f"{i}.png").write_bytes(b"")
    refused(folder, "no image can be read of 1 class: 'emu'", bad_files_limit=0.5)


def test_nothing_can_be_read(tmp_path):
    folder = class_folders(tmp_path / "p", {"cat": 2, "dog": 2})
    for path in folder.rglob("*.png"):
        path.write_bytes(b"x")
    refused(folder, "none of the source's images can be read", "not a picture")


# The cache ---------------------------------------------------------------------------------------------------


def test_the_cache_can_be_listed_and_emptied(photos, own_cache):
    assert cache_entries() == []
    load(photos)
    load("digits")
    entries = cache_entries()
    assert [entry.name.partition("-")[0] for entry in entries] == ["digits", "photos"]
    assert all(entry.bytes == sum(file.stat().st_size for file in entry.path.iterdir()) for entry in entries)
    with pytest.raises(InputError, match="there is no 'nothing' in the cache"):
        remove_cache_entries(["nothing"])
    assert remove_cache_entries([entries[0].name]) == entries[0].bytes
    assert [entry.name for entry in cache_entries()] == [entries[1].name]
    assert remove_cache_entries() == entries[1].bytes
    assert cache_entries() == []
    assert decoded(photos) == 27


def test_a_pack_remembers_what_the_files_were(tmp_path):
    save(tmp_path / "p" / "a" / "1.png", random_pixels(1, 10, 20))
    save(tmp_path / "p" / "a" / "2.jpg", random_pixels(2, 30, 20, channels=1))
    save(tmp_path / "p" / "b" / "3.png", random_pixels(3, 10, 20, channels=4))
    pack = open_pack(Data(), Source(str(tmp_path / "p")))
    assert pack.originals["width"].tolist() == [20, 20, 20]
    assert pack.originals["height"].tolist() == [10, 30, 10]
    assert [pack.modes[mode] for mode in pack.originals["mode"]] == ["RGB", "L", "RGBA"]
    assert pack.originals["gray"].tolist() == [False, True, False]


def test_a_picture_that_changes_while_it_is_read_is_told(photos):
    def meddle(done: int, total: int) -> None:
        save(photos / "cat" / "late.png", random_pixels(5))

    with pytest.raises(InputError, match="changed while they were read"):
        read_splits(Data(), Source(str(photos)), meddle)
