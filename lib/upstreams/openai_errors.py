"""What a failure of an OpenAI-compatible API means: status and body, or an error inside a stream → UpstreamError.

Servers agree on little: `{"error": {...}}` (OpenAI and most), `{"error": "..."}` (Ollama), `[{"error": {...}}]`
(Google), flat `{"object": "error", ...}` (vLLM, Mistral), `{"detail": ...}` (FastAPI), numbers in `code`. What blames
the request keeps the upstream's own words; what is about a key does not, because these messages quote parts of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from lib.errors import UpstreamError, Verdict
from lib.upstreams.refusals import challenge, decoded, safe_message
from lib.upstreams.waits import wait_s

MAX_ERROR_BYTES = 64 * 1024
QUOTA_REST_S = 3600.0
"""How long a key without credit rests when the upstream gives no hint: it takes its owner to change that."""

Error = Mapping[str, Any]


class _Rule(NamedTuple):
    verdict: Verdict
    status: int
    type: str
    code: str | None = None
    """None keeps the upstream's."""
    message: str | None = None
    """None keeps the upstream's."""


_KIND = "invalid_request_error"
_LIMIT = _Rule(Verdict.LIMIT, 429, "rate_limit_error")
_QUOTA = _Rule(Verdict.LIMIT, 429, "insufficient_quota", "insufficient_quota")
_ACCOUNT = _Rule(Verdict.ACCOUNT, 401, _KIND, message="The upstream refused the API key.")
_FORBIDDEN = _Rule(
    Verdict.FORBIDDEN, 403, "permission_error", message="The upstream does not allow this to the API key in use."
)
_FLAGGED = _Rule(Verdict.REQUEST, 403, "permission_error")
_REASONING = _Rule(Verdict.REASONING, 400, _KIND)
_SERVICE = _Rule(Verdict.SERVICE, 502, "server_error")
_OVERLOAD = _Rule(Verdict.SERVICE, 503, "server_error")
_TIMEOUT = _Rule(Verdict.SERVICE, 504, "server_error")

_BY_STATUS = {401: _ACCOUNT, 402: _QUOTA, 403: _FORBIDDEN, 408: _TIMEOUT, 429: _LIMIT}
_BY_STATUS |= {503: _OVERLOAD, 504: _TIMEOUT, 524: _TIMEOUT, 529: _OVERLOAD}

_ANYWHERE = {
    "insufficient_quota": _QUOTA,
    "billing_not_active": _QUOTA,
    "billing_hard_limit_reached": _QUOTA,
    "quota_exceeded": _QUOTA,
    "invalid_api_key": _ACCOUNT,
    "account_deactivated": _ACCOUNT,
    "invalid_encrypted_content": _REASONING,
}
"""Codes and types that say more than the status beside them."""

_IN_STREAM = {
    "moderation_blocked": 400,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "too_many_requests": 429,
    "authentication_error": 401,
    "permission_error": 403,
    "server_is_overloaded": 503,
    "overloaded_error": 503,
    "engine_overloaded": 503,
    "slow_down": 503,
    "timeout": 504,
    "model_not_found": 404,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "badrequesterror": 400,
    "invalid_request": 400,
    "invalid_prompt": 400,
    "invalid_value": 400,
    "context_length_exceeded": 400,
    "unsupported_parameter": 400,
    "bio_policy": 400,
    "cyber_policy": 400,
}
"""Codes and types of errors that came without a status, inside a 200: the status that they would have had."""
_OF_THE_REQUEST = ("image_", "invalid_image", "content_policy", "content_filter")

_CODES = {401: "invalid_api_key", 403: "upstream_forbidden", 429: "rate_limit_exceeded"}
_CODES |= {503: "upstream_overloaded", 504: "upstream_timeout"}
_NAME = re.compile(r"[A-Za-z][A-Za-z_]{0,63}")
"""A code that cannot be a part of a key."""
_CODE = re.compile(r"[A-Za-z][\w.-]{0,63}")
_RESETS = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
)
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_EPOCH_FROM, _MILLISECONDS_FROM = 1_000_000_000, 100_000_000_000


def from_http(status: int, headers: Mapping[str, str], body: bytes, now: float) -> UpstreamError:
    """For an answer that is no good one: any non-2xx status, a redirect, or JSON or HTML where a stream was due."""
    error = error_of(decoded(body))
    if error is None:
        page = _page(status, headers, body[:4096].decode("utf-8", "replace"))
        if page is not None:
            return page
    if 300 <= status < 400:
        return _bad(f"The upstream answered with a redirect ({status}), which is not followed.")
    if status >= 400:
        return _build(_rule(error or {}, status), error or {}, status, headers, now)
    if error is not None:
        return from_object(error, now, headers=headers)
    return _bad("The upstream answered with something else than was asked for.")


def _page(status: int, headers: Mapping[str, str], text: str) -> UpstreamError | None:
    """What a web page stands for; None where the status says it better."""
    is_page = text.lstrip()[:1] == "<"
    asked = challenge(status, headers, text, is_page=is_page)
    if asked is not None:
        return UpstreamError(
            f"The upstream's network edge refused the gateway: {asked}.",
            verdict=Verdict.CHALLENGE,
            status=503,
            code="upstream_challenge",
        )
    if is_page and status not in (401, 402, 429):
        return _bad(f"The upstream answered with a web page (status {status}): its address may be wrong.")
    return None


def from_object(error: Error, now: float, *, headers: Mapping[str, str] | None = None) -> UpstreamError:
    """For an error object inside a good answer. It may name a status, else its code and type speak."""
    status = _status(error)
    return _build(_rule(error, status), error, status, headers or {}, now)


def error_of(value: object) -> dict[str, Any] | None:
    """The error that a decoded body holds, as one flat object; None if it holds none."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return None
    error, detail = value.get("error"), value.get("detail")
    if isinstance(error, dict):
        return error
    if isinstance(error, str) and error:
        return {"message": value.get("error_description") or value.get("message") or error}
    if value.get("object") == "error" or (isinstance(value.get("message"), str) and "choices" not in value):
        message = value.get("message")
        return {**value, "message": message if isinstance(message, str) else _told(message)}
    if detail:
        return {"message": detail if isinstance(detail, str) else _told(detail)}
    return None


def _told(value: object) -> str:
    """JSON for the eye: validation errors of servers that have no words of their own."""
    return msgspec.json.encode(value).decode("utf-8", "replace")


def _status(error: Error) -> int:
    for name in ("status", "status_code", "code"):
        value = error.get(name)
        number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) == 3 else value
        if isinstance(number, int) and 400 <= number <= 599:
            return number
    for name in ("code", "type"):
        value = error.get(name)
        if isinstance(value, str):
            if value.startswith(_OF_THE_REQUEST):
                return 400
            if (known := _IN_STREAM.get(value.lower())) is not None:
                return known
    return 502


def _rule(error: Error, status: int) -> _Rule:
    for name in ("code", "type"):
        value = error.get(name)
        if isinstance(value, str) and (rule := _ANYWHERE.get(value)) is not None:
            return rule
    metadata = error.get("metadata")
    if status == 403 and isinstance(metadata, dict) and metadata.get("reasons"):
        return _FLAGGED  # OpenRouter's moderation of the input: no other key changes it
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    return _SERVICE if status >= 500 else _Rule(Verdict.REQUEST, status, _KIND)


def _build(rule: _Rule, error: Error, status: int, headers: Mapping[str, str], now: float) -> UpstreamError:
    told = safe_message(error.get("message"))
    kind, param = error.get("type"), error.get("param")
    own_kind = isinstance(kind, str) and _CODE.fullmatch(kind) and rule.verdict is Verdict.REQUEST
    return UpstreamError(
        rule.message or told or f"The upstream answered with status {status}.",
        verdict=rule.verdict,
        status=rule.status,
        type=str(kind) if own_kind else rule.type,
        code=rule.code or _code(rule, error, told),
        param=param if isinstance(param, str) and len(param) <= 256 else None,
        retry_after_s=_wait(rule, error, headers, now),
    )


def _code(rule: _Rule, error: Error, told: str | None) -> str:
    code = error.get("code")
    pattern = _NAME if rule.message else _CODE
    if isinstance(code, str) and pattern.fullmatch(code):
        return code
    if rule.status == 404:
        return "model_not_found" if told and "model" in told.lower() else "not_found"
    return _CODES.get(rule.status, "upstream_error" if rule.status >= 500 else "invalid_request")


def _wait(rule: _Rule, error: Error, headers: Mapping[str, str], now: float) -> float | None:
    if rule.verdict is Verdict.LIMIT:
        hint = wait_s(error, headers, (), now)
        if rule is _QUOTA:
            return max(hint or 0.0, QUOTA_REST_S)
        return _reset(headers, now) if hint is None else hint
    return wait_s(error, headers, (), now) if rule.verdict is Verdict.SERVICE else None


def _reset(headers: Mapping[str, str], now: float) -> float | None:
    """The longest reset among the limits that are used up, or whose rest is not told."""
    waits = [
        wait
        for remaining, reset in _RESETS
        if headers.get(remaining, "0").strip() in ("0", "0.0", "-1") and (wait := _duration(headers.get(reset), now))
    ]
    return max(waits, default=None)


def _duration(value: str | None, now: float) -> float | None:
    """`6m0s`, `12ms`, seconds, or a moment in epoch seconds or milliseconds → seconds from now."""
    if value is None or len(value) > 32:
        return None
    found = _AMOUNT.findall(value)
    if found:
        return sum(float(amount) * _UNIT_S[unit] for amount, unit in found)
    try:
        number = float(value)
    except ValueError:
        return None
    if number >= _EPOCH_FROM:
        number = (number / 1000 if number >= _MILLISECONDS_FROM else number) - now
    return number if 0 < number < 1e9 else None


def _bad(message: str) -> UpstreamError:
    return UpstreamError(message, verdict=Verdict.SERVICE, code="upstream_bad_response")
