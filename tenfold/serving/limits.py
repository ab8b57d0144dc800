"""What one client, and all clients together, may take of the server."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds that hold before anything is decoded.

    image_bytes: the largest picture, encoded; pixels: the most it may have; waiting: pictures that are being
    answered or wait for it; upload_bytes: what all unfinished uploads together may hold in memory; connections:
    open ones; patience: seconds without progress that a client is granted, for the header and for the body;
    rate: bytes a second that an upload must come at after that.
    """

    image_bytes: int = 20 << 20
    pixels: int = 64_000_000
    waiting: int = 48
    upload_bytes: int = 256 << 20
    connections: int = 512
    patience: float = 10.0
    rate: int = 16 << 10

    @property
    def body_bytes(self) -> int:
        """The largest body: a picture, and a form's boundaries and fields around it."""
        return self.image_bytes + (16 << 10)
