"""Image requests, generations and edits → `ImagesRequest`. The tables say what becomes of each parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from lib.canonical.images import ImagesRequest, InputImage
from lib.dialects.fields import (
    Check,
    Field,
    Fields,
    Table,
    Treatment,
    anything,
    ask,
    boolean,
    identifier,
    integer,
    missing,
    one_of,
    read,
)
from lib.dialects.images_input import MAX_IMAGES, parse_image, parse_images
from lib.dialects.shared_rows import MODEL, model_of
from lib.errors import InvalidRequest

MAX_PROMPT_CHARS = 32_000
MAX_N = 10

_PASSED, _REFUSED = Treatment.PASSED, Treatment.REFUSED

_IDENTIFIER = identifier(512)
_PROMPT = Check(
    f"a string of 1 to {MAX_PROMPT_CHARS} characters",
    (str,),
    lambda value: 1 <= len(value) <= MAX_PROMPT_CHARS,
    keywords={"minLength": 1, "maxLength": MAX_PROMPT_CHARS},
)
_SIZE_FORM = re.compile(r"[1-9][0-9]{1,4}x[1-9][0-9]{1,4}")
_SIZE = Check(
    "'auto' or a size such as '1024x1024'",
    (str,),
    lambda value: value == "auto" or _SIZE_FORM.fullmatch(value) is not None,
    keywords={"pattern": f"^(auto|{_SIZE_FORM.pattern})$"},
)
_PICTURE = Check("a data URL, an http(s) URL or an object with an 'image_url'", (str, dict, InputImage))
_PICTURES = Check("a picture or an array of them", (str, dict, list, InputImage))
_SMALL = ("256x256", "512x512")
"""Sizes that only retired models make."""
_TO_EDITS = "pictures are sent to POST /v1/images/edits."

_COMMON = (
    Field("prompt", _PROMPT, required=True),
    MODEL,
    Field("n", integer(1, MAX_N)),
    Field("stream", boolean),
    Field("response_format", one_of("url", "b64_json")),
    Field("size", _SIZE, neutral=("auto",), treatment=_PASSED),
    Field(
        "quality",
        one_of("auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"),
        neutral=("auto",),
        treatment=_PASSED,
    ),
    Field("style", one_of("vivid", "natural"), treatment=_PASSED),
    Field("background", one_of("auto", "opaque", "transparent"), neutral=("auto",), treatment=_PASSED),
    Field("output_format", one_of("png", "jpeg", "webp", jpg="jpeg"), neutral=("png",), treatment=_PASSED),
    Field("output_compression", integer(0, 100), neutral=(100,), treatment=_PASSED),
    Field("moderation", one_of("auto", "low"), neutral=("auto",), treatment=_PASSED),
    Field("partial_images", integer(0, 3), neutral=(0,), treatment=_PASSED),
    Field("user", _IDENTIFIER, neutral=("",), treatment=_PASSED),
    Field("safety_identifier", _IDENTIFIER, neutral=("",), treatment=_PASSED),
)
"""`model`, `n`, `stream` and `response_format` are the gateway's own affair; the rest an upstream takes or not."""

GENERATION = Table(
    *_COMMON,
    Field("image", anything, treatment=_REFUSED, reason=_TO_EDITS),
    Field("images", anything, treatment=_REFUSED, reason=_TO_EDITS),
    Field("mask", anything, treatment=_REFUSED, reason=_TO_EDITS),
)

EDIT = Table(
    *_COMMON,
    Field("image", _PICTURES),
    Field("images", _PICTURES),
    Field("mask", _PICTURE),
    Field("input_fidelity", one_of("low", "high"), neutral=("low",), treatment=_PASSED),
)


def parse_generation(body: Mapping[str, Any]) -> ImagesRequest:
    """`POST /v1/images/generations`. Raises InvalidRequest, which names the field and says what to send."""
    return _request(read(GENERATION, body))


def parse_edit(body: Mapping[str, Any]) -> ImagesRequest:
    """`POST /v1/images/edits`, from JSON or from a form (`images_form.body_of`). Raises InvalidRequest."""
    fields = read(EDIT, body)
    values = fields.values
    images = tuple(
        image for name in ("image", "images") if name in values for image in parse_images(values[name], name)
    )
    if not images:
        raise missing("image")
    if len(images) > MAX_IMAGES:
        raise InvalidRequest(
            f"There are {len(images)} pictures; at most {MAX_IMAGES} are taken.", param="image", code="invalid_value"
        )
    mask = parse_image(values["mask"], "mask") if "mask" in values else None
    return _request(fields, is_edit=True, images=images, mask=mask)


def _request(
    fields: Fields,
    *,
    is_edit: bool = False,
    images: tuple[InputImage, ...] = (),
    mask: InputImage | None = None,
) -> ImagesRequest:
    values, asked = fields.values, fields.asked
    n, stream = values.get("n", 1), values.get("stream", False)
    if values.get("size") in _SMALL:
        ask(asked, "size.small", asked.pop("size"))
    if "partial_images" in asked:
        if not stream:
            ask(asked, "partial_images.whole", asked.pop("partial_images"))
        elif n > 1:
            raise InvalidRequest(
                "'partial_images' goes with one picture at a time: nothing in the stream would say which of them a "
                'partial image belongs to. Leave it out, or send "n": 1.',
                param="partial_images",
                code="unsupported_value",
            )
    if stream and values.get("response_format") == "url":
        ask(asked, "response_format.streamed", "response_format")
    prompt = values["prompt"]
    owner = values.get("user") or values.get("safety_identifier")
    return ImagesRequest(
        model=model_of(fields),
        prompt=prompt,
        is_edit=is_edit,
        images=images,
        mask=mask,
        n=n,
        stream=stream,
        response_format=values.get("response_format"),
        parameters=fields.parameters,
        asked=asked,
        affinity=owner or blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
    )
