"""Failures in the shape of the Messages API: `{"type": "error", "error": {"type", "message"}, "request_id"}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.errors import GatewayError

TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""HTTP status → the API's name for it; other 4xx are an `invalid_request_error`, other 5xx an `api_error`."""

THREADS = "thread_unsupported_request"
"""The code of the refusal to keep a conversation: on it the official SDKs send the whole history instead."""

_TOO_LONG = "prompt is too long: "
"""How the API's own message begins. Claude Code looks for these words, and then compacts the conversation."""


def error_type(status: int) -> str:
    """The `type` of an error with this HTTP status."""
    return TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")


def envelope(error: GatewayError, request_id: str | None = None) -> dict[str, Any]:
    """The JSON body, or the data of an `error` event. `request_id` is left out where it is not known."""
    message = error.message
    if error.code == "context_length_exceeded" and not message.startswith(_TOO_LONG):
        message = _TOO_LONG + message
    told: dict[str, Any] = {"type": error_type(error.status), "message": message}
    if error.code == THREADS:
        told["details"] = {"error_code": THREADS}
    body: dict[str, Any] = {"type": "error", "error": told}
    return body if request_id is None else body | {"request_id": request_id}
