import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from cifar_files import write_cifar
from corpus import pets
from images import load, packed, refused

from tenfold.core.errors import TenfoldError
from tenfold.data.sources import download as module
from tenfold.data.sources.download import DOWNLOADS, Download, download, fetch_address

CONTENTS = np.random.default_rng(0).integers(0, 256, 1_000_000, np.uint8).tobytes()
MD5 = hashlib.md5(CONTENTS).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `contents` at every path, of a length that may be `claimed`; `cut` bytes are sent before an answer
    breaks off, `ranges` says whether it can go on in the middle. What was asked for is kept in `asked`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents, self.cut, self.ranges, self.asked = CONTENTS, 0, True, []
        self.redirect, self.claimed = "", 0

    def url(self, name: str = "file.bin") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.ranges else 0
        if self.server.redirect:
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.end_headers()
            return
        if "missing" in self.path:
            self.send_error(404)
            return
        if start >= len(self.server.contents):
            self.send_error(416)
            return
        body = self.server.contents[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(self.server.claimed or len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut] if self.server.cut else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def part_of(wanted: Download) -> Path:
    return wanted.path.with_name(f"{wanted.path.name}.part")


def test_fetched_and_checked(server, capfd):
    wanted = Download(server.url(), MD5)
    download(wanted)
    assert wanted.path.read_bytes() == CONTENTS
    assert not part_of(wanted).exists()
    said = capfd.readouterr()
    assert "file.bin" in said.err
    assert said.out == ""


def test_what_is_there_is_not_fetched_again(server):
    wanted = Download(server.url(), MD5)
    download(wanted)
    download(wanted)
    assert len(server.asked) == 1


def test_goes_on_where_the_connection_broke(server):
    server.cut = 400_000
    wanted = Download(server.url(), MD5)
    download(wanted)
    assert wanted.path.read_bytes() == CONTENTS
    assert server.asked == [None, "bytes=400000-", "bytes=800000-"]


def test_goes_on_after_an_earlier_attempt(server):
    wanted = Download(server.url(), MD5)
    part_of(wanted).parent.mkdir(parents=True)
    part_of(wanted).write_bytes(CONTENTS[:700_000])
    download(wanted)
    assert wanted.path.read_bytes() == CONTENTS
    assert server.asked == ["bytes=700000-"]


def test_begins_anew_where_the_server_cannot_go_on(server):
    server.ranges = False
    wanted = Download(server.url(), MD5)
    part_of(wanted).parent.mkdir(parents=True)
    part_of(wanted).write_bytes(CONTENTS[:700_000])
    download(wanted)
    assert wanted.path.read_bytes() == CONTENTS


def test_a_whole_part_needs_no_more(server):
    wanted = Download(server.url(), MD5)
    part_of(wanted).parent.mkdir(parents=True)
    part_of(wanted).write_bytes(CONTENTS)
    download(wanted)
    assert wanted.path.read_bytes() == CONTENTS


def test_a_wrong_checksum_is_refused_and_removed(server):
    server.contents = CONTENTS[:-1] + b"?"
    wanted = Download(server.url(), MD5)
    with pytest.raises(TenfoldError, match=f"expected {MD5}.*removed"):
        download(wanted)
    assert not wanted.path.exists()
    assert not part_of(wanted).exists()
    server.contents = CONTENTS
    download(wanted)
    assert wanted.path.read_bytes() == CONTENTS


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(server):
    server.claimed = 2**60
    wanted = Download(server.url(), MD5)
    with pytest.raises(TenfoldError, match=r"the disk is full: 1,099,511,627,776\.0 MiB are needed"):
        download(wanted)
    assert not part_of(wanted).exists()


def test_without_a_network_it_says_which_file_to_put_where(server):
    server.shutdown()
    server.server_close()
    wanted = Download(server.url(), MD5)
    with pytest.raises(TenfoldError) as error:
        download(wanted)
    for words in (wanted.url, str(wanted.path), MD5, "fetch that file elsewhere", "--data"):
        assert words in str(error.value)
    assert not wanted.path.exists()


def test_an_address_that_is_gone(server):
    with pytest.raises(TenfoldError, match="Not Found"):
        download(Download(server.url("missing.bin"), MD5))


def test_a_named_data_set_from_the_network_to_the_splits(server, tmp_path, monkeypatch):
    folder = write_cifar(tmp_path / "cifar-10-batches-py", "python", fine=False)
    with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as archive:
        archive.add(folder, folder.name)
    server.contents = (tmp_path / "cifar.tar.gz").read_bytes()
    wanted = Download(server.url("cifar.tar.gz"), hashlib.md5(server.contents).hexdigest())
    monkeypatch.setitem(module.DOWNLOADS, "cifar10", wanted)
    splits = load("cifar10")
    assert sum(map(len, splits)) == 120
    assert load("cifar10").fingerprint == splits.fingerprint
    assert len(server.asked) == 1


def test_an_archive_put_there_by_hand_is_checked(server, monkeypatch):
    wanted = Download(server.url("cifar.tar.gz"), MD5)
    monkeypatch.setitem(module.DOWNLOADS, "cifar10", wanted)
    wanted.path.parent.mkdir(parents=True)
    wanted.path.write_bytes(b"something else")
    with pytest.raises(TenfoldError, match="not the published file"):
        load("cifar10")


def test_the_published_checksums():
    assert {name: (wanted.path.name, wanted.md5[:6]) for name, wanted in DOWNLOADS.items()} == {
        "cifar10": ("cifar-10-python.tar.gz", "c58f30"),
        "cifar100": ("cifar-100-python.tar.gz", "eb9058"),
    }


# Addresses of the user's -------------------------------------------------------------------------------------


def test_an_archive_at_an_address_is_a_source_of_the_command_line(server, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive = packed(pets(tmp_path / "pets"), tmp_path / "pets.zip")
    server.contents = archive.read_bytes()
    checksum = hashlib.sha256(server.contents).hexdigest()
    said = command("inspect", server.url("my%20pets.zip?download=1"), "--json")
    assert f"SHA-256 {checksum}" in said.err
    facts = json.loads(said.out)
    assert facts["class_names"] == ["cat", "dog"]
    assert facts["source"]["data"].startswith(str(tmp_path / "cache" / "downloads"))
    assert Path(facts["source"]["data"]).name.endswith("-my pets.zip")
    again = command("inspect", server.url("my%20pets.zip?download=1"), "--json")
    assert f"SHA-256 {checksum}" in again.err
    assert len(server.asked) == 1, "the second time it lies in the cache"


def test_addresses_that_are_none(server, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = command("inspect", server.url("page.html"))
    assert said.status == 2
    assert "an address must end as an archive or a table of images does" in said.err
    assert server.asked == []
    gone = command("train", "--data", server.url("missing.zip"))
    assert gone.status == 1
    assert "cannot be fetched (Not Found)" in gone.err
    refused("http://127.0.0.1/pets.zip", "the command line also fetches a file by http(s). Download it")


def test_a_server_redirects_to_no_file_of_this_machine(server, tmp_path):
    server.redirect = f"file://{tmp_path}/secret.zip"
    with pytest.raises(TenfoldError, match="cannot be fetched"):
        fetch_address(server.url("pets.zip"))
