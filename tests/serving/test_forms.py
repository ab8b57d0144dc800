"""A form's body -> one picture and its fields; anything else is refused by name."""

import pytest
from served import form_body

from tenfold.serving.forms import FIELD_BYTES, FIELDS, LONGEST_NAME, Form, parse_form, plain_name
from tenfold.serving.refusals import Refused

# A form without its end.
CUT = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx'


def parsed(contents=b"picture", name="a.png", kind="image/png", field="image", **fields) -> Form:
    body, boundary = form_body(contents, name, kind, field, fields)
    return parse_form(f'multipart/form-data; boundary="{boundary}"', body)


def test_a_form_has_one_file_and_its_fields():
    binary = bytes(range(256)) * 300
    found = parsed(binary, "größe.png", "Image/PNG; charset=x", label="Ärger", more="")
    assert found == Form(binary, "größe.png", "image/png", {"label": "Ärger", "more": ""})


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\a.png", "a.png"),
        ("a\x00b\n.png", "ab.png"),
        ("x" * 999, "x" * LONGEST_NAME),
        ("", ""),
    ],
)
def test_a_files_name_is_for_showing_only(name, shown):
    assert plain_name(name) == shown


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: parsed(field="file"), r"has 1 file\. Expected one, called image"),
        (lambda: parsed(**{f"f{number}": "" for number in range(FIELDS + 1)}), "too many fields"),
        (lambda: parsed(label="x" * (FIELD_BYTES + 1)), "too long ones"),
        (lambda: parse_form("multipart/form-data", b"x"), "cannot be read"),
        (lambda: parse_form("multipart/form-data; boundary=b", b"no form"), "cannot be read"),
        (
            lambda: parse_form("multipart/form-data; boundary=b", CUT),
            "ends in the middle",
        ),
        (lambda: parse_form("multipart/form-data; boundary=b", b"--b--\r\n"), r"has 0 files"),
    ],
)
def test_other_forms_are_refused(make, words):
    with pytest.raises(Refused, match=words) as refused:
        make()
    assert refused.value.status == 400
