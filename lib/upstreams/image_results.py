"""What image endpoints answer, as OpenAI shapes it: JSON, or events of a stream → values."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from lib.canonical.images import FinishedImage, ImagesResult, InputImage, PartialImage
from lib.errors import UpstreamError, Verdict
from lib.types import Clock
from lib.upstreams.http import HttpAnswer
from lib.upstreams.refusals import decoded

MAX_ANSWER_BYTES = 128 * 1024 * 1024
"""Ten large pictures in base64 stay below it."""


class WholeAnswer:
    """`lib.types.ImagesAnswer` over one JSON body that holds every picture. refusal: (a body that names an error
    instead) → what that means."""

    def __init__(
        self, http: HttpAnswer, *, max_bytes: int, now: Clock, refusal: Callable[[bytes], UpstreamError]
    ) -> None:
        self._http = http
        self._max_bytes = max_bytes
        self._now = now
        self._refusal = refusal
        self._is_read = False

    def __aiter__(self) -> AsyncIterator[PartialImage | ImagesResult]:
        return self

    async def __anext__(self) -> ImagesResult:
        if self._is_read:
            raise StopAsyncIteration
        self._is_read = True
        body = await self._http.read(self._max_bytes)
        try:
            return result_of(body, now=self._now())
        except UpstreamError:
            if _names_error(body):
                raise self._refusal(body) from None
            raise

    async def aclose(self) -> None:
        await self._http.aclose()


def result_of(body: bytes, *, now: float) -> ImagesResult:
    """`{"created", "data": [{"b64_json" | "url"}], …}`. Raises UpstreamError when there is no picture in it."""
    try:
        answer = msgspec.json.decode(body)
        data = answer["data"]
        pictures = tuple(picture for each in data if (picture := _picture(each)) is not None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise _unreadable() from error
    if not pictures:
        raise _unreadable()
    return finished(answer, pictures, now=now)


def finished(fields: Mapping[str, Any], pictures: tuple[FinishedImage, ...], *, now: float) -> ImagesResult:
    """The result around pictures, with what a body or a terminal event says of them."""
    created, usage = fields.get("created", fields.get("created_at")), fields.get("usage")
    return ImagesResult(
        created=created if isinstance(created, int) else int(now),
        pictures=pictures,
        usage=usage if isinstance(usage, dict) else None,
        **look_of(fields),
    )


def look_of(fields: Mapping[str, Any]) -> dict[str, str | None]:
    """The members that say how a picture was made; None for those that are not there."""
    look = {name: fields.get(name) for name in ("size", "quality", "background", "output_format")}
    return {name: value if isinstance(value, str) else None for name, value in look.items()}


def data_url(image: InputImage) -> str:
    """A picture as a URL that holds it."""
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode('ascii')}"


def _names_error(body: bytes) -> bool:
    answer = decoded(body)
    return isinstance(answer, dict) and bool(answer.get("error") or answer.get("detail"))


def _picture(entry: Mapping[str, Any]) -> FinishedImage | None:
    names = ("b64_json", "url", "revised_prompt")
    b64_json, url, revised = (value if isinstance(value := entry.get(name), str) else None for name in names)
    return FinishedImage(b64_json, url, revised) if b64_json or url else None


def _unreadable() -> UpstreamError:
    return UpstreamError(
        "The upstream's answer holds no picture.", verdict=Verdict.SERVICE, code="upstream_bad_response"
    )
