"""A request's body -> one encoded picture, within limits of size and time and before anything is decoded."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from tenfold.serving.limits import Limits
from tenfold.serving.refusals import Refused, busy

PICTURES = frozenset(
    f"image/{kind}"
    for kind in ("png", "jpeg", "jpg", "pjpeg", "webp", "bmp", "x-ms-bmp", "gif", "tiff", "x-png")
)
RAW = PICTURES | {"application/octet-stream", ""}
ACCEPTED = "image/png, image/jpeg, image/webp, image/bmp, image/gif, image/tiff or application/octet-stream"
LONGEST_NAME = 255


@dataclass(frozen=True)
class Upload:
    """An encoded picture, the file name that its sender calls it by (never a path), and a form's other fields."""

    contents: bytes
    name: str
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
        if kind != "multipart/form-data" and kind not in RAW:
            raise Refused(
                415,
                f"The content type {kind[:80]!r} is not one of a picture. Send {ACCEPTED}, or a form "
                "(multipart/form-data) with a file called image.",
            )
        contents = await self._read(request)
        upload = await _form(request, contents) if kind == "multipart/form-data" else Upload(contents, "")
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
                parts.append(await asyncio.wait_for(anext(chunks), min(left, self.limits.patience)))
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
    """The file `image` of a form, and its text fields."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), 1 << 18):
            yield body[start : start + (1 << 18)]
            await asyncio.sleep(0)  # Other requests go on while a large form is parsed.

    parser = _Parser(request.headers, chunks(), max_files=1, max_fields=4, max_part_size=4096)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(400, f"The form cannot be read: {error.message}") from None
    try:
        file = form.get("image")
        if not isinstance(file, UploadFile):
            raise Refused(400, "The form has no file called image.")
        kind = (file.content_type or "").partition(";")[0].strip().lower()
        if kind not in RAW:
            raise Refused(
                415, f"The file's content type {kind[:80]!r} is not one of a picture. Send {ACCEPTED}."
            )
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        return Upload(await file.read(), plain_name(file.filename or ""), fields)
    finally:
        await form.close()


class _Parser(MultiPartParser):
    spool_max_size = (
        1 << 40
    )  # The body is in memory and bounded already: nothing is ever written to the disk.


def plain_name(name: str) -> str:
    """The last part of a file name that a client gave, without control characters: for showing, not for opening."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return "".join(letter for letter in last if letter.isprintable())[:LONGEST_NAME]


__all__ = ["Body", "ClientDisconnect", "Receiver", "Upload", "plain_name"]
