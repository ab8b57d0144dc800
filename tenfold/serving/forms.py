"""A form's body (multipart/form-data) -> its one picture and its text fields, without a byte on the disk."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from tenfold.core.text import plural
from tenfold.serving.refusals import Refused

FIELDS, FIELD_BYTES = 4, 4096
LONGEST_NAME = 255


@dataclass(frozen=True)
class Form:
    """The file called image, with its type and the name that its sender gives it, and the other fields."""

    contents: bytes
    name: str
    kind: str
    fields: dict[str, str]


def parse_form(content_type: str, body: bytes) -> Form:
    """The form in a request's whole `body`. Raises Refused (400) unless it is complete and has exactly one file."""
    files: list[File] = []
    fields: list[Field] = []
    ended: list[bool] = []
    try:
        parser = FormParser(
            "multipart/form-data",
            fields.append,  # pyright: ignore[reportArgumentType]
            files.append,  # pyright: ignore[reportArgumentType]
            lambda: ended.append(True),
            boundary=parse_options_header(content_type)[1].get(b"boundary"),
            config={"MAX_MEMORY_FILE_SIZE": len(body) + 1},
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refused(400, f"The form cannot be read: {str(error)[:200]}") from None
    if not ended:
        raise Refused(400, "The form ends in the middle: its last boundary is missing.")
    return _checked(files, fields)


def _checked(files: list[File], fields: list[Field]) -> Form:
    if len(files) != 1 or files[0].field_name != b"image":
        raise Refused(
            400,
            f"The form has {plural(len(files), 'file')}. Expected one, called image: one picture a request.",
        )
    if len(fields) > FIELDS or any(len(field.value or b"") > FIELD_BYTES for field in fields):
        raise Refused(
            400, f"The form has too many fields, or too long ones: at most {FIELDS} of {FIELD_BYTES} bytes."
        )
    file = files[0]
    file.file_object.seek(0)
    kind = (file.content_type or "").partition(";")[0].strip().lower()
    texts = {_text(field.field_name): _text(field.value) for field in fields}
    return Form(file.file_object.read(), plain_name(_text(file.file_name)), kind, texts)


def plain_name(name: str) -> str:
    """The last part of a file name that a client gave, without control characters: for showing, not for opening."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return "".join(letter for letter in last if letter.isprintable())[:LONGEST_NAME]


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
