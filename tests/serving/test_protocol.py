"""Slow, endless and malformed requests, and clients that go away."""

import socket
import struct
import time

import pytest
from served import GOOD, IMPATIENT, Client, read_all

from tenfold.serving.limits import Limits

pytestmark = pytest.mark.usefixtures("still_answering")


@pytest.mark.parametrize("head", [b"", b"POST /pre", b"GET / HTTP/1.1\r\nHost: localh"])
def test_a_header_that_does_not_come(serve, head):
    client = Client(serve(limits=IMPATIENT).port)
    assert client.raw(head).startswith(b"HTTP/1.1 408")


def test_a_header_that_trickles(serve):
    client = Client(serve(limits=IMPATIENT).port)
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        began = time.monotonic()
        closed = False
        while not closed and time.monotonic() - began < 10:
            time.sleep(0.05)
            try:
                connection.sendall(b"X: y\r\n")
            except (BrokenPipeError, ConnectionResetError):
                closed = True
    assert time.monotonic() - began < 5


def test_an_endless_header(client):
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Padding: " + b"x" * 60_000
    assert client.raw(head).startswith(b"HTTP/1.1 431")


def test_what_is_no_http(client):
    assert client.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_a_kept_connection_answers_again_and_again(client):
    head = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n"
        % len(GOOD)
    )
    request = head + b"\r\n" + GOOD
    last = head + b"Connection: close\r\n\r\n" + GOOD
    assert client.raw(request, request, last).count(b"HTTP/1.1 200") == 3


def test_clients_that_go_away(client):
    head = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
    )
    for sent in (head % 5000 + b"half", head % len(GOOD) + GOOD, b"GE"):
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            connection.sendall(sent)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.2)
    assert "tenfold_pending_images 0.0" in client.get("/metrics").body.decode()


def test_too_many_connections(serve):
    client = Client(serve(limits=Limits(connections=3)).port)
    held = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(3)]
    time.sleep(0.2)
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as one_more:
        answer = read_all(one_more)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after" in answer
    for connection in held:
        connection.close()
    time.sleep(0.2)
    assert client.predict(GOOD).status == 200
