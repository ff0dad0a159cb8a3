"""The Codex backend: one streaming endpoint, one catalogue, reached with a ChatGPT account's own token.

An honest client: it names itself, sends what the account's owner supplied, and reports a browser challenge as the
error it is.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec

from lib.canonical.request import CanonicalRequest
from lib.errors import UpstreamError, Verdict
from lib.types import Answer, Lease, Model
from lib.upstreams import codex_limits
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.codex_events import CodexEvents
from lib.upstreams.codex_request import ACCEPTS, shape
from lib.upstreams.event_answer import EventAnswer

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
        windows = codex_limits.from_headers(answer.headers, self._api.now())
        events = CodexEvents(shaped.names, now=self._api.now, add_windows=windows.extend)

        async def refusal(head: bytes) -> UpstreamError:
            return await self._api.refusal(answer, windows, head)

        return EventAnswer(answer, events, max_bytes=self._max_event_bytes, refusal=refusal, windows=windows)

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
