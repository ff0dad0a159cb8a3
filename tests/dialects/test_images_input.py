"""The pictures that callers send: data URLs, addresses, files."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from lib.canonical.images import InputImage
from lib.dialects.images_input import MAX_IMAGES, check_image, parse_image, parse_images
from lib.errors import InvalidRequest
from tests.canonical.pictures import gif, jpeg, png, webp


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    ("data", "kind"),
    [(png(), "image/png"), (gif(), "image/gif"), (jpeg(), "image/jpeg"), (webp(b"VP8L"), "image/webp")],
)
def test_a_picture_is_what_its_bytes_say(data: bytes, kind: str) -> None:
    assert parse_image(data_url(data), "image") == InputImage(kind, data)
    assert parse_image(InputImage("text/plain", data), "image") == InputImage(kind, data)


@pytest.mark.parametrize(
    "value",
    [
        data_url(png()),
        {"image_url": data_url(png())},
        {"image_url": {"url": data_url(png())}, "type": "image_url"},
        data_url(png()).replace("data:image", "DATA:image", 1),
    ],
)
def test_every_spelling_of_a_picture_is_read(value: Any) -> None:
    assert parse_images(value, "image") == (InputImage("image/png", png()),)
    assert len(parse_images([value, value], "images")) == 2


def test_a_public_address_is_kept_for_the_relay() -> None:
    found = parse_image({"image_url": "https://example.com/a.png"}, "images[0]")
    assert found == InputImage("", url="https://example.com/a.png")


@pytest.mark.parametrize(
    ("value", "param", "code"),
    [
        ("data:text/html;base64,PGh0bWw+", "image", "invalid_url"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "image", "invalid_url"),
        ("data:image/png,abc", "image", "invalid_url"),
        ("data:image/png;base64,PHN2Zy8+", "image", "invalid_image"),
        ("data:image/png;base64,###", "image", "invalid_base64"),
        ("data:image/png;base64,é", "image", "invalid_base64"),
        ("data:image/png;base64,", "image", "invalid_image"),
        (InputImage("image/png", b""), "image", "invalid_image"),
        (InputImage("image/png", b"<svg/>"), "image", "invalid_image"),
        (data_url(png(100_000, 10)), "image", "image_too_large"),
        (data_url(gif(16_000, 16_000)), "image", "image_too_large"),
        ("file:///etc/passwd", "image", "invalid_url"),
        ("/etc/passwd", "image", "invalid_url"),
        ("http://169.254.169.254/", "image", "invalid_url"),
        ("http://user@example.com/a.png", "image", "invalid_url"),
        ("https://example.com:8080/a.png", "image", "invalid_url"),
        (7, "image", "invalid_type"),
        ({"image_url": 7}, "image.image_url", "invalid_type"),
        ({}, "image.image_url", "missing_required_parameter"),
        ({"file_id": "file-1"}, "image.file_id", "unsupported_parameter"),
        ([], "image", "missing_required_parameter"),
        ([data_url(png()), "x"], "image[1]", "invalid_url"),
        ([[data_url(png())]], "image[0]", "invalid_type"),
    ],
)
def test_what_is_no_picture_is_refused(value: Any, param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_images(value, "image")
    assert (caught.value.param, caught.value.code, caught.value.status) == (param, code, 400)
    assert len(caught.value.message) < 300


def test_there_are_at_most_sixteen_pictures() -> None:
    assert len(parse_images([data_url(png())] * MAX_IMAGES, "image")) == MAX_IMAGES
    with pytest.raises(InvalidRequest, match="at most 16 pictures"):
        parse_images([data_url(png())] * (MAX_IMAGES + 1), "image")


def test_what_was_fetched_is_looked_at_in_the_same_way() -> None:
    assert check_image(InputImage("text/html", png()), "mask").media_type == "image/png"
