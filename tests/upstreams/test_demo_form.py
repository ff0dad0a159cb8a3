from __future__ import annotations

import pytest

from lib.errors import InvalidRequest
from lib.upstreams.demo_form import parse_form

TYPE = "multipart/form-data; boundary=b"


def form(*parts: tuple[str, bytes], end: bytes = b"--b--\r\n") -> bytes:
    lines = (b"--b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), data) for head, data in parts)
    return b"".join(lines) + end


def test_fields_and_files_are_told_apart() -> None:
    sound = b"\x00\r\n--not it" * 50_000
    found = parse_form(
        form(
            ('name="a"', b"1"),
            ('name="a"', "ü".encode()),
            ('name="file"; filename="x y.wav"', sound),
            ('name="file"; filename="second"', b"2"),
        ),
        TYPE,
    )
    assert found.fields == {"a": ["1", "ü"]}
    assert found.files["file"].name == "x y.wav"
    assert found.files["file"].data == sound


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (form(), "multipart/form-data", 415),
        (b"", TYPE, 400),
        (b"no form at all", TYPE, 400),
        (form(('name="a"', b"1"), end=b""), TYPE, 400),
        (form(('name="a"', b"\xff")), TYPE, 400),
        (form(('name="a"', b"x" * 70_000)), TYPE, 400),
        (form(*[('name="a"', b"x")] * 129), TYPE, 400),
        (form(('name="a"\r\nX-Long: ' + "x" * 10_000, b"x")), TYPE, 400),
        (b"--b\r\nX: y\r\n\r\n1\r\n--b--\r\n", TYPE, 400),
    ],
)
def test_what_is_no_whole_form_is_refused(content: bytes, content_type: str, status: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_form(content, content_type)
    assert caught.value.status == status
