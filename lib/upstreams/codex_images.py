"""Pictures on ChatGPT accounts: the two image endpoints of the Codex backend. JSON in, JSON out, one picture a call.

The backend takes no files, so those travel as data URLs; it gives no addresses, and no picture before it is finished.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from lib.canonical.images import ImagesRequest
from lib.errors import InvalidRequest, UpstreamError
from lib.types import Lease
from lib.upstreams import codex_errors, codex_limits
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.image_results import MAX_ANSWER_BYTES, WholeAnswer, data_url

_PASSED = ("output_format", "output_compression", "moderation", "input_fidelity")
_RETIRED = frozenset({"dall-e-2", "dall-e-3", "gpt-image-1"})
"""Names that clients still send by default, and no upstream serves any more: the default model is meant."""
_QUALITIES = {"standard": "medium", "hd": "high"}
"""The words of retired models."""
_SMALL = {"256x256": "1024x1024", "512x512": "1024x1024"}
"""What the models of today no longer make, and the next size that they do."""

_ANY_SIZE = re.compile(r"gpt-image-2(?:-.*)?")
"""The models whose rules for sizes are known; of the others the backend speaks for itself."""
_STEP = 16
_MAX_EDGE = 3840
_MAX_RATIO = 3
_PIXELS = (655_360, 8_294_400)


class CodexImages:
    """`lib.types.ImageUpstream` for the Codex backend. model: for callers who name none, or a retired one.
    max_answer_bytes: the longest answer that is read."""

    image_accepts = frozenset({"size", "quality", "background", *_PASSED})
    max_pictures = 1

    def __init__(self, api: CodexApi, *, model: str, max_answer_bytes: int = MAX_ANSWER_BYTES) -> None:
        self._api = api
        self._model = model
        self._max_answer_bytes = max_answer_bytes

    async def images(self, request: ImagesRequest, lease: Lease, *, timeout_s: float) -> WholeAnswer:
        body = shape(request, default_model=self._model)
        answer = await self._api.open(
            "POST",
            "/images/edits" if request.is_edit else "/images/generations",
            lease,
            accept="application/json",
            content=msgspec.json.encode(body),
            timeout_s=timeout_s,
        )
        windows = codex_limits.from_headers(answer.headers, self._api.now())

        def refusal(body: bytes) -> UpstreamError:
            return codex_errors.from_http(answer.status, answer.headers, body, windows, self._api.now())

        if answer.status == 200:
            return WholeAnswer(answer, max_bytes=self._max_answer_bytes, now=self._api.now, refusal=refusal)
        try:
            raise await self._api.refusal(answer, windows)
        finally:
            await answer.aclose()


def shape(request: ImagesRequest, *, default_model: str) -> dict[str, Any]:
    """The body for the backend. Raises InvalidRequest for what is known to be refused there."""
    asked = request.parameters
    model = request.model if request.model and request.model not in _RETIRED else default_model
    size = _SMALL.get(asked.get("size", "auto"), asked.get("size", "auto"))
    if _ANY_SIZE.fullmatch(model):
        _check_size(size, model)
        if "input_fidelity" in asked:
            raise InvalidRequest(
                f"'input_fidelity' is not taken by {model}, which always looks closely. Leave it out.",
                param="input_fidelity",
                code="unsupported_parameter",
            )
    quality = asked.get("quality", "auto")
    body: dict[str, Any] = {
        "model": model,
        "prompt": request.prompt,
        "n": 1,
        "size": size,
        "quality": _QUALITIES.get(quality, quality),
        "background": asked.get("background", "auto"),
    }
    body.update({name: asked[name] for name in _PASSED if name in asked})
    if request.is_edit:
        body["images"] = [{"image_url": data_url(image)} for image in request.images]
        if request.mask is not None:
            body["mask"] = {"image_url": data_url(request.mask)}
    return body


def _check_size(size: str, model: str) -> None:
    if size == "auto":
        return
    width, height = map(int, size.split("x"))
    fits = width % _STEP == 0 and height % _STEP == 0 and max(width, height) <= _MAX_EDGE
    if fits and max(width, height) <= _MAX_RATIO * min(width, height) and _PIXELS[0] <= width * height <= _PIXELS[1]:
        return
    raise InvalidRequest(
        f"Invalid size {size} for {model}: both sides must be multiples of {_STEP} and at most {_MAX_EDGE}, one at "
        f"most {_MAX_RATIO} times the other, with {_PIXELS[0]} to {_PIXELS[1]} pixels. Sizes that always work are "
        "1024x1024, 1536x1024, 1024x1536 and auto.",
        param="size",
        code="invalid_value",
    )
