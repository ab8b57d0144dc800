"""Who may ask: Host, Origin, token, and the headers of every answer."""

import pytest
from served import Client, encoded, noise

from tenfold.core.errors import InputError
from tenfold.serving.guard import is_loopback
from tenfold.serving.server import Server

GOOD = encoded(noise())


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "127.5.5.5", "a.localhost"],
)
def test_names_of_this_machine_may_ask(client, host):
    assert client.get("/health", Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.1.4",
        "",
        "[",
        "[::1",
    ],
)
def test_other_names_may_not(client, host):
    for path in ("/", "/health", "/model"):
        reply = client.get(path, Host=host)
        assert reply.status == 403
        assert "Host" in reply.json["error"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://localhost.evil.example", "http://localhost:1"]
)
def test_another_sites_page_may_not_ask(client, origin):
    reply = client.request("POST", "/predict", GOOD, Content_Type="image/png", Origin=origin)
    assert reply.status == 403
    assert "Origin" in reply.json["error"]


def test_the_own_page_may_ask(client):
    origin = f"http://127.0.0.1:{client.port}"
    assert client.request("POST", "/predict", GOOD, Content_Type="image/png", Origin=origin).status == 200


def test_a_browser_that_says_cross_site_without_an_origin(client):
    assert client.get("/model", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status == 403
    assert client.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/health", "/nothing", "/predict"])
def test_every_answer_is_guarded(client, path):
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_elsewhere_than_here_a_token_is_asked_for(serve, monkeypatch):
    monkeypatch.delenv("TENFOLD_TOKEN", raising=False)
    server = serve(host="0.0.0.0")
    assert server.token is not None
    assert len(server.token) >= 32
    assert server.token in server.url
    client = Client(server.port)
    for path in ("/", "/model", "/metrics", "/openapi.json", "/page.js", "/nothing"):
        reply = client.get(path)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Bearer"
    assert client.predict(GOOD).status == 401
    assert client.get("/health").status == client.get("/ready").status == 200
    for wrong in (
        "Bearer wrong",
        "Bearer ",
        server.token,
        f"Basic {server.token}",
        f"Bearer {server.token}x",
    ):
        assert client.get("/model", Authorization=wrong).status == 401
    known = Client(server.port, Authorization=f"Bearer {server.token}", Host="classifier.example:80")
    assert known.predict(GOOD).status == 200
    assert known.get("/", Origin="http://evil.example").status == 403


def test_the_address_with_the_token_signs_the_page_in(serve):
    server = serve(token="a secret-word".replace(" ", "-"))
    client = Client(server.port)
    assert client.get("/?token=wrong").status == 401
    reply = client.get(f"/?token={server.token}")
    assert reply.status == 303
    assert reply.headers["location"] == "/"
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert client.get("/", Cookie=cookie.partition(";")[0]).status == 200
    assert client.get("/", Cookie="tenfold_token=wrong").status == 401


@pytest.mark.parametrize("token", ["short", "with a space in", "wörter-und-mehr"])
def test_a_poor_token_is_refused(exported, token):
    with pytest.raises(InputError, match="at least 8"):
        Server(exported, port=0, token=token)


def test_a_token_of_any_letters_works_as_a_cookie(serve):
    server = serve(token='a;b,c="d\\e%20f')
    client = Client(server.port)
    reply = client.request("GET", "/?token=a%3Bb%2Cc%3D%22d%5Ce%2520f")
    assert reply.status == 303
    assert client.get("/", Cookie=reply.headers["set-cookie"].partition(";")[0]).status == 200
    assert "%2520f" in server.url


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("", False),
        ("::", False),
        ("10.0.0.1", False),
    ],
)
def test_what_counts_as_here(host, here):
    assert is_loopback(host) is here
