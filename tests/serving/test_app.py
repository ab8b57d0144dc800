"""The routes."""

import pytest


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("GET", "/../etc/passwd", 404),
        ("POST", "/nothing", 404),
        ("GET", "/page/", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
    ],
)
def test_other_paths_and_methods(client, method, path, status):
    reply = client.request(method, path)
    assert reply.status == status
    assert "error" in reply.json
