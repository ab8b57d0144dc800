"""A small model to serve, and requests to a server, down to single bytes."""

import io
import json
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tenfold.serving.limits import Limits

FIXTURES = Path(__file__).parents[1] / "fixtures"


@dataclass(frozen=True)
class Reply:
    """A server's answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Requests to a server, each on a connection of its own."""

    def __init__(self, port: int, **headers: str) -> None:
        self.port, self.headers = port, headers

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in {**self.headers, **headers}.items()}
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Reply(
                answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
            )
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, **headers)

    def predict(self, contents: bytes, kind: str = "image/png", path: str = "/predict") -> Reply:
        return self.request("POST", path, contents, Content_Type=kind)

    def form(
        self,
        contents: bytes,
        *,
        path: str = "/predict",
        name: str = "picture.png",
        kind: str = "image/png",
        field: str = "image",
        **fields: str,
    ) -> Reply:
        body, boundary = form_body(contents, name, kind, field, fields)
        return self.request("POST", path, body, Content_Type=f"multipart/form-data; boundary={boundary}")

    def raw(self, *pieces: bytes) -> bytes:
        """What comes back until the server closes, after sending `pieces` on one connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            # A server that refuses a body may close before all of it is sent; its answer is there all the same.
            with suppress(BrokenPipeError, ConnectionResetError):
                for piece in pieces:
                    connection.sendall(piece)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def form_body(contents: bytes, name: str, kind: str, field: str, fields: dict[str, str]) -> tuple[bytes, str]:
    boundary = secrets.token_hex(8)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
    parts += [f"{head}Content-Type: {kind}\r\n\r\n".encode(), contents, f"\r\n--{boundary}--\r\n".encode()]
    return b"".join(parts), boundary


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """(H, W, C) uint8, or (H, W), as a file's contents."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind, **options)
    return data.getvalue()


def noise(side: int = 8, seed: int = 0) -> np.ndarray:
    """A gray picture (side, side) that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)


GOOD = encoded(noise())  # a picture that the model of `exported` answers
IMPATIENT = Limits(patience=0.4, rate=1 << 20)  # what waits for nobody
