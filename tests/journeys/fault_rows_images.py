"""Faults of the upstreams that make pictures: a whole answer behind a long wait, or a stream of sketches."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.fakes import codex_errors as errors
from tests.fakes.codex_answers import png
from tests.fakes.codex_behaviours import (
    Behaviour,
    Drop,
    Never,
    Scene,
    bad_gateway,
    challenge,
    http_error,
    overloaded,
    raw,
    redirect,
    token_refused,
    usage_limit,
)
from tests.fakes.codex_http import Exchange
from tests.fakes.openai_backend import api_error, quota, rate_limited
from tests.fakes.openai_images import event
from tests.fakes.openai_images import streamed as stream_of
from tests.fakes.packing import PACKERS, packed
from tests.journeys.fault_rows import Row, Then

UPSTREAMS = ("images-codex", "images-openai")
PICTURE = "picture"
SKETCH = "sketch"

_ANOTHER = Then(said=PICTURE, accounts="ab")
_RESTS = Then(said=PICTURE, accounts="ab", usable=2)
_SHORT = {"max_duration_s": 0.3, "deadline_margin_s": 0.15}
_ANSWER = msgspec.json.encode({"created": 1, "data": [{"b64_json": png("a cat")}]})
_EVENTS = stream_of("/images/generations", 1, "a cat")
_SKETCH, _PICTURE = (part + b"\n\n" for part in _EVENTS.rstrip().split(b"\n\n"))
_ERROR = event({"type": "error", "error": {"message": "An error occurred."}})


def rows_of(upstream: str) -> list[Row]:
    """The table for one upstream."""
    return [*_ANY, *(_CODEX if upstream == "images-codex" else _OPENAI)]


def has_meaning(row: Row, streamed: bool) -> bool:
    """Whether a request can meet the fault: only a stream is answered by a stream."""
    return streamed or row not in _STREAMS


@dataclass(frozen=True, slots=True)
class Pieces:
    """These pieces of a body, read one at a time; then silence, the end of the connection or that of the body."""

    pieces: Sequence[bytes]
    then: str = "end"
    kind: str = "application/json"
    pause_s: float = 0.01

    async def play(self, exchange: Exchange, scene: Scene) -> None:
        exchange.head(200, {"content-type": self.kind, "transfer-encoding": "chunked"})
        for piece in self.pieces:
            exchange.chunk(piece)
            await exchange.sleep(self.pause_s)
        exchange.finished = self.then != "silence"
        if self.then == "silence":
            await exchange.until_left()
        elif self.then == "close":
            exchange.close()
        else:
            exchange.end()


def _events(*pieces: bytes, then: str = "end") -> Behaviour:
    return Pieces(pieces, then, "text/event-stream")


def _elsewhere() -> Behaviour:
    return redirect("http://127.0.0.1:9/elsewhere")


def _service(code: str = "upstream_error", status: int = 502, accounts: str = "abc") -> Then:
    return Then(status=status, code=code, accounts=accounts, should_retry="true")


def _refused(status: int, code: str, **then: Any) -> Then:
    return Then(**{"status": status, "code": code, "should_retry": "false", **then})


def _fails(id: str, fault: str, upstream: Any, always: Then, once: Then | None = _ANOTHER, **settings: Any) -> Row:
    return Row(id=id, fault=fault, upstream=upstream, once=once, always=always, settings=settings)


def _good(id: str, fault: str, upstream: Any) -> Row:
    return Row(id=id, fault=fault, upstream=upstream, always=Then(said=PICTURE))


def _dies(id: str, fault: str, upstream: Any, code: str, status: int = 502, **settings: Any) -> Row:
    """A sketch is out."""
    always = Then(status=status, code=code, begun=True, said=SKETCH, should_retry="true")
    return Row(id=id, fault=fault, upstream=upstream, always=always, settings=settings)


@functools.cache
def _bomb() -> bytes:
    """A little more than the longest answer that is read, which is 128 MiB."""
    return packed("zstd", *[bytes(1 << 20)] * 129)


def _zipped(encoding: str) -> Row:
    def upstream() -> Behaviour:
        return raw(packed(encoding, _ANSWER), content_type="application/json", content_encoding=encoding)

    return _good("F31", f"a picture in {encoding}", upstream)


_BAD = _service("upstream_bad_response")
_CUT = _service("upstream_truncated")
_GONE = _refused(401, "invalid_account_token", accounts="abc", usable=0)
_CLOSED = _refused(403, "upstream_forbidden", accounts="abc", usable=0)
_LATE = _refused(504, "deadline_exceeded")

_ANY = [
    _fails("F1", "a reset before an answer", Drop, _CUT),
    _fails("F4", "403 with JSON", lambda: api_error(403, "Not in your country."), _CLOSED, _RESTS),
    _fails("F5", "403 with a challenge page", challenge, _service("upstream_challenge", 503, "ab")),
    _fails(
        "F6",
        "unknown model, 404",
        lambda: http_error(404, errors.error_body("The model does not exist.", code="model_not_found")),
        _refused(404, "model_not_found"),
        None,
    ),
    _fails(
        "F8",
        "429, retry-after in seconds",
        lambda: rate_limited(retry_after="30"),
        Then(status=429, code="rate_limit_exceeded", accounts="abc", usable=0, retry_after=range(25, 32)),
        _RESTS,
    ),
    _fails("F12", "500", lambda: api_error(500), _service()),
    _fails(
        "F13",
        "200 with an error object: server error",
        lambda: http_error(200, {"error": {"message": "Oops.", "type": "server_error", "code": None}}),
        _service(),
    ),
    _fails("F14", "200 with HTML", lambda: raw(b"<html>marked-html</html>", content_type="text/html"), _BAD),
    _fails("F15", "200 with an empty body", lambda: raw(b"", content_type="application/json"), _BAD),
    _fails("F15", "200 without a picture", lambda: http_error(200, {"created": 1, "data": []}), _BAD),
    _fails("F18", "headers never arrive", Never, _LATE, None, **_SHORT),
    _fails("F21", "a connection closed inside the body", lambda: Pieces([_ANSWER[:99]], "close"), _CUT),
    _fails("F21", "a body that ends inside its JSON", lambda: Pieces([_ANSWER[:99]]), _BAD),
    _good("F21", "one byte a piece", lambda: Pieces([bytes([byte]) for byte in _ANSWER], pause_s=0)),
    *map(_zipped, PACKERS),
    _fails(
        "F31",
        "a decompression bomb",
        lambda: raw(_bomb(), content_type="application/json", content_encoding="zstd"),
        _service("upstream_bad_response", accounts="a"),
        None,
        max_attempts=1,
    ),
    _good(
        "F33",
        "cookies and unknown headers",
        lambda: raw(_ANSWER, content_type="application/json", set_cookie="a=marked-cookie", x_secret="1"),
    ),
]
_CODEX = [
    _fails("F3", "401, token invalidated", token_refused, _GONE, _RESTS),
    _fails(
        "F10",
        "the backend's own 429",
        lambda: usage_limit(5400),
        Then(
            status=429,
            code="insufficient_quota",
            accounts="abc",
            usable=0,
            retry_after=range(5300, 5402),
            should_retry="false",
        ),
        _RESTS,
    ),
    _fails("F12", "502 with a page", bad_gateway, _service()),
    _fails(
        "F13",
        "200 with an error object: limit",
        lambda: http_error(200, {"error": {"type": "usage_limit_reached", "message": "!", "resets_in_seconds": 180}}),
        Then(
            status=429,
            code="rate_limit_exceeded",
            accounts="abc",
            usable=0,
            retry_after=range(170, 182),
            should_retry="false",
        ),
        _RESTS,
    ),
    _fails("F32", "redirect to another host", _elsewhere, _service()),
    _fails("F12", "503, overloaded", overloaded, _service("upstream_overloaded", 503)),
    Row(
        id="F18",
        fault="headers, then nothing",
        upstream=lambda: Pieces([], "silence"),
        once=_ANOTHER,
        always=_service("upstream_stalled", 504),
        waits="idle_timeout_s",
    ),
]
_STREAMS = [
    _fails("F16", "an error event before a picture", lambda: _events(_ERROR), _service()),
    _fails("F23", "the end before a picture", lambda: _events(b": nothing\n\n"), _CUT),
    _dies("F17", "a sketch, then an error event", lambda: _events(_SKETCH, _ERROR), "upstream_error"),
    _dies("F17", "a sketch, then what is no JSON", lambda: _events(_SKETCH, b"data: {\n\n"), "upstream_bad_response"),
    _dies("F19", "a stall in mid-stream", lambda: _events(_SKETCH, then="silence"), "deadline_exceeded", 504, **_SHORT),
    _dies(
        "F21",
        "a connection closed behind a sketch",
        lambda: _events(_SKETCH, _PICTURE[:99], then="close"),
        "upstream_truncated",
    ),
    _dies("F23", "the end after a sketch", lambda: _events(_SKETCH), "upstream_truncated"),
    _good("F22", "a picture, and the body stays open", lambda: _events(_PICTURE, then="silence")),
    _good("F24", "events after the picture", lambda: _events(_PICTURE, _ERROR)),
]
_OPENAI = [
    _fails("F3", "401, wrong key", lambda: api_error(401, "Incorrect API key.", code="invalid_api_key"), _GONE, _RESTS),
    _fails(
        "F11",
        "429, no credit left",
        quota,
        _refused(429, "insufficient_quota", accounts="abc", usable=0, retry_after=range(3540, 3602)),
        _RESTS,
    ),
    _fails("F12", "502 with a page", bad_gateway, _BAD),
    _fails("F32", "redirect to another host", _elsewhere, _BAD),
    *_STREAMS,
]
