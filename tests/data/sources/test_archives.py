"""Archives are read in place, as the folder that they were made of; hostile and damaged ones are refused."""

import tarfile
import zipfile

import numpy as np
import pytest
from images import all_paths, class_folders, load, packed, paths_of, refused, with_splits

from tenfold.data import Source, read_splits
from tenfold.data.sources.archives import _name
from tenfold.recipe import Data


@pytest.mark.parametrize(
    "name", ["photos.zip", "photos.tar", "photos.tar.gz", "photos.tar.xz", "photos.tar.bz2"]
)
@pytest.mark.parametrize("above", ["", "photos/", "./x/photos/"])
def test_archives_give_what_their_folder_gives(tmp_path, name, above):
    folder = class_folders(tmp_path / "photos", {"cat": 12, "dog": 15})
    whole, archived = load(folder), load(packed(folder, tmp_path / name, above))
    assert paths_of(archived) == paths_of(whole)
    assert archived.fingerprint == whole.fingerprint
    for one, other in zip(archived, whole, strict=True):
        np.testing.assert_array_equal(one.pixels[one.rows], other.pixels[other.rows])


def test_names_in_utf8_without_the_flag_for_it_are_read_as_utf8(tmp_path):
    """As Info-ZIP in a plain locale and macOS write them; real DOS names stay what zipfile takes them for."""
    folder = class_folders(tmp_path / "photos", {"café": 12, "日本": 15})
    archive = packed(folder, tmp_path / "a.zip", "")
    contents = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = contents.find(signature)
        while start >= 0:
            contents[start + offset + 1] &= ~0x08
            start = contents.find(signature, start + 4)
    archive.write_bytes(bytes(contents))
    assert not any(info.flag_bits & 0x800 for info in zipfile.ZipFile(archive).infolist())
    assert load(archive).class_names == load(folder).class_names == ("café", "日本")
    dos = zipfile.ZipInfo("x/caf\u00e9.png")
    dos.flag_bits = 0
    assert _name(dos) == "x/café.png"


def test_names_that_say_they_are_utf8_and_are_not(tmp_path):
    """In the list at the end, where the archive cannot be read; before a member, that member."""
    archive = packed(class_folders(tmp_path / "photos", {"café": 12, "dog": 15}), tmp_path / "a.zip", "")
    contents, name = archive.read_bytes(), "café".encode()
    archive.write_bytes(contents.replace(name, b"caf\xff\xa9", 1))
    assert len(load(archive, bad_files_limit=0.1).bad_files) == 1
    archive.write_bytes(contents.replace(name, b"caf\xff\xa9"))
    refused(archive, "the archive cannot be read", "invalid start byte")


def test_a_member_without_a_name_is_left_out(tmp_path):
    archive = packed(class_folders(tmp_path / "photos", {"cat": 12, "dog": 15}), tmp_path / "a.zip", "")
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(zipfile.ZipInfo(""), b"x")
    assert sum(map(len, load(archive))) == 27


def test_splits_in_an_archive(tmp_path):
    folder = with_splits(tmp_path / "photos")
    assert paths_of(load(packed(folder, tmp_path / "a.zip", "top/"))) == paths_of(load(folder))


def test_an_archive_for_a_split(tmp_path):
    folder = with_splits(tmp_path / "photos")
    test = packed(folder / "testing", tmp_path / "photos" / "testing.tar")
    splits = read_splits(Data(), Source(train=(str(folder / "train"),), test=(str(test),)))
    assert splits.test.paths[0] == "testing.tar/cat/0.png"
    assert len(splits.test) == 6


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_hostile_names_stay_inside(tmp_path, kind):
    """Names that climb out of the archive are read like others, and nothing is written anywhere."""
    folder = class_folders(tmp_path / "photos", {"cat": 4, "dog": 4})
    evil = tmp_path / f"evil.{kind}"
    packed(folder, evil)
    image = folder / "cat" / "0.png"
    if kind == "zip":
        with zipfile.ZipFile(evil, "a") as archive:
            archive.write(image, "../../cat/up.png")
            archive.write(image, "/cat/absolute.png")
    else:
        with tarfile.open(evil, "a") as archive:
            for name in ("../../cat/up.png", "/cat/absolute.png"):
                info = archive.gettarinfo(image)
                info.name = name
                with open(image, "rb") as stream:
                    archive.addfile(info, stream)
            link = tarfile.TarInfo("cat/link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    splits = load(evil, bad_files_limit=0.2)
    paths = all_paths(splits)
    assert {"cat/up.png", "cat/absolute.png"} <= set(paths)
    assert [bad.path for bad in splits.bad_files] == (["cat/link.png"] if kind == "tar" else [])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz", "a.tar.bz2"])
def test_corrupt_archives(tmp_path, name):
    whole = packed(class_folders(tmp_path / "photos", {"cat": 12, "dog": 15}), tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / name, name, "cannot be read", "again")
    garbled = bytearray(whole)
    garbled[len(whole) // 2 : len(whole) // 2 + 1024] = b"x" * 1024
    (tmp_path / name).write_bytes(garbled)
    if name != "a.zip":  # a damaged member of a zip archive does not touch the others
        refused(tmp_path / name, name, "cannot be read")
    (tmp_path / name).write_bytes(b"not at all an archive")
    refused(tmp_path / name, name, "cannot be read")


def test_a_damaged_member_of_a_zip_is_a_bad_file(tmp_path):
    archive = packed(class_folders(tmp_path / "photos", {"cat": 12, "dog": 15}), tmp_path / "a.zip")
    with zipfile.ZipFile(archive) as file:
        info = file.getinfo("cat/3.png")
    contents = bytearray(archive.read_bytes())
    contents[info.header_offset + 60 : info.header_offset + 70] = bytes(10)
    archive.write_bytes(contents)
    bad = load(archive, bad_files_limit=0.1).bad_files
    assert [(file.path, "CRC" in file.reason) for file in bad] == [("cat/3.png", True)]


@pytest.mark.parametrize(
    ("offsets", "value", "words"),
    [((6, 8), 1, "password required"), ((8, 10), 99, "compression method is not supported")],
)
def test_a_table_within_that_zipfile_cannot_read_is_explained(tmp_path, offsets, value, words):
    """The flag of a password, or an unknown compression, in every header."""
    folder = class_folders(tmp_path / "photos", {"cat": 3, "dog": 3})
    (folder / "metadata.csv").write_text("file_name,label\ncat/0.png,cat\n")
    archive = packed(folder, tmp_path / "a.zip")
    contents = bytearray(archive.read_bytes())
    for signature, offset in zip((b"PK\x03\x04", b"PK\x01\x02"), offsets, strict=True):
        start = contents.find(signature)
        while start >= 0:
            contents[start + offset] = value
            start = contents.find(signature, start + 4)
    archive.write_bytes(bytes(contents))
    refused(archive, "a.zip: the archive cannot be read", words)
