"""Every bad upload is refused with a reason, and the server answers the next one as before."""

import io
import re
import socket
import struct
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from served import GOOD, IMPATIENT, Client, encoded, form_body, noise

from tenfold.serving.limits import Limits

pytestmark = pytest.mark.usefixtures("still_answering")


def refused(reply, status, words=""):
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/json"
    assert reply.json.keys() == {"error"}
    assert words in reply.json["error"]
    assert "Traceback" not in reply.json["error"]
    assert not re.search(r"/(home|root|tmp|usr|work|etc)/", reply.json["error"])


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream"])
def test_the_body_itself_is_the_picture(client, kind):
    reply = client.predict(GOOD, kind)
    assert reply.status == 200
    assert set(reply.json) == {"path", "predicted", "probability", "probabilities", "unsure", "unlike"}
    assert reply.json["path"] == ""
    assert sum(reply.json["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert reply.json["probability"] == max(reply.json["probabilities"].values())


def test_a_form_gives_the_same_answer_and_the_files_name(client):
    body, form = client.predict(GOOD).json, client.form(GOOD, name="my cat.png").json
    assert form.pop("path") == "my cat.png"
    assert body.pop("path") == ""
    assert form == body


def test_no_content_type_is_taken_for_bytes(client):
    assert client.request("POST", "/predict", GOOD).status == 200


@pytest.mark.parametrize(
    "kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "ICO", "TGA", "AVIF"]
)
def test_every_format_that_training_reads(client, kind):
    picture = encoded(noise(32), kind)
    whole = client.predict(picture)
    assert whole.status == 200
    assert client.predict(picture, f"image/{kind.lower()}").json == whole.json
    assert client.form(picture, kind=f"image/{kind.lower()}").json == whole.json | {"path": "picture.png"}


def test_of_an_animation_the_first_frame_counts(client):
    frames = [Image.fromarray(noise(seed=seed)) for seed in range(3)]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    still = client.predict(encoded(noise(seed=0), "GIF")).json
    assert client.predict(data.getvalue(), "image/gif").json == still


def test_an_empty_body(client):
    refused(client.predict(b""), 400, "empty")
    refused(client.form(b""), 400, "empty")


@pytest.mark.parametrize(
    "text", [b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"\0" * 100]
)
def test_what_is_no_picture_though_its_type_says_so(client, text):
    refused(client.predict(text), 415, "not a picture in a known format")
    refused(client.form(text), 415, "not a picture in a known format")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json", "application/x-www-form-urlencoded", "image/svg+xml"]
)
def test_a_wrong_type(client, kind):
    refused(client.predict(GOOD, kind), 415, kind[:5])
    refused(client.form(GOOD, kind=kind), 415, kind[:5])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_truncated_picture(client, kind):
    whole = encoded(noise(64), kind)
    refused(client.predict(whole[: len(whole) // 2]), 422, "cannot be read")


def test_a_damaged_picture(client):
    png = bytearray(encoded(noise(64)))
    png[len(png) // 2] ^= 0xFF
    refused(client.predict(bytes(png)), 422, "cannot be read")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    ("width", "height"), [(50_000, 50_000), (9_000, 8_000), (2**31 - 1, 1), (65_000_000, 1)]
)
def test_a_bomb_of_pixels_is_refused_by_its_header(client, width, height):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    bomb = (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100_000)) + chunk(b"IEND", b"")
    )
    began = time.monotonic()
    refused(client.predict(bomb), 413, "megapixels")
    assert time.monotonic() - began < 5


def test_a_bomb_of_text_inside_a_picture(client):
    png = encoded(noise())
    end = png.index(b"IDAT") - 4
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * (200 << 20), 9))
    assert client.predict(png[:end] + text + png[end:]).status in {200, 422}


def test_a_flat_picture_of_many_pixels_is_answered(client):
    assert client.predict(encoded(np.zeros((6000, 9000), np.uint8))).status == 200


def test_an_oversized_picture(serve):
    client = Client(serve(limits=Limits(image_bytes=10_000)).port)
    refused(client.predict(encoded(noise(200))), 413, "larger than")
    refused(client.form(encoded(noise(200))), 413, "larger than")
    assert client.predict(encoded(noise(60))).status == 200


def test_an_oversized_body_that_does_not_say_its_length(serve):
    client = Client(serve(limits=Limits(image_bytes=10_000)).port)
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    pieces = [b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 3
    assert client.raw(head, *pieces, b"0\r\n\r\n").startswith(b"HTTP/1.1 413")


def test_a_refused_body_cannot_go_on_for_ever(serve):
    client = Client(serve(limits=IMPATIENT).port)
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
        )
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413")
        began = time.monotonic()
        assert connection.recv(1 << 16) == b""
        assert time.monotonic() - began < 5


def test_all_unfinished_uploads_share_one_allowance(serve):
    client = Client(serve(limits=Limits(upload_bytes=100_000, image_bytes=90_000)).port)
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 80000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as first:
        first.sendall(head + b"x" * 70_000)
        time.sleep(0.3)
        with socket.create_connection(("127.0.0.1", client.port), timeout=60) as second:
            second.sendall(head + b"x" * 70_000)
            answer = second.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: " in answer.lower()
    time.sleep(0.3)  # the first has gone: its share is free again
    assert client.predict(encoded(noise(250))).status == 200


def test_names_are_never_paths(client):
    for name in ("../../etc/passwd", "..\\..\\x.png", "/etc/passwd", "file:///etc/passwd"):
        assert client.form(GOOD, name=name).json["path"] == name.replace("\\", "/").rpartition("/")[2]
    assert client.form(GOOD, name="..").json["path"] in {"", ".."}
    assert len(client.form(GOOD, name="x" * 1000).json["path"]) <= 255


def test_a_path_or_an_address_in_place_of_a_picture_is_not_followed(client):
    refused(client.predict(b"http://127.0.0.1/picture.png", "text/uri-list"), 415)
    refused(client.form(b"x", field="url"), 400, "called image")
    body, boundary = form_body(b"", "", "", "", {"image": "/etc/hostname"})
    body = body[: body.rindex(b"Content-Disposition")].rpartition(b"--")[0] + f"--{boundary}--\r\n".encode()
    refused(client.predict(body, f"multipart/form-data; boundary={boundary}"), 400, "0 files")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=" + "b" * 300, b"--b--"),
    ],
)
def test_a_broken_form(client, kind, body):
    refused(client.predict(body, kind), 400)


def test_a_form_without_its_end(client):
    body, boundary = form_body(GOOD, "1.png", "image/png", "image", {})
    refused(
        client.predict(body[:-40], f"multipart/form-data; boundary={boundary}"), 400, "ends in the middle"
    )


def test_two_pictures_in_a_form(client):
    one, boundary = form_body(GOOD, "1.png", "image/png", "image", {})
    two = one.removesuffix(f"--{boundary}--\r\n".encode()) + one
    refused(client.predict(two, f"multipart/form-data; boundary={boundary}"), 400, "one picture a request")


def test_a_large_hostile_form_does_not_stop_the_others(client):
    body = (
        b"--b\r\n"
        + b'Content-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        + b"\r" * (15 << 20)
    )
    slowest = []
    done = threading.Event()

    def watch():
        while not done.is_set():
            began = time.monotonic()
            client.get("/health")
            slowest.append(time.monotonic() - began)

    watcher = threading.Thread(target=watch)
    watcher.start()
    reply = client.predict(body, "multipart/form-data; boundary=b")
    done.set()
    watcher.join()
    refused(reply, 400, "ends in the middle")
    assert max(slowest) < 2


# Slow ---------------------------------------------------------------------------------------


def test_a_slow_body(serve):
    client = Client(serve(limits=IMPATIENT).port)
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n"
    assert client.raw(head + b"some").startswith(b"HTTP/1.1 408")


def test_a_body_that_trickles(serve):
    client = Client(serve(limits=IMPATIENT).port)
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        began, answer = time.monotonic(), b""
        connection.settimeout(0.1)
        while not answer and time.monotonic() - began < 10:
            connection.sendall(b"x")
            try:
                answer = connection.recv(1 << 16)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")
