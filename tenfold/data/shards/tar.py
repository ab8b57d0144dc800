"""Writing one shard: a tar file of WebDataset's form, whose bytes depend on nothing but its samples."""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tenfold.core.files import atomic
from tenfold.data.formats import Encoded, ending, is_picture, read_file

# Endings for pictures whose names have none, by Pillow's name of the format.
_ENDINGS = {"JPEG": ".jpg", "JPEG2000": ".jp2", "TIFF": ".tif"}


@dataclass(frozen=True)
class Sample:
    """A picture's bytes, its class, the key that its files share in the shard, and the ending of the picture's."""

    key: str
    ending: str
    contents: bytes
    label: str


def sample_of(key: str, path: str, encoded: Encoded, label: str) -> Sample:
    """A picture as it goes into a shard: the file's own bytes; pixels that were in no file become a PNG file.

    Raises BadPicture and OSError where there is no such file any more.
    """
    if isinstance(encoded, np.ndarray):
        file = io.BytesIO()
        Image.fromarray(encoded[..., 0] if encoded.shape[2] == 1 else encoded).save(file, "PNG")
        return Sample(key, ".png", file.getvalue(), label)
    contents = read_file(encoded) if isinstance(encoded, str) else encoded
    assert isinstance(contents, bytes)
    return Sample(key, ending(path) if is_picture(path) else _ending(contents), contents, label)


def _ending(contents: bytes) -> str:
    with Image.open(io.BytesIO(contents)) as image:
        name = image.format or ""
    return _ENDINGS.get(name, f".{name.lower()}")


def write_shard(path: Path, samples: Iterable[Sample]) -> tuple[list[int], str]:
    """Write a shard whole or not at all; where in it each picture's bytes begin, and the shard's SHA-256."""
    offsets: list[int] = []
    with atomic(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
            for sample in samples:
                offsets.append(archive.offset + tarfile.BLOCKSIZE)
                _add(archive, sample.key + sample.ending, sample.contents)
                _add(archive, f"{sample.key}.cls", sample.label.encode())
        digest = sha256(temporary)
    return offsets, digest


def _add(archive: tarfile.TarFile, name: str, contents: bytes) -> None:
    info = tarfile.TarInfo(name)  # of no time and no owner
    info.size = len(contents)
    archive.addfile(info, io.BytesIO(contents))


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
