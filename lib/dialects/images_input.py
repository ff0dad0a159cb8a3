"""The pictures that a caller sends along: data URLs, addresses and files → checked `InputImage`s.

A picture is what its bytes say, whatever it is labelled with: PNG, JPEG, GIF or WebP. Addresses are judged by their
letters alone; whoever reads them looks closer.
"""

from __future__ import annotations

import binascii
from typing import Any

from lib.canonical.images import InputImage
from lib.canonical.pictures import measure
from lib.dialects.fields import missing, shown, unsupported, wrong_type, wrong_value
from lib.dialects.image_urls import check_web_url
from lib.errors import InvalidRequest

MAX_IMAGES = 16
MAX_SIDE = 16_384
MAX_PIXELS = 100_000_000

_HEADS = frozenset(f"data:image/{kind};base64" for kind in ("png", "jpeg", "jpg", "gif", "webp"))
_EXPECTED = "a data URL, an http(s) URL, or an object with one of these as 'image_url'"


def parse_images(value: Any, param: str) -> tuple[InputImage, ...]:
    """One picture, or a list of at most 16. Raises InvalidRequest for `param`."""
    if type(value) is not list:
        return (parse_image(value, param),)
    if not value:
        raise missing(param)
    if len(value) > MAX_IMAGES:
        raise wrong_value(param, f"at most {MAX_IMAGES} pictures", len(value))
    return tuple(parse_image(each, f"{param}[{place}]") for place, each in enumerate(value))


def parse_image(value: Any, param: str) -> InputImage:
    """One picture: a URL, `{"image_url": URL}`, or a file that was uploaded. Raises InvalidRequest for `param`."""
    if type(value) is InputImage:
        return check_image(value, param)
    if type(value) is dict:
        if value.get("file_id") is not None:
            raise unsupported(f"{param}.file_id", "this gateway keeps no files. Send the picture as a data URL.")
        value, param = value.get("image_url"), f"{param}.image_url"
        if type(value) is dict:  # as Chat Completions has it
            value, param = value.get("url"), f"{param}.url"
        if value is None:
            raise missing(param)
    if type(value) is not str:
        raise wrong_type(param, _EXPECTED, value)
    if value[:5].lower() == "data:":
        return check_image(InputImage("", _decoded(value, param)), param)
    check_web_url(value, param)
    return InputImage("", url=value)


def check_image(image: InputImage, param: str) -> InputImage:
    """The same bytes, labelled as what they are. Raises InvalidRequest for `param` when they are no picture or one
    that is too large to be meant well."""
    if not image.data:
        raise InvalidRequest(f"The picture in '{param}' is empty.", param=param, code="invalid_image")
    found = measure(image.data)
    if found is None:
        raise InvalidRequest(
            f"What was sent in '{param}' is not a PNG, JPEG, GIF or WebP picture.", param=param, code="invalid_image"
        )
    if max(found.width, found.height) > MAX_SIDE or found.width * found.height > MAX_PIXELS:
        raise InvalidRequest(
            f"The picture in '{param}' is too large: {found.size} pixels. At most {MAX_SIDE} a side and {MAX_PIXELS} "
            "in all are taken.",
            param=param,
            code="image_too_large",
        )
    return InputImage(found.media_type, image.data)


def _decoded(url: str, param: str) -> bytes:
    head, _, payload = url.partition(",")
    if head.lower() not in _HEADS:
        raise InvalidRequest(
            f"Invalid data URL in '{param}': it begins with {shown(head)}, and must begin with data:image/png, jpeg, "
            "gif or webp, then ;base64,",
            param=param,
            code="invalid_url",
        )
    try:
        return binascii.a2b_base64(payload, strict_mode=True)
    except ValueError as error:  # binascii.Error is one, and so is a character outside ASCII
        raise InvalidRequest(
            f"The data URL in '{param}' is not valid base64.", param=param, code="invalid_base64"
        ) from error
