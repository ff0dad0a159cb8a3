"""An OpenAI-compatible API as an upstream: OpenAI itself, Azure, DeepSeek, OpenRouter, vLLM, Ollama, another chat2api.

The wire is Responses or Chat Completions. The answer is always asked for as a stream; a server that answers with one
JSON body all the same is understood, too.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import UpstreamError, Verdict, ended_early
from lib.sse import Decoder, Frame, FrameTooLarge
from lib.types import Clock, Lease, Model, Window
from lib.upstreams import openai_chat_request, openai_errors, openai_responses
from lib.upstreams.http import HttpAnswer
from lib.upstreams.openai_api import OpenAIApi
from lib.upstreams.openai_catalogue import catalogue
from lib.upstreams.openai_chat_events import ChatEvents
from lib.upstreams.openai_responses_events import ResponsesEvents
from lib.upstreams.refusals import decoded

Wire = Literal["responses", "chat"]

_ACCEPTS: Mapping[str, frozenset[str]] = {"responses": openai_responses.ACCEPTS, "chat": openai_chat_request.ACCEPTS}
_MAX_CATALOGUE_BYTES = 8 * 1024 * 1024
_NO_CATALOGUE = (404, 405, 501)


class OpenAIUpstream:
    """`lib.types.Upstream` over an OpenAI-compatible API.

    name: as routes and logs call it. max_event_bytes: the longest stream event taken, or the longest whole body.
    new_id: a fresh random suffix for each answer of the chat wire, out of `[A-Za-z0-9_-]`, at most 30 characters.
    """

    def __init__(
        self,
        api: OpenAIApi,
        *,
        name: str,
        wire: Wire,
        max_event_bytes: int,
        now: Clock,
        new_id: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> None:
        self.name = name
        self.accepts = _ACCEPTS[wire]
        self._api = api
        self._wire = wire
        self._max_event_bytes = max_event_bytes
        self._now = now
        self._new_id = new_id

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> OpenAIAnswer:
        """Raises UpstreamError, and InvalidRequest for what the wire has no place for."""
        events: _Reader
        if self._wire == "responses":
            asked = openai_responses.shape(request)
            path, body = "/responses", asked.body
            events = ResponsesEvents(request, asked.names, now=self._now)
        else:
            shaped = openai_chat_request.shape(request, self._api.host)
            path, body = "/chat/completions", shaped.body
            events = ChatEvents(request, shaped.tools, now=self._now, new_id=self._new_id)
        answer = await self._api.open(
            "POST",
            path,
            lease,
            content=msgspec.json.encode(body),
            accept="text/event-stream",
            timeout_s=timeout_s,
        )
        return OpenAIAnswer(self._api, answer, events, self._max_event_bytes)

    async def models(self, lease: Lease) -> list[Model]:
        """The catalogue, models that write text first; empty where there is none."""
        answer = await self._api.open("GET", "/models", lease)
        try:
            if answer.status in _NO_CATALOGUE:
                return []
            if answer.status != 200:
                raise await self._api.refusal(answer)
            return catalogue(await answer.read(_MAX_CATALOGUE_BYTES))
        finally:
            await answer.aclose()


class _Reader(Protocol):
    """What makes events of one wire's answer. `failure` broke the stream behind the events that were handed out."""

    ended: bool
    seen_any: bool
    failure: UpstreamError | None

    @property
    def may_end(self) -> bool:
        """Whether all that matters has come, so that an end of the body is no loss."""

    def take(self, frames: list[Frame]) -> list[Event]: ...

    def take_last(self, frames: list[Frame]) -> list[Event]: ...

    def take_whole(self, body: bytes) -> list[Event]: ...

    def end(self) -> list[Event]: ...


class OpenAIAnswer:
    """One answer: raises UpstreamError where it is refused or breaks; ends as soon as all that matters was read."""

    windows: Sequence[Window] = ()

    def __init__(self, api: OpenAIApi, http: HttpAnswer, events: _Reader, max_event_bytes: int) -> None:
        self._api = api
        self._http = http
        self._chunks = http.chunks()
        self._events = events
        self._decoder = Decoder(max_event_bytes)
        self._max_bytes = max_event_bytes
        self._is_begun = False
        self._is_flushed = False

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
            if not self._is_begun:
                return await self._begin()
            chunk = await anext(self._chunks, None)
            return self._end() if chunk is None else events.take(self._decoder.feed(chunk))
        except FrameTooLarge as error:
            raise UpstreamError(
                f"The upstream sent {error}.", verdict=Verdict.SERVICE, code="upstream_bad_response"
            ) from error
        except UpstreamError as error:
            if not events.may_end or error is events.failure:
                raise
            return events.end()  # it broke off behind its last word

    async def aclose(self) -> None:
        if self._events.ended:
            await self._http.release()
        else:
            await self._http.aclose()

    async def _begin(self) -> list[Event]:
        """The first events. Status and first byte tell what this is; the content type may be missing or wrong."""
        if not 200 <= self._http.status < 300:
            raise await self._api.refusal(self._http)
        async for chunk in self._chunks:
            first = chunk.lstrip()[:1]
            if not first:
                continue
            if first == b"{":
                return await self._whole(chunk)
            if first in b"[<":
                raise await self._api.refusal(self._http, chunk)
            self._is_begun = True
            return self._events.take(self._decoder.feed(chunk))
        raise ended_early(has_begun=False)

    async def _whole(self, head: bytes) -> list[Event]:
        body = bytearray(head)
        while (chunk := await anext(self._chunks, None)) is not None and len(body) <= self._max_bytes:
            body += chunk
        if len(body) > self._max_bytes:
            raise FrameTooLarge(f"a body of more than {self._max_bytes} bytes")
        whole = bytes(body)
        if openai_errors.error_of(decoded(whole)) is not None:
            raise await self._api.refusal(self._http, whole)
        return self._events.take_whole(whole)

    def _end(self) -> list[Event]:
        """What the end of the body leaves: an event without its blank line, then the end itself."""
        if not self._is_flushed:
            self._is_flushed = True
            return self._events.take_last(self._decoder.flush())
        if self._events.may_end:
            return self._events.end()
        raise ended_early(self._events.seen_any)
