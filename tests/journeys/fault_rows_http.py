"""Faults before the stream: connections, statuses, limits, pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from tests.fakes import codex_errors as errors
from tests.fakes.codex_behaviours import (
    Behaviour,
    Drop,
    Never,
    bad_gateway,
    challenge,
    http_error,
    overloaded,
    rate_limited,
    raw,
    redirect,
    token_refused,
    usage_limit,
    usage_not_included,
)
from tests.journeys.fault_rows import ANOTHER, RESTS, Row, Then

_WEEK_S = 604_800
_SOON = range(5, 6)
_GONE = "account_deactivated"
_TURNSTILE = (
    "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>turnstile marked-html</body></html>"
)


def _limit(body: dict[str, Any] | None = None, **headers: str) -> Behaviour:
    """A 429 whose only hints are these."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    error = {"type": "usage_limit_reached", "message": "The usage limit has been reached", **(body or {})}
    return http_error(429, {"error": error}, {"x-codex-primary-used-percent": "50", **named})


def _date(**ahead: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(**ahead), usegmt=True)


def _iso(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def _epoch(**ahead: float) -> float:
    return (datetime.now(UTC) + timedelta(**ahead)).timestamp()


def _limited(seconds: int, *, slack: int = 60) -> Then:
    """Every account rests; the client learns the wait. A long one is not worth the SDKs' retries."""
    wait = range(max(1, seconds - slack), seconds + 2)
    long = "false" if seconds > 60 else None
    return Then(
        status=429,
        code="insufficient_quota" if seconds > 300 else "rate_limit_exceeded",
        accounts="abc",
        usable=0,
        retry_after=wait,
        should_retry=long,
        tells="All accounts have reached their limits",
    )


def _service(code: str = "upstream_error", status: int = 502, accounts: str = "abc") -> Then:
    return Then(status=status, code=code, accounts=accounts, should_retry="true")


def _hint(id: str, fault: str, seconds: int, body: dict[str, Any] | None = None, **headers: str) -> Row:
    once = RESTS if seconds else ANOTHER
    return Row(id=id, fault=fault, upstream=lambda: _limit(body, **headers), once=once, always=_limited(seconds))


def _status(status: int) -> Row:
    return Row(id="F12", fault=str(status), upstream=lambda: bad_gateway(status), once=ANOTHER, always=_service())


def _mislabelled(encoding: str) -> Row:
    return Row(
        id="F31",
        fault=f"an answer that says {encoding} and is not",
        upstream=lambda: raw(b"data: {}\n\n" * 9, content_encoding=encoding),
        once=ANOTHER,
        always=_BAD_BODY,
    )


_FORBIDDEN = Then(status=403, code="upstream_forbidden", accounts="abc", usable=0, should_retry="false")
_CHALLENGED = Then(
    status=503,
    code="upstream_challenge",
    accounts="ab",
    should_retry="true",
    retry_after=_SOON,
    tells="browser check is required",
)
_REFUSED = Then(
    status=401, code="invalid_account_token", accounts="abc", usable=0, should_retry="false", tells="a1, a2, a3"
)
_OVERLOADED = Then(status=503, code="upstream_overloaded", accounts="abc", should_retry="true", retry_after=_SOON)
_BAD_BODY = _service("upstream_bad_response")
_CONTEXT = Then(status=400, code="context_length_exceeded", should_retry="false")

ROWS = [
    Row(id="F1", fault="a reset before an answer", upstream=Drop, once=ANOTHER, always=_service("upstream_truncated")),
    Row(
        id="F1",
        fault="connection closed before an answer",
        upstream=lambda: Drop(reset=False),
        once=ANOTHER,
        always=_service("upstream_truncated"),
    ),
    Row(id="F3", fault="401, token invalidated", upstream=token_refused, once=RESTS, always=_REFUSED),
    Row(id="F3", fault="401, deactivated", upstream=lambda: token_refused(_GONE), once=RESTS, always=_REFUSED),
    Row(
        id="F3",
        fault="401, edge",
        upstream=lambda: http_error(401, {"detail": "Unauthorized"}),
        once=RESTS,
        always=_REFUSED,
    ),
    Row(
        id="F4",
        fault="403 with JSON",
        upstream=lambda: http_error(403, {"detail": "Workspace is not allowed."}),
        once=RESTS,
        always=_FORBIDDEN,
    ),
    Row(id="F5", fault="403 with a challenge page", upstream=challenge, once=ANOTHER, always=_CHALLENGED),
    Row(id="F5", fault="503 with a challenge page", upstream=lambda: challenge(503), once=ANOTHER, always=_CHALLENGED),
    Row(
        id="F5",
        fault="403 with a page that asks for Turnstile",
        upstream=lambda: http_error(403, _TURNSTILE),
        once=ANOTHER,
        always=Then(
            status=503,
            code="upstream_challenge",
            accounts="ab",
            should_retry="true",
            retry_after=_SOON,
            tells="turnstile token is required",
        ),
    ),
    Row(
        id="F6",
        fault="unknown model, 404",
        upstream=lambda: http_error(404, errors.error_body("The model does not exist.", code="model_not_found")),
        always=Then(status=404, code="model_not_found", should_retry="false"),
    ),
    Row(
        id="F6",
        fault="unknown model, 400 of the edge",
        upstream=lambda: http_error(400, {"detail": "The 'x' model is not supported when using Codex."}),
        always=Then(status=404, code="model_not_found", should_retry="false"),
    ),
    Row(
        id="F7",
        fault="context length, 400",
        upstream=lambda: http_error(
            400, errors.error_body("Your input exceeds the context window.", code="context_length_exceeded")
        ),
        always=_CONTEXT,
    ),
    Row(id="F7", fault="413 of the edge", upstream=lambda: http_error(413, "<html>too large</html>"), always=_CONTEXT),
    _hint("F8", "429, retry-after in seconds", 30, retry_after="30"),
    _hint("F8", "429, retry-after-ms", 20, retry_after_ms="20000"),
    Row(
        id="F9",
        fault="429, a date ahead",
        upstream=lambda: _limit(retry_after=_date(minutes=10)),
        once=RESTS,
        always=_limited(600),
    ),
    Row(
        id="F9",
        fault="429, a date in the past",
        upstream=lambda: _limit(retry_after=_date(days=-3)),
        once=ANOTHER,
        always=Then(
            status=429,
            code="insufficient_quota",
            accounts="abc",
            should_retry="true",
            retry_after=range(1, 2),
        ),
    ),
    Row(
        id="F9",
        fault="429, an absurd date",
        upstream=lambda: _limit(retry_after=_date(days=40_000)),
        once=RESTS,
        always=_limited(_WEEK_S),
    ),
    Row(
        id="F10",
        fault="resets_at in seconds",
        upstream=lambda: _limit({"resets_at": int(_epoch(minutes=3))}),
        once=RESTS,
        always=_limited(180),
    ),
    Row(
        id="F10",
        fault="resets_at in milliseconds",
        upstream=lambda: _limit({"resets_at": int(_epoch(minutes=3) * 1000)}),
        once=RESTS,
        always=_limited(180),
    ),
    Row(
        id="F10",
        fault="resets_at as ISO 8601",
        upstream=lambda: _limit({"resets_at": _iso(minutes=3)}),
        once=RESTS,
        always=_limited(180),
    ),
    _hint("F10", "resets_in_seconds", 180, {"resets_in_seconds": 180}),
    _hint("F10", "retry_after in the body", 180, {"retry_after": 180}),
    _hint("F10", "a wait in the message", 20, {"message": "Please try again in 20 s."}),
    _hint("F10", "conflicting hints: the body wins", 180, {"resets_in_seconds": 180}, retry_after="3"),
    Row(id="F10", fault="the backend's own 429", upstream=lambda: usage_limit(5400), once=RESTS, always=_limited(5400)),
    Row(id="F10", fault="the short-term 429", upstream=lambda: rate_limited("30s"), once=RESTS, always=_limited(30)),
    Row(id="F11", fault="429 without a hint", upstream=_limit, once=RESTS, always=_limited(36, slack=12)),
    Row(id="F11", fault="429, not in the plan", upstream=usage_not_included, once=RESTS, always=_limited(36, slack=12)),
    *[_status(status) for status in (500, 502, 520, 529)],
    Row(id="F12", fault="503, overloaded", upstream=overloaded, once=ANOTHER, always=_OVERLOADED),
    Row(
        id="F13",
        fault="200 with an error object: limit",
        upstream=lambda: raw(
            b'{"error":{"type":"usage_limit_reached","message":"Used up.","resets_in_seconds":180}}',
            content_type="application/json",
        ),
        once=RESTS,
        always=_limited(180),
    ),
    Row(
        id="F13",
        fault="200 with an error object: server error",
        upstream=lambda: raw(b'{"error":{"code":"server_error","message":"Oops."}}', content_type="application/json"),
        once=ANOTHER,
        always=_service(),
    ),
    Row(
        id="F13",
        fault="200 with a detail",
        upstream=lambda: raw(b'{"detail":"Instructions are required"}', content_type="application/json"),
        always=Then(status=400, code="invalid_request", should_retry="false"),
    ),
    Row(
        id="F14",
        fault="200 with HTML",
        upstream=lambda: raw(b"<!DOCTYPE html><html>marked-html</html>", content_type="text/html"),
        once=ANOTHER,
        always=_BAD_BODY,
    ),
    Row(
        id="F15",
        fault="200 with an empty body",
        upstream=lambda: raw(b""),
        once=ANOTHER,
        always=_service("upstream_empty_response"),
    ),
    Row(
        id="F15",
        fault="200 with comments alone",
        upstream=lambda: raw(b": hello\n\n: there\n\n"),
        once=ANOTHER,
        always=_service("upstream_empty_response"),
    ),
    Row(
        id="F18",
        fault="headers never arrive",
        upstream=Never,
        once=ANOTHER,
        always=_service("upstream_timeout", 504),
        waits="first_byte_timeout_s",
    ),
    Row(
        id="F31",
        fault="an answer in an encoding that nobody knows",
        upstream=lambda: raw(b"data: {}\n\n", content_encoding="aes"),
        once=ANOTHER,
        always=_BAD_BODY,
    ),
    *[_mislabelled(encoding) for encoding in ("gzip", "br", "zstd")],
    Row(
        id="F32",
        fault="redirect to another host",
        upstream=lambda: redirect("http://127.0.0.1:9/elsewhere"),
        once=ANOTHER,
        always=_service(),
    ),
]
