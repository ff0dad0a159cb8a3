"""An OpenAI-compatible API as an upstream: OpenAI itself, Azure, DeepSeek, OpenRouter, vLLM, Ollama, another chat2api.

The wire is Responses or Chat Completions. The answer is always asked for as a stream; a server that answers with one
JSON body all the same is understood, too.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.types import Answer, Clock, Lease, Model
from lib.upstreams import openai_chat_request, openai_errors, openai_responses
from lib.upstreams.event_answer import EventAnswer
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

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> Answer:
        """Raises UpstreamError, and InvalidRequest for what the wire has no place for."""
        events: ChatEvents | ResponsesEvents
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
        refusal = functools.partial(self._api.refusal, answer)

        async def whole(body: bytes) -> list[Event]:
            if openai_errors.error_of(decoded(body)) is not None:
                raise await refusal(body)
            return events.take_whole(body)

        return EventAnswer(answer, events, max_bytes=self._max_event_bytes, refusal=refusal, whole=whole)

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
