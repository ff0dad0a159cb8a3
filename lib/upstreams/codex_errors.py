"""What a failure of the Codex backend means: status and body, or an error inside a stream → UpstreamError.

The backend speaks two shapes, `{"error": {...}}` from its API layer and `{"detail": "..."}` from the edge validator,
and answers some failures inside a 200. HTML comes from the network edge and never reaches the caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from lib.errors import UpstreamError, Verdict
from lib.types import Window
from lib.upstreams.refusals import challenge, safe_message
from lib.upstreams.waits import wait_s

MAX_ERROR_BYTES = 64 * 1024
_MAX_MESSAGE = 2000
"""What an upstream, or a proxy that answers with the headers it was sent, may repeat of a credential."""


class _Rule(NamedTuple):
    verdict: Verdict
    status: int
    code: str | None = None  # None keeps the upstream's


_LIMIT = _Rule(Verdict.LIMIT, 429)
_QUOTA = _Rule(Verdict.LIMIT, 429, "insufficient_quota")  # the name OpenAI's clients know for "used up for long"
_OVERLOAD = _Rule(Verdict.SERVICE, 503, "upstream_overloaded")
_ACCOUNT = _Rule(Verdict.ACCOUNT, 401)
_REQUEST = _Rule(Verdict.REQUEST, 400)
_SERVICE = _Rule(Verdict.SERVICE, 502, "upstream_error")
_CHALLENGE = _Rule(Verdict.CHALLENGE, 503, "upstream_challenge")
_NO_MODEL = _Rule(Verdict.REQUEST, 404, "model_not_found")

_BY_CODE = {
    "rate_limit_exceeded": _LIMIT,
    "usage_limit_reached": _QUOTA,
    "insufficient_quota": _QUOTA,
    "usage_not_included": _QUOTA,
    "quota_exceeded": _QUOTA,
    "subscription_sharing_usage_limit_exceeded": _QUOTA,
    "server_is_overloaded": _OVERLOAD,
    "slow_down": _OVERLOAD,
    "overloaded_error": _OVERLOAD,
    "server_error": _SERVICE,
    "invalid_encrypted_content": _Rule(Verdict.REASONING, 400),
    "context_length_exceeded": _REQUEST,
    "invalid_prompt": _REQUEST,
    "bio_policy": _REQUEST,
    "cyber_policy": _REQUEST,
    "model_not_found": _NO_MODEL,
    "token_expired": _ACCOUNT,
    "token_invalidated": _ACCOUNT,
    "token_revoked": _ACCOUNT,
    "account_deactivated": _ACCOUNT,
    "account_suspended": _ACCOUNT,
    "account_deleted": _ACCOUNT,
}

_OF_THE_REQUEST = ("image_", "invalid_image", "vector_store_timeout", "data_residency_mismatch")
"""How codes begin that blame the request."""

_BY_STATUS = {
    400: _REQUEST,
    401: _ACCOUNT,
    402: _Rule(Verdict.FORBIDDEN, 403, "upstream_forbidden"),
    403: _Rule(Verdict.FORBIDDEN, 403, "upstream_forbidden"),
    404: _NO_MODEL,
    408: _SERVICE,
    413: _Rule(Verdict.REQUEST, 400, "context_length_exceeded"),
    429: _LIMIT,
}

_DETAILS = (
    (re.compile(r"model is not supported", re.IGNORECASE), _NO_MODEL),
    (re.compile(r"requires a newer version", re.IGNORECASE), _Rule(Verdict.REQUEST, 400, "codex_client_too_old")),
    (re.compile(r"^Unsupported parameter"), _Rule(Verdict.REQUEST, 400, "unsupported_parameter")),
    (re.compile(r"^Unauthorized$", re.IGNORECASE), _ACCOUNT),
    (re.compile(r"^Not Found$", re.IGNORECASE), _NO_MODEL),
    (re.compile(r"selected model is at capacity", re.IGNORECASE), _OVERLOAD),
)

_CODES = {400: "invalid_request", 401: "upstream_unauthorized", 429: "rate_limit_exceeded"}
_TYPES = {400: "invalid_request_error", 401: "invalid_request_error", 403: "permission_error", 429: "rate_limit_error"}


def from_http(
    status: int, headers: Mapping[str, str], body: bytes, windows: Sequence[Window], now: float
) -> UpstreamError:
    """For an answer that is no stream: any non-2xx status, a redirect, or JSON or HTML under a 200."""
    error = _error_object(body)
    text = body[:4096].decode("utf-8", "replace")
    is_page = error is None and text.lstrip()[:1] == "<"
    asked = challenge(status, headers, text, is_page=is_page)
    if asked is not None:
        return _build(_CHALLENGE, {"message": f"The upstream's network edge refused the gateway: {asked}."}, None)
    if 300 <= status < 400:
        return _build(
            _SERVICE, {"message": f"The upstream answered with a redirect ({status}), which is not followed."}
        )
    if status < 300:
        return _under_success(error, headers, windows, now)
    rule = _rule(error or {}, _BY_STATUS.get(status) or _default(status))
    wait = wait_s(error or {}, headers, windows, now) if rule.verdict in (Verdict.LIMIT, Verdict.SERVICE) else None
    return _build(rule, error or {"message": f"The upstream answered with status {status}."}, wait)


def from_event(fields: Mapping[str, Any], windows: Sequence[Window], now: float) -> UpstreamError:
    """For a `response.failed` or an `error` event, nested or flat."""
    response = fields.get("response")
    nested = response.get("error") if isinstance(response, dict) else fields.get("error")
    error = dict(nested) if isinstance(nested, dict) else {k: fields.get(k) for k in ("code", "message", "param")}
    fallback = _REQUEST if error.get("type") == "invalid_request_error" else _SERVICE
    status, headers = fields.get("status", fields.get("status_code")), fields.get("headers")
    if isinstance(status, int):  # as sent over a WebSocket: an HTTP failure packed into an event
        fallback = _BY_STATUS.get(status) or _default(status)
    rule = _rule(error, fallback)
    named = {str(name).lower(): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}
    wait = wait_s(error, named, windows, now) if rule.verdict in (Verdict.LIMIT, Verdict.SERVICE) else None
    return _build(rule, error, wait)


def _under_success(
    error: Mapping[str, Any] | None, headers: Mapping[str, str], windows: Sequence[Window], now: float
) -> UpstreamError:
    if error is None:
        return UpstreamError(
            "The upstream answered with something other than an event stream.",
            verdict=Verdict.SERVICE,
            code="upstream_bad_response",
        )
    fallback = _REQUEST if error.get("type") == "invalid_request_error" or "detail" in error else _SERVICE
    rule = _rule(error, fallback)
    return _build(rule, error, wait_s(error, headers, windows, now) if rule.verdict is Verdict.LIMIT else None)


def _default(status: int) -> _Rule:
    return _SERVICE if status >= 500 else _REQUEST


def _error_object(body: bytes) -> dict[str, Any] | None:
    """The error as one flat object, from either shape; None if the body is neither."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(decoded, dict):
        return None
    error, detail = decoded.get("error"), decoded.get("detail")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {"code": error, "message": decoded.get("error_description") or decoded.get("message") or error}
    if isinstance(detail, dict):
        return {"message": str(detail.get("code") or "refused"), **detail, "detail": True}
    if detail is not None:
        message = detail if isinstance(detail, str) else msgspec.json.encode(detail).decode()
        return {"message": message, "detail": True}
    return None


def _rule(error: Mapping[str, Any], fallback: _Rule) -> _Rule:
    for key in ("code", "type"):
        name = error.get(key)
        if isinstance(name, str) and (rule := _by_code(name)) is not None:
            return rule
    message = error.get("message")
    if isinstance(message, str):
        for pattern, rule in _DETAILS:
            if pattern.search(message[:_MAX_MESSAGE]):
                return rule
        if fallback is _NO_MODEL and message.startswith("Item with id"):
            return _Rule(Verdict.REQUEST, 404, "item_not_found")
    return fallback


def _by_code(code: str) -> _Rule | None:
    return _REQUEST if code.startswith(_OF_THE_REQUEST) else _BY_CODE.get(code)


def _build(rule: _Rule, error: Mapping[str, Any], wait: float | None = None) -> UpstreamError:
    message, code, param = error.get("message"), error.get("code"), error.get("param")
    code = rule.code or (code if isinstance(code, str) and code else None) or _kind(error) or _CODES.get(rule.status)
    if rule.code == "codex_client_too_old":
        message = f"{message} (operator: raise CODEX_CLIENT_VERSION)"
    kind = (
        rule.code
        if rule is _QUOTA
        else _TYPES.get(rule.status) or ("invalid_request_error" if rule.status < 500 else "server_error")
    )
    return UpstreamError(
        safe_message(message) or "The upstream reported a failure.",
        verdict=rule.verdict,
        status=rule.status,
        type=kind,
        code=code,
        param=param if isinstance(param, str) else None,
        retry_after_s=wait,
    )


def _kind(error: Mapping[str, Any]) -> str | None:
    kind = error.get("type")
    return kind if isinstance(kind, str) and kind in _BY_CODE else None
