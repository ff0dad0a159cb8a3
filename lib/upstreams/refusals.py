"""What all upstreams' refusals have in common: error objects in their many shapes, and pages of the network edge."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from lib.errors import UpstreamError, Verdict

MAX_MESSAGE = 2000
_CREDENTIAL = re.compile(
    r"(?i:bearer +\S+)|\beyJ[\w-]{8,}(?:\.[\w-]*)*|\b(?:(?:at|sk|rt|gsk|hf|xai)[-._]|AIza)[\w.*-]{16,}"
)
"""What an upstream, or a proxy that answers with the headers it was sent, may repeat of a credential."""

_CHALLENGES = (
    ("turnstile", "a turnstile token is required"),
    ("arkose", "an Arkose token is required"),
    ("funcaptcha", "an Arkose token is required"),
    ("proofofwork", "a proof of work is required"),
    ("proof of work", "a proof of work is required"),
    ("proof token", "a proof of work is required"),
    ("captcha", "a captcha is required"),
    ("just a moment", "a browser check is required"),
    ("attention required", "the network address is blocked or must pass a browser check"),
)


def decoded(body: bytes) -> Any:
    """JSON, or None for what is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def safe_message(message: object) -> str | None:
    """An upstream's words for the caller: bounded, without credentials; None if there are none."""
    if not isinstance(message, str) or not message.strip():
        return None
    return _CREDENTIAL.sub("[removed]", message[:MAX_MESSAGE])


def challenge(status: int, headers: Mapping[str, str], text: str, *, is_page: bool) -> str | None:
    """What a network edge asks of a browser, None if this is no such answer."""
    marked = headers.get("cf-mitigated")
    if marked != "challenge" and (status not in (403, 503) or not (is_page or marked or status == 403)):
        return None
    lowered = text.lower()
    for marker, asked in _CHALLENGES:
        if marker in lowered:
            return asked
    return "it sent a web page in place of an answer" if is_page or marked else None


def misconfigured(reason: str) -> UpstreamError:
    """For a request that must not leave, because nobody could say where it would go."""
    return UpstreamError(
        f"The gateway is misconfigured: {reason}.",
        verdict=Verdict.REQUEST,  # no account can change it
        status=503,
        type="server_error",
        code="misconfigured",
        should_retry=False,
    )
