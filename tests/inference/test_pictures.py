"""Pictures by address, and many of them within bounded memory: a real server on loopback, real decoding processes."""

import io
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from images import save, scene
from PIL import Image

from tenfold.core.errors import InputError
from tenfold.data.decode import Target
from tenfold.data.decode_pool import CHUNK_IMAGES
from tenfold.data.formats import Unreadable
from tenfold.inference import decoding, pictures
from tenfold.inference.pictures import Picture, pictures_from, pictures_of


class Answers(BaseHTTPRequestHandler):
    """A picture at /a.png, and at other paths what servers do on a bad day."""

    def __init__(self, picture: bytes, *given) -> None:
        self.picture = picture
        super().__init__(*given)

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path == "/a.png":
            self._send(200, self.picture)
        elif self.path == "/moved":
            self._send(302, b"", Location="/a.png")
        elif self.path == "/to-a-file":
            self._send(302, b"", Location="file:///etc/hostname")
        elif self.path == "/round":
            self._send(302, b"", Location="/round")
        elif self.path == "/page":
            self._send(200, b"<html>no picture</html>")
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.picture)))
            self.end_headers()
            self.wfile.write(self.picture[:40])
        elif self.path == "/noise":
            self.wfile.write(b"no HTTP at all\r\n\r\n")
        else:
            self._send(404, b"none")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def address(tmp_path, monkeypatch) -> Iterator[str]:
    """The address of a server on loopback."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    save(tmp_path / "a.png", scene(5, 12))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Answers, (tmp_path / "a.png").read_bytes()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def fetched(word: str) -> Picture:
    [picture] = pictures_of([word], ("2",))
    return picture


@pytest.mark.parametrize("path", ["/a.png", "/moved"])
def test_a_picture_is_fetched_from_its_address(address, path, tmp_path):
    assert fetched(address + path).encoded == (tmp_path / "a.png").read_bytes()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/none", "404"),
        ("/to-a-file", "file:"),
        ("/round", "302"),
        ("/short", "too early"),
        ("/noise", "cannot be fetched"),
    ],
)
def test_what_cannot_be_fetched_is_an_unreadable_picture_with_its_reason(address, path, reason):
    found = fetched(address + path)
    assert found.name == address + path
    assert isinstance(found.encoded, Unreadable)
    assert reason in str(found.encoded.reason)


def test_where_nobody_listens_the_systems_reason_is_said(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        found = fetched(f"http://127.0.0.1:{taken.getsockname()[1]}/a.png")
    assert isinstance(found.encoded, Unreadable)
    assert "refused" in found.encoded.reason
    assert "urlopen" not in found.encoded.reason


def test_a_page_is_no_picture_and_too_much_is_not_taken(address, monkeypatch):
    [block] = decoding.blocks([fetched(address + "/page")], Target(8, 8, 3), 4)
    assert "not a picture" in block.unreadable[0][1]
    monkeypatch.setattr(pictures, "LARGEST_FILE", 50)
    assert "larger than" in str(fetched(address + "/a.png").encoded)


def test_addresses_are_fetched_only_where_a_person_gives_them(address):
    with pytest.raises(InputError, match="command line only"):
        pictures_of([address + "/a.png"], ("2",), by_hand=False)


def test_a_picture_in_memory_is_scaled_as_its_file_is(tmp_path):
    values = np.linspace(0, 4095, 144).reshape(12, 12)
    target = Target(12, 12, 3, whole_range=(0.0, 4095.0), real_range=(0.0, 4095.0))
    for name, array in (("a.png", values.astype(np.uint16)), ("a.tif", values.astype(np.float32))):
        Image.fromarray(array).save(tmp_path / name)
        [expected] = decoding.blocks(pictures_of([str(tmp_path / name)], ()), target, 4)
        with Image.open(tmp_path / name) as image:
            [found] = decoding.blocks(pictures_from(image, ()), target, 4)
        assert expected.pixels.max() == 255
        np.testing.assert_array_equal(found.pixels, expected.pixels)


def test_objects_that_only_look_like_pictures_are_refused_or_unreadable(tmp_path):
    save(tmp_path / "a.png", scene(5, 12))
    contents = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(contents[: len(contents) // 2])
    with (tmp_path / "a.png").open("rb") as file, pytest.raises(InputError, match=r"file\.read\(\)"):
        pictures_from(file, ())
    with pytest.raises(InputError, match=r"file\.read\(\)"):
        pictures_from([io.BytesIO(contents)], ())
    with pytest.raises(InputError, match="dict"):
        pictures_from({"a": contents}, ())
    [picture] = pictures_from(bytearray(contents), ())
    assert picture.encoded == contents
    with Image.open(tmp_path / "cut.png") as cut:
        [picture] = pictures_from(cut, ())
    assert isinstance(picture.encoded, Unreadable)
    with Image.open(tmp_path / "a.png") as closed:
        pass
    [picture] = pictures_from([closed], ())
    assert isinstance(picture.encoded, Unreadable)


@pytest.mark.parametrize(
    "form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "TGA", "ICO", "AVIF"]
)
@pytest.mark.parametrize("plain", [True, False])
def test_standard_input_takes_every_kind_of_picture_as_one(form, plain):
    """A picture of one colour, whose file is the shortest and has the fewest bytes that no name has, and another."""
    pixels = np.full((16, 16, 3), 65, np.uint8) if plain else scene(3, 16)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    [picture] = pictures._standard_input(io.BytesIO(file.getvalue()), frozenset())
    assert (picture.name, picture.encoded) == ("-", file.getvalue())


@pytest.mark.parametrize(
    "header", [b"P1\n# a comment\n2 2\n", b"P3\n2 2\n255\n", b"P2 2 2 255\n", b"P6\n2 2\n255\n"]
)
def test_standard_input_takes_pictures_in_text_as_such(header):
    contents = header + b"1 1 1 1\n"
    [picture] = pictures._standard_input(io.BytesIO(contents), frozenset())
    assert picture.encoded == contents


@pytest.mark.parametrize(
    "name", ["P1 2 left.png", "P3.png", "GIF8.gif", "BM.bmp", "RIFF", "ä\tb.png", "P2 2/a.png"]
)
def test_standard_input_takes_names_that_begin_as_pictures_do_for_names(name):
    [picture] = pictures._standard_input(io.BytesIO(f"{name}\n".encode()), frozenset())
    assert isinstance(picture.encoded, Unreadable)
    assert "no such file" in str(picture.encoded)


def test_only_a_bounded_number_of_pictures_is_read_ahead(tmp_path):
    """However many there are: what waits for a slow model is a few chunks for each process, not the folder."""
    from loky import cpu_count

    save(tmp_path / "a.png", scene(5, 12))
    contents, taken, given = (tmp_path / "a.png").read_bytes(), 0, 0
    count = (2 * cpu_count() + 8) * CHUNK_IMAGES

    def endless() -> Iterator[Picture]:
        nonlocal taken
        for number in range(count):
            taken += 1
            yield Picture(str(number), contents)

    furthest = 0
    for block in decoding.blocks(endless(), Target(8, 8, 3), 256):
        given += len(block.names)
        furthest = max(furthest, taken - given)
    assert given == taken == count
    assert furthest <= (2 * cpu_count() + 4) * CHUNK_IMAGES
    assert furthest < count / 2 or cpu_count() > 4
    assert np.isfinite(furthest)


def test_of_several_words_one_without_pictures_is_listed_and_alone_it_is_refused(tmp_path):
    """A shell's `*` names texts and empty folders, too."""
    picture = save(tmp_path / "a.png", scene(5, 12))
    (tmp_path / "notes.txt").write_text("remember")
    (tmp_path / "empty").mkdir()
    names = sorted(str(path) for path in tmp_path.iterdir())
    found = {each.name: each.encoded for each in pictures_of(names, ("2",))}
    assert list(found) == names
    assert found[str(picture)] == str(picture)
    assert found[str(tmp_path / "empty")] == Unreadable("there are no pictures in it; it is empty.")
    assert "no path and a label" in str(found[str(tmp_path / "notes.txt")])
    for name in ("notes.txt", "empty"):
        with pytest.raises(InputError, match=name):
            pictures_of([str(tmp_path / name)], ("2",))
    with pytest.raises(InputError, match="no such file"):
        pictures_of([str(picture), str(tmp_path / "gone.png")], ("2",))


@pytest.mark.parametrize("word", ["", " "])
def test_an_empty_word_is_not_the_working_folder(word):
    with pytest.raises(InputError, match="an empty word names no pictures"):
        pictures_of([word], ["a", "b"])
