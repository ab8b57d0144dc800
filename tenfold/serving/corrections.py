"""Pictures that the model got wrong, with the class that they are of: a folder that training reads as it is.

    CORRECTIONS/cat/3f2a....jpg     the picture, byte for byte as it came, named by a hash of its bytes
    CORRECTIONS/corrections.csv     path,label,predicted,probability,time: a row for each

`tenfold train --data CORRECTIONS` learns from the class folders. Wherever the server is killed, a picture lies in one
class folder at most, and the same correction, sent again, is kept as if nothing had happened.
"""

import csv
import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from tenfold.core.errors import TenfoldError
from tenfold.core.files import atomic, explained_write, remove_leftovers, sync
from tenfold.core.text import printable
from tenfold.data.formats import open_picture
from tenfold.data.sources.tree import is_junk
from tenfold.serving.refusals import Refused

FILE = "corrections.csv"
# What a stranger with a token can fill of the disk.
MOST = 100_000
SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "DIB": ".bmp", "JPEG2000": ".jp2"}


@dataclass(frozen=True)
class Correction:
    """Where a corrected picture lies in the folder, what it is, and what it was taken for."""

    path: str
    label: str
    predicted: str
    probability: float
    time: str


COLUMNS = [field.name for field in fields(Correction)]


class Corrections:
    """The corrections below `folder`, which is made with the first of them. Several processes may write to it."""

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self.folder, self.class_names = folder, tuple(class_names)

    def add(self, contents: bytes, label: str, predicted: str, probability: float) -> Correction:
        """Keep an encoded picture as one of class `label`; what was said of the same picture before is replaced.

        Raises Refused: 422 for a label that is no class or cannot name a folder, 507 beyond MOST pictures; and
        TenfoldError where the disk is full or the folder cannot be written.
        """
        self._check(label)
        digest = hashlib.blake2b(contents, digest_size=12).hexdigest()
        path = f"{label}/{digest}{_suffix(contents)}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        correction = Correction(path, label, predicted, probability, now)
        with explained_write(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock"):
                self._keep(contents, correction, digest)
        return correction

    def all(self) -> list[Correction]:
        """All corrections, in the order in which they came; a line that a kill left torn was never answered.

        Raises TenfoldError where the file is damaged.
        """
        path = self.folder / FILE
        try:
            rows = csv.reader(io.StringIO(_whole_lines(path.read_bytes()).decode(), newline=""), strict=True)
            return [_correction(row) for row in rows if row != COLUMNS]
        except FileNotFoundError:
            return []
        except (ValueError, csv.Error) as error:
            raise TenfoldError(
                f"{path}: is damaged ({error}). Restore it, or move it away: the pictures stay, and training reads "
                "only those."
            ) from None

    def _check(self, label: str) -> None:
        if label not in self.class_names:
            raise Refused(422, f"{label[:80]!r} is none of the model's classes.")
        if not _names_a_folder(label):
            raise Refused(
                422,
                f"The class {label[:80]!r} cannot name a folder that training would read back under this name, so "
                "its corrections cannot be kept.",
            )

    def _keep(self, contents: bytes, correction: Correction, digest: str) -> None:
        before = self.all()
        others = [other for other in before if Path(other.path).stem != digest]
        if len(others) >= MOST:
            raise Refused(
                507, f"There are {MOST:,} corrections already. Train with them, then move them away."
            )
        target = self.folder / correction.path
        self._put(contents, target)
        if len(others) == len(before):
            self._append(correction)
            return
        with atomic(self.folder / FILE) as temporary:
            temporary.write_text(_lines([*others, correction], header=True), encoding="utf-8", newline="")

    def _put(self, contents: bytes, target: Path) -> None:
        """Have the picture lie at `target` and nowhere else: from the folder of another class it is moved."""
        target.parent.mkdir(exist_ok=True)
        remove_leftovers(target.parent)
        for name in filter(_names_a_folder, self.class_names):
            there = self.folder / name / target.name
            if there.is_file():
                there.replace(target)
                sync(target.parent)
        if not target.is_file():
            with atomic(target) as temporary:
                temporary.write_bytes(contents)

    def _append(self, correction: Correction) -> None:
        path = self.folder / FILE
        if path.exists():
            os.truncate(path, len(_whole_lines(path.read_bytes())))
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(_lines([correction], header=file.tell() == 0))
            file.flush()
            os.fsync(file.fileno())


def _lines(corrections: Sequence[Correction], *, header: bool) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows(map(astuple, corrections))
    return text.getvalue()


def _correction(row: list[str]) -> Correction:
    """A row's correction. Raises ValueError where it is none."""
    if len(row) != len(COLUMNS):
        raise ValueError(f"a line has {len(row)} values, expected {','.join(COLUMNS)}")
    path, label, predicted, probability, time = row
    return Correction(path, label, predicted, float(probability), time)


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _names_a_folder(label: str) -> bool:
    """Whether a folder of this name is read back as a class of this name."""
    separators = set(label) & {"/", "\\", "\0", ":"}
    hidden = not label or is_junk(label) or label != label.strip()
    return not (separators or hidden or len(os.fsencode(label)) > 200 or printable(label) != label)


def _suffix(contents: bytes) -> str:
    """The ending of a picture's file by what it is, whatever it was called."""
    kind = open_picture(contents, "", None)[0].format or "PNG"
    return SUFFIXES.get(kind, f".{kind.lower()}")
