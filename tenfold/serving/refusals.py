"""Why a request is refused: an HTTP status and a sentence that says what would be accepted instead."""

from collections.abc import Mapping

from tenfold.core.text import plural

ACCEPTED = "PNG, JPEG, WebP, BMP, GIF, TIFF, AVIF, JPEG 2000, PPM, ICO, TGA; HEIC and DICOM with their extras"


class Refused(Exception):  # noqa: N818
    """A request that gets no answer: `status` (HTTP), `reason` for the client, and further headers."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})


def busy(seconds: float) -> Refused:
    """The refusal of a server that has enough to do for the next `seconds`."""
    wait = max(1, round(seconds + 0.5))
    return Refused(
        503, f"The server is busy. Try again in {plural(wait, 'second')}.", {"Retry-After": str(wait)}
    )
