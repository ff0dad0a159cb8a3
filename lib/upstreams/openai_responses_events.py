"""The stream of an OpenAI-compatible `POST /responses` → canonical events; no IO.

It is the protocol of the Codex backend's stream, and read by the same reader. What is added: a beginning for servers
that leave `response.created` out, and a Response that came in one piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lib.canonical.build import Builder
from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import UpstreamError, Verdict
from lib.sse import Decoder, Frame
from lib.types import Clock, Window
from lib.upstreams import openai_errors
from lib.upstreams.codex_events import CodexEvents
from lib.upstreams.openai_whole import as_stream
from lib.upstreams.refusals import decoded
from lib.upstreams.tool_names import Names

_CREATED = "response.created"


class ResponsesEvents(CodexEvents):
    """The state of one stream. `ended` is True once a terminal event was taken; nothing after it counts."""

    def __init__(self, request: CanonicalRequest, names: Names, *, now: Clock) -> None:
        super().__init__(names, now=now, add_windows=lambda windows: None, failure=_failure)
        self._request = request
        self._clock = now

    def take(self, frames: list[Frame]) -> list[Event]:
        is_first = not self.seen_any
        events = super().take(frames)
        if is_first and events and events[0].type != _CREATED:
            builder = Builder(self._request, response_id="", created_at=self._clock())
            response = builder.response("in_progress", id=None)
            return [Event.of({"type": _CREATED, "response": response, "sequence_number": 0}), *events]
        return events

    def take_whole(self, body: bytes) -> list[Event]:
        """The events of an answer that is one Response object. Raises UpstreamError for anything else."""
        stream = as_stream("/responses", decoded(body))
        if stream is None:
            raise UpstreamError(
                "The upstream answered with something else than a response.",
                verdict=Verdict.SERVICE,
                code="upstream_bad_response",
            )
        return self.take(Decoder(len(stream)).feed(stream))


def _failure(fields: Mapping[str, Any], windows: Sequence[Window], now: float) -> UpstreamError:
    """`error` has its details nested or flat, `response.failed` in the Response."""
    failed = fields.get("response") if fields.get("type") == "response.failed" else fields
    nested = openai_errors.error_of(failed)
    return openai_errors.from_object(nested or {name: fields.get(name) for name in ("code", "message", "param")}, now)
