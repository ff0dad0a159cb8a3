"""Pictures → the Images API: one body, or server-sent events. Shapes as the OpenAI package's types have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lib import sse
from lib.canonical.images import FinishedImage, ImagesRequest, ImagesResult, PartialImage
from lib.canonical.pictures import media_type, size_of
from lib.errors import GatewayError

_LOOK = ("background", "output_format", "quality", "size")
_DEFAULT_LOOK = {"background": "auto", "output_format": "png", "quality": "auto", "size": "auto"}
_NO_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
"""Typed clients read the counts of a finished picture without asking whether there are any."""


def whole(result: ImagesResult) -> dict[str, Any]:
    """The body of an answer that is not streamed. What nobody named is left out."""
    body: dict[str, Any] = {"created": result.created, "data": [_datum(picture) for picture in result.pictures]}
    look = {name: getattr(result, name) for name in _LOOK}
    first = result.pictures[0].b64_json if result.pictures else None
    if first is not None:
        look["size"] = look["size"] or size_of(first)
        look["output_format"] = look["output_format"] or _format_of(first)
    body.update({name: value for name, value in look.items() if value is not None})
    if result.usage is not None:
        body["usage"] = result.usage
    return body


def partial(request: ImagesRequest, image: PartialImage, created: int) -> bytes:
    """The frame for a picture that is not finished."""
    look = {name: getattr(image, name) for name in _LOOK}
    fields = {"partial_image_index": image.index, "created_at": created}
    return _frame(request, "partial_image", image.b64_json, look, fields)


def completed(request: ImagesRequest, result: ImagesResult) -> bytes:
    """The frames for finished pictures in base64, one each; what they cost stands at the last one."""
    look = {name: getattr(result, name) for name in _LOOK}
    frames = []
    for place, picture in enumerate(result.pictures, 1):
        usage = result.usage if place == len(result.pictures) else None
        fields: dict[str, Any] = {"created_at": result.created, "usage": usage or _NO_USAGE}
        if picture.revised_prompt is not None:
            fields["revised_prompt"] = picture.revised_prompt
        frames.append(_frame(request, "completed", picture.b64_json or "", look, fields))
    return b"".join(frames)


def failed(error: GatewayError) -> bytes:
    """The end of a stream that broke. The official packages raise on it; nothing follows."""
    return sse.encode(msgspec.json.encode({"type": "error", **error.envelope()}), "error")


def _frame(
    request: ImagesRequest, name: str, b64_json: str, look: Mapping[str, str | None], fields: Mapping[str, Any]
) -> bytes:
    """What the upstream did not say of a picture's look is read from the picture, else it is what was asked for."""
    kind = f"{'image_edit' if request.is_edit else 'image_generation'}.{name}"
    seen = {"size": size_of(b64_json), "output_format": _format_of(b64_json)}
    asked = request.parameters
    shown = {each: look[each] or seen.get(each) or asked.get(each) or _DEFAULT_LOOK[each] for each in _LOOK}
    return sse.encode(msgspec.json.encode({"type": kind, "b64_json": b64_json, **shown, **fields}), kind)


def _datum(picture: FinishedImage) -> dict[str, str]:
    members = {"b64_json": picture.b64_json, "url": picture.url, "revised_prompt": picture.revised_prompt}
    return {name: value for name, value in members.items() if value is not None}


def _format_of(b64_json: str) -> str | None:
    found = media_type(b64_json)
    return None if found is None else found.removeprefix("image/")
