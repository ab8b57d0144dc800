"""A request's body -> one encoded picture, within limits of size and time and before anything is decoded."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import Request

from tenfold.serving.forms import parse_form
from tenfold.serving.limits import Limits
from tenfold.serving.refusals import ACCEPTED, Refused, busy

# Named in the description. What else calls itself an image is looked at, too: its header says what it is.
PICTURES = tuple(f"image/{kind}" for kind in ("png", "jpeg", "webp", "bmp", "gif", "tiff", "avif", "heic"))
RAW = "application/octet-stream"
# From so many bytes on, a form is parsed in another thread, so that other requests go on meanwhile.
LARGE_FORM = 1 << 18


@dataclass(frozen=True)
class Upload:
    """An encoded picture, the file name that its sender calls it by (never a path), and a form's other fields."""

    contents: bytes
    name: str = ""
    fields: dict[str, str] = field(default_factory=dict)


class Receiver:
    """Reads bodies; all that are unfinished at a time share one allowance of memory."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.held = limits, 0

    @contextmanager
    def upload(self) -> Iterator["Body"]:
        """A body to read, whose memory counts until the block ends."""
        body = Body(self)
        try:
            yield body
        finally:
            self.held -= body.size


class Body:
    """One request's body: at most `limits.body_bytes`, and not slower than `limits.rate`."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver, self.limits, self.size = receiver, receiver.limits, 0

    async def picture(self, request: Request) -> Upload:
        """The picture in `request`, as its body or as a form's file `image`.

        Raises Refused: 400 for none or more than one, 408, 413, 415, 503.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "multipart/form-data" and not _may_be_picture(kind):
            raise Refused(
                415,
                f"The content type {kind[:80]!r} is no picture's. Send a picture as image/png or the like, as {RAW}, "
                f"or as the file image of a form (multipart/form-data). Accepted: {ACCEPTED}.",
            )
        contents = await self._read(request)
        upload = await _form(request, contents) if kind == "multipart/form-data" else Upload(contents)
        if not upload.contents:
            raise Refused(400, "The picture is empty: send an image file's bytes.")
        if len(upload.contents) > self.limits.image_bytes:
            raise self._too_large()
        return upload

    async def _read(self, request: Request) -> bytes:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self.limits.body_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        began, chunks = time.monotonic(), aiter(request.stream())
        while True:
            left = began + self.limits.patience + self.size / self.limits.rate - time.monotonic()
            try:
                async with asyncio.timeout(min(left, self.limits.patience)):
                    parts.append(await anext(chunks))
            except StopAsyncIteration:
                return b"".join(parts)
            except TimeoutError:
                raise Refused(408, "The picture did not come in time.", {"Connection": "close"}) from None
            self._count(len(parts[-1]))

    def _count(self, more: int) -> None:
        self.size += more
        self.receiver.held += more
        if self.size > self.limits.body_bytes:
            raise self._too_large()
        if self.receiver.held > self.limits.upload_bytes:
            raise busy(1)

    def _too_large(self) -> Refused:
        return Refused(
            413, f"The picture is larger than {self.limits.image_bytes >> 20} MiB. Send a smaller one."
        )


async def _form(request: Request, body: bytes) -> Upload:
    kind = request.headers["content-type"]
    large = len(body) >= LARGE_FORM
    form = await asyncio.to_thread(parse_form, kind, body) if large else parse_form(kind, body)
    if not _may_be_picture(form.kind):
        raise Refused(415, f"This is no picture: its type is {form.kind[:80]!r}. Accepted: {ACCEPTED}.")
    return Upload(form.contents, form.name, form.fields)


def _may_be_picture(kind: str) -> bool:
    return kind in {"", RAW} or (kind.startswith("image/") and kind != "image/svg+xml")
