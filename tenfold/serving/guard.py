"""Who may ask: the Host, Origin and token of a request, and the headers that keep a browser from harm."""

import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, quote, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenfold.serving.refusals import Refused

COOKIE = "tenfold_token"
# What a load balancer or an orchestrator asks without knowing a token.
OPEN = frozenset({"/health", "/ready"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
Refuse = Callable[[Refused, Scope, Receive, Send], Awaitable[None]]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address or name `host`."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Lets a request through to `app`, or refuses it.

    Without a `token` only this machine may ask, by one of its loopback names: a page elsewhere whose name was
    pointed at 127.0.0.1 (DNS rebinding) has another one. In a browser, only the server's own page may ask.
    """

    def __init__(self, app: ASGIApp, token: str | None, refuse: Refuse) -> None:
        self.app, self.token, self.refuse = app, token, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            signing_in = self._check(scope)
        except Refused as refused:
            await self.refuse(refused, scope, receive, send_guarded)
            return
        await (signing_in or self.app)(scope, receive, send_guarded)

    def _check(self, scope: Scope) -> ASGIApp | None:
        """None for a request that may pass, or the answer that keeps a token for the page."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        self._check_host(host)
        _check_origin(headers, host)
        if self.token is None or scope["path"] in OPEN:
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if given and scope["path"] == "/" and self._is_token(given[0]):
            return self._sign_in(scope)
        authorization = headers.get("authorization", "")
        bearer = authorization[7:] if authorization[:7].lower() == "bearer " else ""
        cookie = unquote(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""))
        if not (self._is_token(bearer.strip()) or self._is_token(cookie)):
            raise Refused(
                401,
                "This server asks for its token: open the address that `tenfold serve` printed, or send the header "
                "Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )
        return None

    def _check_host(self, host: str) -> None:
        if self.token is None and not is_loopback(_name_of(host)):
            raise Refused(
                403,
                "The Host header names another machine. This server answers only to localhost and 127.0.0.1; "
                "`tenfold serve --host ADDRESS` listens elsewhere, with a token.",
            )

    def _is_token(self, given: str) -> bool:
        return self.token is not None and secrets.compare_digest(given.encode(), self.token.encode())

    def _sign_in(self, scope: Scope) -> ASGIApp:
        answer = RedirectResponse("/", 303)
        # `quote` leaves a token of letters and digits as it is, and makes any other one a valid cookie.
        answer.set_cookie(
            COOKIE,
            quote(self.token or "", safe=""),
            httponly=True,
            samesite="lax",
            secure=scope["scheme"] == "https",
        )
        return answer


def _check_origin(headers: Headers, host: str) -> None:
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        raise Refused(403, "The Origin header names another site: only this server's own page may ask.")
    if headers.get("sec-fetch-site", "none") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
        raise Refused(403, "Another site's page sent this request: only this server's own page may ask.")


def _name_of(host: str) -> str:
    """The name or address in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
