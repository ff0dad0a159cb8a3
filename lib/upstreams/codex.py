"""The Codex backend: one streaming endpoint, one catalogue, reached with a ChatGPT account's own token.

An honest client: it names itself, sends what the account's owner supplied, and reports a browser challenge as the
error it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import msgspec

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import UpstreamError, Verdict, ended_early
from lib.sse import Decoder, FrameTooLarge
from lib.types import Answer, Lease, Model, Window
from lib.upstreams import codex_limits
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.codex_events import CodexEvents
from lib.upstreams.codex_names import Names
from lib.upstreams.codex_request import ACCEPTS, shape
from lib.upstreams.http import HttpAnswer

NAME = "codex"
_MAX_CATALOGUE_BYTES = 8 * 1024 * 1024


class CodexUpstream:
    """`lib.types.Upstream` for the Codex backend.

    max_event_bytes: the longest stream event taken (a picture can be many megabytes).
    """

    name = NAME
    accepts = ACCEPTS

    def __init__(self, api: CodexApi, *, max_event_bytes: int) -> None:
        self._api = api
        self._max_event_bytes = max_event_bytes

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> Answer:
        shaped = shape(request)
        answer = await self._api.open(
            "POST",
            "/responses",
            lease,
            accept="text/event-stream",
            content=msgspec.json.encode(shaped.body),
            headers={"session-id": shaped.body["prompt_cache_key"]},
            timeout_s=timeout_s,
        )
        return CodexAnswer(answer, shaped.names, self._api, max_event_bytes=self._max_event_bytes)

    async def models(self, lease: Lease) -> list[Model]:
        path = f"/models?{urlencode({'client_version': self._api.client_version})}"
        answer = await self._api.open("GET", path, lease, accept="application/json")
        try:
            if answer.status != 200:
                raise await self._api.refusal(answer)
            body = await answer.read(_MAX_CATALOGUE_BYTES)
        finally:
            await answer.aclose()
        return _catalogue(body)


class CodexAnswer:
    """One answer: raises UpstreamError where it is refused or breaks; ends at the terminal event, not at the end of
    the body."""

    def __init__(self, http: HttpAnswer, names: Names, api: CodexApi, *, max_event_bytes: int) -> None:
        self.windows: list[Window] = codex_limits.from_headers(http.headers, api.now())
        self._http = http
        self._api = api
        self._chunks = http.chunks()
        self._read = self._chunks.__anext__
        self._is_begun = False
        self._is_flushed = False
        self._decoder = Decoder(max_event_bytes)
        self._events = CodexEvents(names, now=api.now, add_windows=self.windows.extend)

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        return self

    async def __anext__(self) -> list[Event]:
        # An iterator and not a generator: it is a layer less for each token, and leaves nothing suspended.
        events = self._events
        if events.ended:
            raise StopAsyncIteration
        if events.failure is not None:
            raise events.failure
        try:
            try:
                # Not `anext` with a default: it would hand on every chunk inside an exception.
                chunk = await (self._read() if self._is_begun else self._first_chunk())
            except StopAsyncIteration:
                return self._last()
            return events.take(self._decoder.feed(chunk))
        except FrameTooLarge as error:
            raise UpstreamError(
                f"The upstream sent {error}.", verdict=Verdict.SERVICE, code="upstream_bad_response"
            ) from error

    def _last(self) -> list[Event]:
        """What is left at the end of the body. Raises UpstreamError where that is too early."""
        if self._is_flushed:
            raise ended_early(self._events.seen_any)
        self._is_flushed = True
        return self._events.take_last(self._decoder.flush())

    async def _first_chunk(self) -> bytes:
        """The beginning of the stream; raises StopAsyncIteration if there is none. Status and first byte tell what this
        is; the content type may be missing."""
        if self._http.status != 200:
            raise await self._api.refusal(self._http, self.windows)
        async for chunk in self._chunks:
            first = chunk.lstrip()[:1]
            if first and first in b"{[<":
                raise await self._api.refusal(self._http, self.windows, head=chunk)
            if first:
                self._is_begun = True
                return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if self._events.ended:
            await self._http.release()
        else:
            await self._http.aclose()


def _catalogue(body: bytes) -> list[Model]:
    """`{"models": [...]}` in the backend's order of priority; every member but `slug` is optional."""
    try:
        entries = msgspec.json.decode(body)["models"]
        entries = [entry for entry in entries if isinstance(entry.get("slug"), str)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise UpstreamError(
            "The upstream's model list is not readable.", verdict=Verdict.SERVICE, code="upstream_bad_response"
        ) from error
    entries.sort(key=lambda entry: entry["priority"] if isinstance(entry.get("priority"), int) else 1_000)
    return [_model(entry) for entry in entries]


def _model(entry: dict[str, Any]) -> Model:
    name, context, levels = (
        entry.get("display_name"),
        entry.get("context_window"),
        entry.get("supported_reasoning_levels"),
    )
    modalities = entry.get("input_modalities")
    return Model(
        id=entry["slug"],
        name=name if isinstance(name, str) else None,
        context_length=context if isinstance(context, int) else None,
        input_modalities=tuple(str(kind) for kind in modalities) if isinstance(modalities, list) else (),
        efforts=tuple(str(level["effort"]) for level in levels or () if isinstance(level, dict) and "effort" in level),
        hidden=entry.get("visibility") in ("hide", "none"),
    )
