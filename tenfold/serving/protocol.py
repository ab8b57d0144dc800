"""HTTP/1.1 by uvicorn, with what it leaves open: slow or endless headers, and bodies that nobody wants any more."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tenfold.serving.limits import Limits

LARGEST_HEADER = 32 << 10  # bytes


def protocol_with(limits: Limits) -> type[HttpToolsProtocol]:
    """The protocol class that holds every connection to `limits`, for uvicorn's setting `http`."""

    class Bounded(_Bounded):
        bounds = limits

    return Bounded


class _Bounded(HttpToolsProtocol):
    """Closes a connection whose header, or whose refused body, does not end within the client's time."""

    bounds: Limits
    deadline: asyncio.TimerHandle | None = None
    header_bytes = 0
    complete = True

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            self._refuse(
                "503 Service Unavailable", "The server has too many connections.", "retry-after: 1\r\n"
            )
        else:
            self._wait("No request came in time.")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if not self.complete or self.deadline is None:
            return
        self.header_bytes += len(data)
        if self.header_bytes > LARGEST_HEADER:
            self._refuse("431 Request Header Fields Too Large", f"A header may have {LARGEST_HEADER} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.header_bytes = 0
        self._wait("The header did not come in time.")

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        self.complete = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.complete = True
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.complete and not self.transport.is_closing():
            # The answer came before the body's end: let the client read it, but not send for ever.
            self._wait(None)

    def _wait(self, reason: str | None) -> None:
        self._stop_waiting()
        self.deadline = self.loop.call_later(self.bounds.patience, self._give_up, reason)

    def _stop_waiting(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _give_up(self, reason: str | None) -> None:
        self.deadline = None
        if reason is None or self.transport.is_closing():
            self.transport.close()
        else:
            self._refuse("408 Request Timeout", reason)

    def _refuse(self, status: str, reason: str, more: str = "") -> None:
        body = f'{{"error": "{reason}"}}'
        self._stop_waiting()
        self.transport.write(
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"{more}connection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()
