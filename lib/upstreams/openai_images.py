"""Pictures through an OpenAI-compatible API: generations as JSON, edits as a form, streamed where that is asked for."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from lib.canonical.images import FinishedImage, ImagesRequest, ImagesResult, InputImage, PartialImage
from lib.errors import UpstreamError, Verdict
from lib.sse import Decoder, Frame, FrameTooLarge
from lib.types import Clock, ImagesAnswer, Lease
from lib.upstreams import openai_errors
from lib.upstreams.http import HttpAnswer
from lib.upstreams.image_results import MAX_ANSWER_BYTES, WholeAnswer, finished, look_of
from lib.upstreams.openai_api import OpenAIApi

_BASE64_ONLY = ("gpt-image-", "chatgpt-image-")
"""How the names begin of models that know no `response_format`, and refuse it."""
_PARAMETERS = (
    *("size", "quality", "style", "background", "output_format", "output_compression", "moderation"),
    *("input_fidelity", "partial_images", "user", "safety_identifier"),
)

_IDLE_S = 300.0
"""A stream is silent for as long as a picture takes."""


class OpenAIImages:
    """`lib.types.ImageUpstream` for one OpenAI-compatible API.

    model: for callers who name none; None leaves the choice to the upstream. max_answer_bytes: the longest answer, or
    event of a stream, that is read.
    """

    image_accepts = frozenset({*_PARAMETERS, "size.small"})
    max_pictures = 10

    def __init__(
        self, api: OpenAIApi, *, now: Clock, model: str | None = None, max_answer_bytes: int = MAX_ANSWER_BYTES
    ) -> None:
        self._api = api
        self._model = model
        self._max_answer_bytes = max_answer_bytes
        self._now = now

    async def images(self, request: ImagesRequest, lease: Lease, *, timeout_s: float) -> ImagesAnswer:
        fields = fields_of(request, default_model=self._model)
        if request.is_edit:
            content, content_type = form(fields, request.images, request.mask)
        else:
            content, content_type = msgspec.json.encode(fields), "application/json"
        answer = await self._api.open(
            "POST",
            "/images/edits" if request.is_edit else "/images/generations",
            lease,
            content=content,
            content_type=content_type,
            accept="text/event-stream" if request.stream else "application/json",
            timeout_s=timeout_s,
            idle_s=max(timeout_s, _IDLE_S),
        )
        if not 200 <= answer.status < 300:
            try:
                raise await self._api.refusal(answer)
            finally:
                await answer.aclose()
        if answer.headers.get("content-type", "").lower().startswith("text/event-stream"):
            return StreamedAnswer(answer, max_event_bytes=self._max_answer_bytes, now=self._now)

        def refusal(body: bytes) -> UpstreamError:
            return openai_errors.from_http(answer.status, answer.headers, body, self._now())

        return WholeAnswer(answer, max_bytes=self._max_answer_bytes, now=self._now, refusal=refusal)


class StreamedAnswer:
    """`lib.types.ImagesAnswer` over server-sent events. Ends with the finished picture, not with the body."""

    def __init__(self, http: HttpAnswer, *, max_event_bytes: int, now: Clock) -> None:
        self._http = http
        self._now = now
        self._chunks = http.chunks()
        self._decoder = Decoder(max_event_bytes)
        self._ready: deque[PartialImage | ImagesResult] = deque()
        self._ended = False

    def __aiter__(self) -> AsyncIterator[PartialImage | ImagesResult]:
        return self

    async def __anext__(self) -> PartialImage | ImagesResult:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            await self._read()
        return self._ready.popleft()

    async def aclose(self) -> None:
        if self._ended:
            await self._http.release()
        else:
            await self._http.aclose()

    async def _read(self) -> None:
        chunk = await anext(self._chunks, None)
        try:
            frames = self._decoder.flush() if chunk is None else self._decoder.feed(chunk)
        except FrameTooLarge as error:
            raise _bad(f"The upstream sent {error}.") from error
        for frame in frames:
            piece = None if self._ended else _piece(frame, self._now())
            if piece is not None:
                self._ready.append(piece)
                self._ended = isinstance(piece, ImagesResult)
        if chunk is None and not self._ended:
            raise UpstreamError(
                "The upstream's stream ended before the picture was finished.",
                verdict=Verdict.SERVICE,
                code="upstream_truncated",
                should_retry=True,
            )


def fields_of(request: ImagesRequest, *, default_model: str | None) -> dict[str, Any]:
    """The members of the body but for the pictures, in OpenAI's own names; what the caller did not say is left out."""
    model = request.model or default_model
    fields: dict[str, Any] = {"prompt": request.prompt}
    if model is not None:
        fields["model"] = model
    if request.n != 1:
        fields["n"] = request.n
    if request.stream:
        fields["stream"] = True
    if request.response_format is not None and not request.stream and not (model or "").startswith(_BASE64_ONLY):
        fields["response_format"] = request.response_format
    fields.update({name: request.parameters[name] for name in _PARAMETERS if name in request.parameters})
    return fields


def form(fields: Mapping[str, Any], images: Sequence[InputImage], mask: InputImage | None) -> tuple[bytes, str]:
    """A multipart form and its content type. Several pictures go under `image[]`, one alone under `image`."""
    boundary = secrets.token_hex(24)
    parts: list[bytes] = []
    for name, value in fields.items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode("ascii")
        parts += _head(boundary, f'name="{name}"'), text.encode(), b"\r\n"
    files = [("image" if len(images) == 1 else "image[]", image) for image in images]
    if mask is not None:
        files.append(("mask", mask))
    for place, (name, image) in enumerate(files):
        extension = image.media_type.removeprefix("image/")
        head = _head(boundary, f'name="{name}"; filename="{place}.{extension}"', image.media_type)
        parts += head, image.data, b"\r\n"
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def _head(boundary: str, disposition: str, media_type: str | None = None) -> bytes:
    kind = f"content-type: {media_type}\r\n" if media_type else ""
    return f"--{boundary}\r\ncontent-disposition: form-data; {disposition}\r\n{kind}\r\n".encode()


def _piece(frame: Frame, now: float) -> PartialImage | ImagesResult | None:
    """What an event brings; None for those that are not about a picture. Raises UpstreamError for a failure."""
    data = frame[1]
    if data == b"[DONE]":
        return None
    try:
        fields = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad("The upstream sent an event that is not JSON.") from error
    if not isinstance(fields, dict):
        return None
    kind, picture = str(fields.get("type")), fields.get("b64_json")
    if kind == "error" or isinstance(fields.get("error"), dict):
        raise openai_errors.from_object(openai_errors.error_of(fields) or fields, now)
    if not isinstance(picture, str):
        return None
    if kind.endswith(".partial_image"):
        index = fields.get("partial_image_index")
        return PartialImage(picture, index if isinstance(index, int) else 0, **look_of(fields))
    if not kind.endswith(".completed"):
        return None
    revised = fields.get("revised_prompt")
    done = FinishedImage(picture, revised_prompt=revised if isinstance(revised, str) else None)
    return finished(fields, (done,), now=now)


def _bad(message: str) -> UpstreamError:
    return UpstreamError(message, verdict=Verdict.SERVICE, code="upstream_bad_response")
