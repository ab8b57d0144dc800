"""`tenfold serve`: load the model, open the port, answer until told to stop."""

import os
import secrets
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import uvicorn
from PIL import Image

from tenfold.core.errors import InputError, TenfoldError
from tenfold.serving.app import Service, build_app
from tenfold.serving.guard import is_loopback
from tenfold.serving.limits import Limits
from tenfold.serving.model import open_served
from tenfold.serving.protocol import protocol_with

if TYPE_CHECKING:
    from tenfold.models import OwnModel

GRACE = 5  # seconds that requests get to end when the server stops


class Server:
    """A model that answers at `url`: in this thread with `run`, or behind the program with `start` and `close`.

    Opens the port first, so that a taken one is told before the model loads. Raises InputError for a port that cannot
    be had, and what `open_served` raises.
    """

    def __init__(
        self,
        run: str | Path,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        token: str | None = None,
        corrections: str | Path | None = None,
        limits: Limits | None = None,
        own: "OwnModel | None" = None,
    ) -> None:
        self.host = host
        limits = limits or Limits()
        self.token = _token_for(host, token)
        self._socket = _listen(host, port)
        try:
            self.model = open_served(run, own)
            folder = Path(corrections or Path("corrections") / self.model.name)
            self.service = Service(self.model, limits, folder)
        except BaseException:
            self._socket.close()
            raise
        self._server = uvicorn.Server(
            uvicorn.Config(
                build_app(self.service, self.token),
                http=protocol_with(limits),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        """The page's address; with the token, where there is one."""
        name = socket.gethostname() if self.host in {"0.0.0.0", "::", ""} else self.host
        shown = f"[{name}]" if ":" in name else name
        return f"http://{shown}:{self.port}/" + (f"?token={quote(self.token, safe='')}" if self.token else "")

    def run(self) -> None:
        """Answer until SIGINT (Ctrl-C) or SIGTERM, then end quietly: what was begun is answered first."""
        print(self._announcement(), flush=True)
        with warnings.catch_warnings():
            # Pictures beyond the limit are refused; Pillow's own warning about them would only fill the terminal.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with suppress(KeyboardInterrupt), self._open():
                self._server.run([self._socket])

    def start(self) -> "Server":
        """Answer on a thread of its own, which ends with the program at the latest."""
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="serve", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise TenfoldError(f"the server at {self.url} ended as it began; see the messages above.")
            time.sleep(0.01)
        return self

    def wait(self) -> None:
        """Return when the server has been closed."""
        assert self._thread is not None, "start the server first"
        self._thread.join()

    def close(self) -> None:
        """Stop: no new connections, what was begun is answered."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(GRACE + 5)
        self.service.engine.close()
        self._socket.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Server({self.model.name!r} at {self.url})"

    def _announcement(self) -> str:
        model = self.model
        lines = [
            f"{model.name}: {len(model.contract.class_names)} classes, answered by {model.predictor.name}",
            f"  the page: {self.url}",
            f"  for programs: POST {self.url.partition('?')[0]}predict (described in /openapi.json)",
        ]
        if self.token:
            lines.append("  clients send: Authorization: Bearer TOKEN, with the token of the page's address")
        return "\n".join([*lines, *model.notes, "  Ctrl-C ends it."])

    @contextmanager
    def _open(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.service.engine.close()


def _token_for(host: str, token: str | None) -> str | None:
    """What clients must send: nothing on this machine alone, else the token given or a new one."""
    token = token or os.environ.get("TENFOLD_TOKEN") or None
    if token is not None and (
        not token.isascii() or not token.isprintable() or len(token) < 8 or " " in token
    ):
        raise InputError("TENFOLD_TOKEN: expected at least 8 printable ASCII characters without spaces.")
    return token or (None if is_loopback(host) else secrets.token_urlsafe(24))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except socket.gaierror as error:
        raise InputError(
            f"--host {host}: there is no such address ({error.strerror}). Use 127.0.0.1 for this machine alone, "
            "0.0.0.0 for all its addresses."
        ) from None
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--port {port}: cannot be listened on at {host} ({error}). Choose another, or --port 0 for a free one."
        ) from None
