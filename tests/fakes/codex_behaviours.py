"""Scripted behaviours of the fake Codex backend: what a request meets, down to the bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from tests.fakes import codex_errors as errors
from tests.fakes.codex_composer import Fields
from tests.fakes.codex_http import Exchange
from tests.fakes.codex_streams import TERMINAL, frame, load, rate_limits
from tests.fakes.packing import PACKERS


@dataclass(frozen=True, slots=True)
class Scene:
    """What a behaviour may need of the request: the generated answer and the account's headers."""

    events: Callable[[], list[Fields]]
    headers: Mapping[str, str]


class Behaviour(Protocol):
    """Answers one request."""

    async def play(self, exchange: Exchange, scene: Scene) -> None: ...


@dataclass(frozen=True, slots=True)
class Http:
    """One answer with a length. The account's headers are added to 200 and 429."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0

    async def play(self, exchange: Exchange, scene: Scene) -> None:
        await exchange.sleep(self.delay_s)
        own = scene.headers if self.status in (200, 429) else {}
        exchange.head(self.status, {**own, **self.headers, "content-length": str(len(self.body))})
        exchange.write(self.body)
        exchange.finished = True
        await exchange.drain()


@dataclass(frozen=True, slots=True)
class Never:
    """No status line, ever."""

    async def play(self, exchange: Exchange, scene: Scene) -> None:
        await exchange.until_left()


@dataclass(frozen=True, slots=True)
class Drop:
    """Ends the connection before the status line: politely, or with a reset."""

    reset: bool = True

    async def play(self, exchange: Exchange, scene: Scene) -> None:
        exchange.finished = True
        if self.reset:
            exchange.reset()
        else:
            exchange.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An event stream under 200. `events`: a name in tests/streams, events, or None for the generated answer.

    What is said (events):
    rate_limits_first, keepalives (so many after the preamble), one_delta (the whole text in one delta), huge_bytes
    (an extra text delta of that size), empty_output (of the terminal Response), extra (events after the terminal one).

    How it is said (bytes):
    event_lines, crlf, content_type (None leaves it out), headers, encoding (one of `packing.PACKERS`), cut (so many
    bytes a piece), cut_utf8 (a cut inside each multi-byte character), pause_s (between events, or pieces if cut),
    delay_s (before the headers).

    How it ends:
    stall_after, truncate_after, reset_after, close_after (so many events, then silence, a clean end of the body, a TCP
    reset, a connection closed within the body), drop_bytes (cut off the last event that is sent before
    one of these), keep_open (the body stays open after the terminal event until the client leaves).
    """

    events: str | Sequence[Fields] | None = None
    rate_limits_first: bool = False
    keepalives: int = 0
    one_delta: bool = False
    huge_bytes: int = 0
    empty_output: bool = False
    extra: Sequence[Fields] = ()
    event_lines: bool = True
    crlf: bool = False
    content_type: str | None = "text/event-stream; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    cut: int = 0
    cut_utf8: bool = False
    pause_s: float = 0
    delay_s: float = 0
    stall_after: int | None = None
    truncate_after: int | None = None
    reset_after: int | None = None
    close_after: int | None = None
    drop_bytes: int = 0
    keep_open: bool = False

    async def play(self, exchange: Exchange, scene: Scene) -> None:
        events = self._said(scene)
        await exchange.sleep(self.delay_s)
        content_type = {"content-type": self.content_type} if self.content_type else {}
        encoding = {"content-encoding": self.encoding} if self.encoding else {}
        exchange.head(
            200, {**scene.headers, **content_type, **encoding, **self.headers, "transfer-encoding": "chunked"}
        )
        packer = PACKERS[self.encoding]() if self.encoding else None
        limit = self._limit()
        for number, event in enumerate(events):
            if number == limit:
                await self._break(exchange)
                return
            data = frame(event, event_line=self.event_lines, crlf=self.crlf)
            if self.drop_bytes and number + 1 == limit:
                data = data[: -self.drop_bytes]
            for piece in self._pieces(data):
                exchange.chunk(piece if packer is None else packer.pack(piece))
                await self._rest(exchange)
            exchange.finished = exchange.finished or event["type"] in TERMINAL
        if limit is not None:
            await self._break(exchange)
            return
        if packer is not None:
            exchange.chunk(packer.end())
        exchange.finished = True
        if self.keep_open:
            await exchange.until_left()
        exchange.end()

    def _limit(self) -> int | None:
        limits = (self.stall_after, self.truncate_after, self.reset_after, self.close_after)
        return next((limit for limit in limits if limit is not None), None)

    async def _break(self, exchange: Exchange) -> None:
        if self.stall_after is not None:
            await exchange.until_left()
            return
        await exchange.drain()
        exchange.finished = True
        if self.truncate_after is not None:
            exchange.end()
        elif self.reset_after is not None:
            await asyncio.sleep(0.02)  # a reset discards what the client has not read yet
            exchange.reset()
        else:
            exchange.close()

    async def _rest(self, exchange: Exchange) -> None:
        await exchange.drain()
        if self.pause_s or self.cut or self.cut_utf8:
            await exchange.sleep(self.pause_s)

    def _pieces(self, data: bytes) -> list[bytes]:
        if self.cut:
            return [data[start : start + self.cut] for start in range(0, len(data), self.cut)]
        if not self.cut_utf8:
            return [data]
        # A lead byte ends a piece, so that its continuation bytes begin the next one.
        cuts = [0, *(index + 1 for index, byte in enumerate(data) if byte >= 0xC0), len(data)]
        return [data[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]

    def _said(self, scene: Scene) -> list[Fields]:
        if isinstance(self.events, str):
            events = load(self.events)
        else:
            events = list(scene.events() if self.events is None else self.events)
        if self.one_delta:
            events = _joined(events)
        if self.huge_bytes:
            events = _swollen(events, self.huge_bytes)
        if self.keepalives:
            events[2:2] = [{"type": "keepalive", "sequence_number": 0} for _ in range(self.keepalives)]
        if self.empty_output:
            events[-1] = events[-1] | {"response": events[-1]["response"] | {"output": []}}
        events.extend(self.extra)
        changed = self.one_delta or self.huge_bytes or self.keepalives
        if changed:
            events = [event | {"sequence_number": number} for number, event in enumerate(events)]
        return [rate_limits(), *events] if self.rate_limits_first else events


def _joined(events: list[Fields]) -> list[Fields]:
    """Every text in one delta."""
    kept: list[Fields] = []
    for event in events:
        if event["type"] == "response.output_text.done":
            delta = {name: value for name, value in event.items() if name != "text"}
            kept.append(delta | {"type": "response.output_text.delta", "delta": event["text"]})
        if event["type"] != "response.output_text.delta":
            kept.append(event)
    return kept


def _swollen(events: list[Fields], size: int) -> list[Fields]:
    """With one more text delta of so many bytes; the final texts agree."""
    at = next(index for index, event in enumerate(events) if event["type"] == "response.output_text.delta")
    more = "x" * size
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    events = [*events[:at], events[at] | {"delta": more}, *events[at:]]
    swollen: list[Fields] = msgspec.json.decode(
        msgspec.json.encode(events).replace(
            b'"text":' + msgspec.json.encode(text), b'"text":' + msgspec.json.encode(more + text)
        )
    )
    return swollen


def stream(events: str | Sequence[Fields] | None = None, **options: Any) -> Stream:
    """An event stream; the options are the fields of `Stream`."""
    return Stream(events=events, **options)


def raw(body: bytes, *, status: int = 200, content_type: str = "text/event-stream", **headers: str) -> Http:
    """Exactly these bytes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Http(status, body, {"content-type": content_type, **named})


def http_error(status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> Http:
    """A status with a JSON body, or with text or bytes as they are; None leaves the body empty."""
    if body is None:
        return Http(status, b"", headers or {})
    if isinstance(body, str | bytes):
        return Http(status, body.encode() if isinstance(body, str) else body, {**errors.HTML, **(headers or {})})
    return Http(status, msgspec.json.encode(body), {**errors.JSON, **(headers or {})})


def challenge(status: int = 403) -> Http:
    """The HTML page of a browser challenge."""
    return http_error(status, errors.CHALLENGE, {"cf-mitigated": "challenge"})


def token_refused(code: str = "token_invalidated") -> Http:
    """A 401 with one of the codes of `codex_errors.REVOKED`."""
    return http_error(401, errors.token_body(code), {"x-openai-authorization-error": code})


def usage_limit(resets_in_s: float = 5400, *, plan: str = "plus", **body: Any) -> Http:
    """429 `usage_limit_reached` with body and headers that agree; `body` overrides members (None drops one)."""
    reset_at = int(time.time() + resets_in_s)
    fields = {
        "type": "usage_limit_reached",
        "message": "The usage limit has been reached",
        "plan_type": plan,
        "resets_at": reset_at,
        "eligible_promo": None,
        "resets_in_seconds": int(resets_in_s),
        **body,
    }
    headers = {
        "x-codex-primary-used-percent": "100",
        "x-codex-primary-reset-after-seconds": str(int(resets_in_s)),
        "x-codex-primary-reset-at": str(reset_at),
    }
    kept = {name: value for name, value in fields.items() if value is not None or name == "eligible_promo"}
    return http_error(429, {"error": kept}, headers)


def usage_not_included() -> Http:
    message = "To use Codex with your ChatGPT plan, upgrade to Plus."
    return http_error(429, {"error": {"type": "usage_not_included", "message": message, "plan_type": "free"}})


def rate_limited(wait: str = "3.2s", retry_after: str | None = None) -> Http:
    """The short-term 429; the wait stands in its message, and in `retry-after` if given."""
    message = f"Rate limit reached for requests. Please try again in {wait}."
    headers = {} if retry_after is None else {"retry-after": retry_after}
    body = errors.error_body(message, type="rate_limit_error", code="rate_limit_exceeded")
    return http_error(429, body, headers)


def overloaded(code: str = "server_is_overloaded") -> Http:
    message = "Our servers are currently overloaded. Please try again later."
    return http_error(503, errors.error_body(message, type="service_unavailable_error", code=code))


def bad_gateway(status: int = 502) -> Http:
    return http_error(status, errors.BAD_GATEWAY)


def redirect(location: str, status: int = 307) -> Http:
    return http_error(status, None, {"location": location})
