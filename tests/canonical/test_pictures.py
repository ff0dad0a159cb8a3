"""Format and size out of a picture's first bytes."""

from __future__ import annotations

import base64
import time

import pytest

from lib.canonical.pictures import measure, media_type, size_of
from tests.canonical.pictures import gif, jpeg, png, webp


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (png(640, 480), "image/png"),
        (gif(640, 480), "image/gif"),
        (jpeg(640, 480), "image/jpeg"),
        (webp(b"VP8X", 640, 480), "image/webp"),
        (webp(b"VP8L", 640, 480), "image/webp"),
        (webp(b"VP8 ", 640, 480), "image/webp"),
    ],
)
def test_every_format_tells_its_size(data: bytes, kind: str) -> None:
    found = measure(data)
    assert found is not None
    assert (found.media_type, found.size) == (kind, "640x480")
    assert media_type(base64.b64encode(data).decode()) == kind
    assert all(measure(data[:end]) in (None, found) for end in range(len(data)))


@pytest.mark.parametrize(
    "before",
    [b"", b"\xff\xff\xff\xe1\x00\x03a", b"\xff\x01\xff\xc4\x00\x02", b"\xff\xe1\x00\x00\xff\xdb\x00\x02"],
    ids=["nothing", "fill bytes", "bare and table", "a length that is too short"],
)
def test_a_jpeg_is_walked_up_to_its_frame(before: bytes) -> None:
    found = measure(jpeg(8, 9, before=before) if before else b"\xff\xd8" + jpeg(8, 9)[8:])
    assert found is not None and found.size == "8x9"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<html>",
        png(0, 3),
        b"\x89PNG\r\n\x1a\n" + b"x" * 30,
        b"\xff\xd8\xff\xd9" + b"\0" * 20,
        b"RIFF\0\0\0\0WEBPVP8Z" + b"\0" * 30,
        b"RIFF\0\0\0\0WAVE" + b"\0" * 30,
    ],
)
def test_what_is_no_picture_has_no_size(data: bytes) -> None:
    assert measure(data) is None


def test_an_endless_jpeg_is_given_up_soon() -> None:
    started = time.perf_counter()
    assert measure(b"\xff\xd8" + b"\xff" * 4_000_000) is None
    assert measure(b"\xff\xd8\xff" + b"\xe0\x00\x02\xff" * 1_000_000) is None
    assert time.perf_counter() - started < 0.2


def test_the_size_of_base64_is_told_by_its_beginning() -> None:
    assert size_of(base64.b64encode(png(7, 5) * 100).decode()) == "7x5"
    assert size_of("no base64 at all!") is None
    assert media_type("é") is None
