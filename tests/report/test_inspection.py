"""The page of an inspection: everything that was found, in one file, and hostile names as text."""

import re

import pytest
from corpus import HOSTILE, iphone, troubled
from images import class_folders

from tenfold.data import Source
from tenfold.data.inspect import inspect_source
from tenfold.recipe import Data
from tenfold.report.inspection import EACH, write_inspection


def page_of(folder, path, **data) -> str:
    return write_inspection(inspect_source(Data(**data), Source(str(folder))), path).read_text("utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("inspection")
    return page_of(troubled(root / "pets"), root / "page.html")


def test_what_needs_attention_is_said_first(page):
    verdict = page[page.index('id="verdict"') : page.index('id="classes"')]
    assert "129 images in 3 classes. Before training, look at what is listed here." in verdict
    for sentence in (
        "1 file cannot be read",
        "strongly imbalanced",
        "2 of 23 test images (8.70%) have a duplicate in the train split, 1 of them an exact one",
        "1 group of duplicates with labels of different classes",
        "Understood as 3 classes",
    ):
        assert sentence in verdict


def test_duplicates_and_files_are_shown(page):
    duplicates = page[page.index('id="duplicates"') : page.index('id="files"')]
    groups = re.findall(r'<span class="muted">(equal pixels|similarity [\d.]+)</span>', duplicates)
    assert groups == ["equal pixels", "similarity 0.96", "equal pixels"]
    assert re.findall(r'class="path">([^<]*)', duplicates) == [
        *("train/cat/3.png", "test/cat/copy.png", "train/cat/4.png", "test/cat/darker.png"),
        *("train/cat/5.png", "train/dog/cat.png"),
    ]
    assert duplicates.count('class="t t-') == 6
    files = page[page.index('id="files"') :]
    assert "<code>train/cat/broken.png</code>" in files
    assert "<td>.mov</td><td>1</td>" in files
    assert "train/cat/notes.txt" in files


def test_the_page_is_one_file_and_names_are_text(page):
    assert HOSTILE not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("image/webp") == 1
    images = page[page.index('id="images"') : page.index('id="duplicates"')]
    assert images.count('class="t t-') == 2 * EACH + 4  # the smallest class has no more


def test_fine_data_need_nothing(tmp_path):
    page = page_of(class_folders(tmp_path / "pets", {"cat": 40, "dog": 40}), tmp_path / "page.html")
    assert "80 images in 2 classes: nothing needs attention before training." in page
    assert "Every file gave an image." in page
    assert f"tenfold train --data {tmp_path / 'pets'}" in page


def test_many_classes_and_odd_files(tmp_path):
    many = class_folders(tmp_path / "many", {f"c{number:03}": 4 for number in range(70)})
    assert "10 more classes are not shown." in page_of(many, tmp_path / "many.html")
    page = page_of(iphone(tmp_path / "phone"), tmp_path / "phone.html")
    for ending in (".mov", ".cr2", ".svg", "none"):
        assert f"<td>{ending}</td>" in page


def test_the_command_writes_it(tmp_path, command):
    class_folders(tmp_path / "pets", {"cat": 40, "dog": 40})
    answer = command("inspect", "pets", folder=tmp_path)
    assert answer.status == 0, answer.err
    assert "page to send: inspection/inspection.html" in answer.out
    assert (tmp_path / "inspection" / "inspection.html").is_file()
    assert command("inspect", ".", folder=tmp_path).status == 0  # the page is none of its data
