"""Names that come from elsewhere, as text that is safe to print: the one place where that is decided."""

import codecs
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

_BIDI = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}  # they let a name read as another one


def printable(name: str, keep: str = "") -> str:
    """A name as text that every file format holds and no terminal obeys.

    Control characters (all but those in `keep`), line separators, text-direction marks and bytes that are no UTF-8
    become backslash escapes.
    """
    if name.isprintable():
        return name
    return "".join(_escaped(letter) if letter not in keep else letter for letter in name)


def _escaped(letter: str) -> str:
    if _is_byte(letter):
        return _byte(letter)
    if unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} or ord(letter) in _BIDI:
        return letter.encode("unicode_escape").decode()
    return letter


def _is_byte(letter: str) -> bool:
    """Whether it stands for a byte of a file's name that is no UTF-8, as `os.fsdecode` has it."""
    return 0xDC80 <= ord(letter) <= 0xDCFF


def _byte(letter: str) -> str:
    return f"\\x{ord(letter) - 0xDC00:02x}"


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A key that sorts names as people do: `c2` before `c10`."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [_number(part) if part.isdecimal() else (1, 0, part) for part in parts], name


def _number(digits: str) -> tuple[int, int, str]:
    """A key that sorts digits by their number, however many there are: `int` refuses more than 4,300."""
    plain = digits.lstrip("0")
    return 0, len(plain), plain


def class_name(name: str) -> str:
    """A class's name as it is written everywhere: accents composed (NFC), no blanks at its ends."""
    return unicodedata.normalize("NFC", name).strip() or name


def plural(count: int, noun: str) -> str:
    """`1 file`, `2,000 files`, `2 classes`."""
    ends = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{'' if count == 1 else ends}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """The first names in quotes, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


# What common signs become where a stream's encoding lacks them; everything else becomes a backslash escape.
_PLAIN = {"±": "+/-", "…": "...", "×": "x", "−": "-", "–": "-", "—": "-", "’": "'", "≥": ">=", "≤": "<="}
# The name of an error handler for encoding text, after which no letter is an error.
SHOWABLE = "tenfold.showable"


def _plain(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: what cannot be encoded, in letters that every encoding has."""
    assert isinstance(error, UnicodeEncodeError)
    letter = error.object[error.start]
    if _is_byte(letter):
        return _byte(letter), error.start + 1
    escaped = letter.encode("ascii", "backslashreplace").decode()
    return _PLAIN.get(letter, escaped), error.start + 1


codecs.register_error(SHOWABLE, _plain)


def showable(text: str, encoding: str) -> str:
    """The text as a stream of that encoding can show it."""
    return text.encode(encoding, SHOWABLE).decode(encoding)


def read_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises ValueError for all that is none, also for nesting beyond all measure."""
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def file_lines(text: str) -> list[str]:
    """The lines of a file's text; `splitlines` also ends them at letters that a name may hold (U+2028, U+0085)."""
    return re.split(r"\r\n|\r|\n", text)


def cut(text: str, most: int = 80) -> str:
    """A text for a message: its beginning, where it is longer than that."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def gib(count: int) -> str:
    """A number of bytes in GiB, or in MiB below one."""
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"
