"""Pictures by address, and many of them within bounded memory: a real server on loopback, real decoding processes."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from images import save, scene

from tenfold.core.errors import InputError
from tenfold.data.decode import Target
from tenfold.data.decode_pool import CHUNK_IMAGES
from tenfold.data.formats import Unreadable
from tenfold.inference import decoding, pictures
from tenfold.inference.pictures import Picture, pictures_of


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

    def log_message(self, *_: object) -> None:
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


def test_a_page_is_no_picture_and_too_much_is_not_taken(address, monkeypatch):
    [block] = decoding.blocks([fetched(address + "/page")], Target(8, 8, 3), 4)
    assert "not a picture" in block.unreadable[0][1]
    monkeypatch.setattr(pictures, "LARGEST_FILE", 50)
    assert "larger than" in str(fetched(address + "/a.png").encoded)


def test_addresses_are_fetched_only_where_a_person_gives_them(address):
    with pytest.raises(InputError, match="command line only"):
        pictures_of([address + "/a.png"], ("2",), by_hand=False)


def test_only_a_bounded_number_of_pictures_is_read_ahead(tmp_path):
    """However many there are: what waits for a slow model is a few chunks for each process, not the folder."""
    from joblib import cpu_count

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
