"""The Codex backend: one streaming endpoint, one catalogue, reached with a ChatGPT account's own token.

An honest client: it names itself, sends what the account's owner supplied, and reports a browser challenge as the
error it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import UpstreamError, Verdict
from lib.sse import Decoder, FrameTooLarge
from lib.types import Answer, Clock, Lease, Model, Window
from lib.upstreams import codex_errors, codex_limits
from lib.upstreams.codex_events import CodexEvents
from lib.upstreams.codex_names import Names
from lib.upstreams.codex_request import ACCEPTS, shape
from lib.upstreams.http import HttpAnswer, HttpClients

NAME = "codex"
_AGENT = "chat2api"
_MAX_CATALOGUE_BYTES = 8 * 1024 * 1024


class CodexUpstream:
    """`lib.types.Upstream` for the Codex backend.

    base_url: scheme and host, without `/backend-api`. client_version: the protocol version that the catalogue and the
    newer models are gated by. max_event_bytes: the longest stream event taken (a picture can be many megabytes).
    """

    name = NAME
    accepts = ACCEPTS

    def __init__(
        self,
        clients: HttpClients,
        *,
        base_url: str | None,
        client_version: str,
        max_event_bytes: int,
        now: Clock,
        misdirected: str | None = None,
    ) -> None:
        """misdirected: why no request may leave (an unusable address or proxy); then each one is refused with it."""
        self._clients = clients
        self._misdirected = misdirected
        self._base = (base_url or "").rstrip("/") + "/backend-api/codex"
        self._version = client_version
        self._max_event_bytes = max_event_bytes
        self._now = now

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> Answer:
        shaped = shape(request)
        headers = {
            **self._headers(lease, accept="text/event-stream"),
            "content-type": "application/json",
            "session-id": shaped.body["prompt_cache_key"],
        }
        content = msgspec.json.encode(shaped.body)
        answer = await self._clients.open(
            "POST",
            self._base + "/responses",
            headers=headers,
            content=content,
            proxy=lease.proxy,
            first_byte_s=timeout_s,
        )
        return CodexAnswer(answer, shaped.names, max_event_bytes=self._max_event_bytes, now=self._now)

    async def models(self, lease: Lease) -> list[Model]:
        url = f"{self._base}/models?{urlencode({'client_version': self._version})}"
        answer = await self._clients.open(
            "GET", url, headers=self._headers(lease, accept="application/json"), proxy=lease.proxy
        )
        try:
            if answer.status != 200:
                raise await _refusal(answer, [], self._now())
            body = await answer.read(_MAX_CATALOGUE_BYTES)
        finally:
            await answer.aclose()
        return _catalogue(body)

    def _headers(self, lease: Lease, *, accept: str) -> dict[str, str]:
        if self._misdirected is not None:
            raise UpstreamError(
                f"The gateway is misconfigured: {self._misdirected}.",
                verdict=Verdict.REQUEST,  # no account can change it
                status=503,
                type="server_error",
                code="misconfigured",
                should_retry=False,
            )
        return {
            **lease.headers,
            "accept": accept,
            "user-agent": f"{_AGENT}/{self._version}",
            "originator": _AGENT,
            "version": self._version,
        }


class CodexAnswer:
    """One answer: raises UpstreamError where it is refused or breaks; ends at the terminal event, not at the end of
    the body."""

    def __init__(self, http: HttpAnswer, names: Names, *, max_event_bytes: int, now: Clock) -> None:
        self.windows: list[Window] = codex_limits.from_headers(http.headers, now())
        self._http = http
        self._chunks = http.chunks()
        self._is_begun = False
        self._is_flushed = False
        self._now = now
        self._decoder = Decoder(max_event_bytes)
        self._events = CodexEvents(names, now=now, add_windows=self.windows.extend)

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
            chunk = await anext(self._chunks, None) if self._is_begun else await self._first_chunk()
            if chunk is not None:
                return events.take(self._decoder.feed(chunk))
            if self._is_flushed:
                raise _ended_early(events.seen_any)
            self._is_flushed = True
            return events.take_last(self._decoder.flush())
        except FrameTooLarge as error:
            raise UpstreamError(
                f"The upstream sent {error}.", verdict=Verdict.SERVICE, code="upstream_bad_response"
            ) from error

    async def _first_chunk(self) -> bytes | None:
        """The beginning of the stream, None if there is none. Status and first byte tell what this is; the content type
        may be missing."""
        if self._http.status != 200:
            raise await _refusal(self._http, self.windows, self._now())
        async for chunk in self._chunks:
            first = chunk.lstrip()[:1]
            if first and first in b"{[<":
                raise await _refusal(self._http, self.windows, self._now(), head=chunk)
            if first:
                self._is_begun = True
                return chunk
        return None

    async def aclose(self) -> None:
        if self._events.ended:
            await self._http.release()
        else:
            await self._http.aclose()


async def _refusal(answer: HttpAnswer, windows: Sequence[Window], now: float, head: bytes = b"") -> UpstreamError:
    """The error that a page or a JSON body stands for. `head`: the part of the body that was read before."""
    try:
        body = head + await answer.read(codex_errors.MAX_ERROR_BYTES)
    except UpstreamError:
        body = head  # an endless or broken error page: status and headers decide alone
    return codex_errors.from_http(answer.status, answer.headers, body, windows, now)


def _ended_early(seen_any: bool) -> UpstreamError:
    if seen_any:
        message, code = "The upstream's stream ended before the answer was complete.", "upstream_truncated"
    else:
        message, code = "The upstream sent an empty answer.", "upstream_empty_response"
    return UpstreamError(message, verdict=Verdict.SERVICE, code=code, should_retry=True)


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
