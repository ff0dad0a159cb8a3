"""Faults of an upstream that speaks the OpenAI API, over either wire.

A gateway with three keys; what is forwarded and what is translated ends alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.fakes.codex_behaviours import (
    Behaviour,
    Drop,
    Never,
    bad_gateway,
    challenge,
    http_error,
    raw,
    redirect,
    stream,
)
from tests.fakes.codex_composer import Composer
from tests.fakes.openai_backend import api_error, quota, rate_limited
from tests.fakes.openai_chat import chat_stream, chunks
from tests.journeys.fault_rows import ANOTHER, RESTS, Row, Then
from tests.journeys.fault_rows_streams import NASTY, PAUSE_S, Reads

WAYS = [(dialect, wire) for wire in ("chat", "responses") for dialect in ("chat", "responses", "messages")]
"""(what the client speaks, what the upstream speaks)"""

_OPENED = {"chat": 3, "responses": 6}
"""Events until two words are out."""
_SILENT = {"chat": 0, "responses": 2}
"""Events without any output."""
_ENDED = {"chat": "upstream_empty_response", "responses": "upstream_truncated"}


_HANDED_ON = ("keep-alives for ever",)


def rows_of(wire: str) -> list[Row]:
    """The table for an upstream of this wire."""
    return [*_ANY_WIRE, *_streams(wire)]


def has_meaning(row: Row, dialect: str, wire: str, streamed: bool) -> bool:
    """Whether a request can meet the fault. What is forwarded is handed on as soon as it has begun, preamble and
    comments too, and a whole answer is no stream then."""
    is_of_streams = row.fault not in {each.fault for each in _ANY_WIRE}
    return dialect != wire or not is_of_streams or (streamed and row.fault not in _HANDED_ON)


def _service(code: str = "upstream_error", status: int = 502, accounts: str = "abc") -> Then:
    return Then(status=status, code=code, accounts=accounts, should_retry="true")


def _request(status: int, code: str) -> Then:
    return Then(status=status, code=code, should_retry="false")


def _limited(code: str, wait: range, should_retry: str | None) -> Then:
    return Then(
        status=429, code=code, accounts="abc", usable=0, retry_after=wait, should_retry=should_retry, tells="limits"
    )


def _dies(code: str, said: str = "One two", status: int = 502) -> Then:
    return Then(status=status, code=code, begun=True, said=said, should_retry="true")


def _before(
    id: str, fault: str, upstream: Any, always: Then, once: Then | None = ANOTHER, *, waits: str | None = None
) -> Row:
    return Row(id=id, fault=fault, upstream=upstream, once=once, always=always, waits=waits)


_ANY_WIRE = [
    _before("F1", "a reset before an answer", Drop, _service("upstream_truncated")),
    _before(
        "F3",
        "401, wrong key",
        lambda: api_error(401, "Incorrect API key provided: sk-up***QzKw.", code="invalid_api_key"),
        Then(status=401, code="invalid_account_token", accounts="abc", usable=0, should_retry="false", tells="1, "),
        RESTS,
    ),
    _before(
        "F4",
        "403 with JSON",
        lambda: api_error(403, "Country, region, or territory not supported."),
        Then(status=403, code="upstream_forbidden", accounts="abc", usable=0, should_retry="false"),
        RESTS,
    ),
    _before(
        "F5",
        "403 with a challenge page",
        challenge,
        Then(status=503, code="upstream_challenge", accounts="ab", should_retry="true", tells="browser check"),
    ),
    _before(
        "F6",
        "unknown model, 404",
        lambda: api_error(404, "The model `x` does not exist.", code="model_not_found"),
        _request(404, "model_not_found"),
        None,
    ),
    _before(
        "F7",
        "context length, 400",
        lambda: api_error(400, "Too long.", code="context_length_exceeded"),
        _request(400, "context_length_exceeded"),
        None,
    ),
    _before(
        "F8",
        "429, retry-after in seconds",
        lambda: rate_limited(retry_after="30"),
        _limited("rate_limit_exceeded", range(25, 32), None),
        RESTS,
    ),
    _before("F11", "429, no credit left", quota, _limited("insufficient_quota", range(3540, 3602), "false"), RESTS),
    _before("F12", "500", lambda: api_error(500), _service()),
    _before("F12", "502 with a page", bad_gateway, _service("upstream_bad_response")),
    _before("F12", "503, overloaded", lambda: api_error(503, "Overloaded."), _service("upstream_overloaded", 503)),
    _before(
        "F13",
        "200 with an error object: server error",
        lambda: http_error(200, {"error": {"message": "Oops.", "type": "server_error", "code": None}}),
        _service(),
    ),
    _before(
        "F14",
        "200 with HTML",
        lambda: raw(b"<!DOCTYPE html><html>marked-html</html>", content_type="text/html"),
        _service("upstream_bad_response"),
    ),
    _before("F15", "200 with an empty body", lambda: raw(b""), _service("upstream_empty_response")),
    _before("F18", "headers never arrive", Never, _service("upstream_timeout", 504), waits="first_byte_timeout_s"),
    _before(
        "F32",
        "redirect to another host",
        lambda: redirect("http://127.0.0.1:9/elsewhere"),
        _service("upstream_bad_response"),
    ),
]


def _said(wire: str, text: str) -> Sequence[Any]:
    return chunks(text) if wire == "chat" else Composer().start().message(text).completed().events


def _stream(wire: str, text: str = "One two three", **how: Any) -> Behaviour:
    """A good answer of this wire, sent as it should be or not."""
    return (chat_stream if wire == "chat" else _events)(*_said(wire, text), **{"pause_s": PAUSE_S, **how})


def _events(*events: Any, **how: Any) -> Behaviour:
    return stream(events, **how)


def _alive() -> Behaviour:
    """Nothing but comments, for a long time."""
    return Reads([b": processing\n\n"] * 400)


def _streams(wire: str) -> list[Row]:
    opened, silent = _OPENED[wire], _SILENT[wire]
    return [
        _before(
            "F18",
            "headers, then nothing",
            lambda: _stream(wire, stall_after=0),
            _service("upstream_stalled", 504),
            waits="idle_timeout_s",
        ),
        Row(
            id="F18",
            fault="keep-alives for ever",
            upstream=_alive,
            always=_service("upstream_timeout", 504, "a"),
            settings={"failover_budget_s": 0.1},
        ),
        _before("F21", "the end before output", lambda: _stream(wire, truncate_after=silent), _service(_ENDED[wire])),
        Row(
            id="F19",
            fault="a stall in mid-stream",
            upstream=lambda: _stream(wire, stall_after=opened),
            always=_dies("upstream_stalled", status=504),
            settings={"idle_timeout_s": 0.15},
        ),
        Row(
            id="F21",
            fault="a connection closed inside the body",
            upstream=lambda: _stream(wire, close_after=opened),
            always=_dies("upstream_truncated"),
        ),
        Row(
            id="F23",
            fault="the end without a terminal event",
            upstream=lambda: _stream(wire, truncate_after=opened),
            always=_dies("upstream_truncated"),
        ),
        Row(
            id="F20",
            fault="one byte a piece",
            upstream=lambda: _stream(wire, "Ærø 🌊", cut=1, pause_s=0),
            always=Then(said="Ærø 🌊"),
        ),
        Row(
            id="F30",
            fault="text that looks like a protocol",
            upstream=lambda: _stream(wire, NASTY, pause_s=0),
            always=Then(said=NASTY),
        ),
    ]
