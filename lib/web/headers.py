"""What the gateway reads of a request's headers beside credentials."""

from __future__ import annotations

import re

from lib.web.asgi import Scope, header, headers_of

SESSION_HEADERS = (
    b"session-id",
    b"session_id",
    b"conversation_id",
    b"thread-id",
    b"x-session-id",
    b"x-claude-code-session-id",
)
"""Headers by which clients name a conversation, in the order in which they are believed."""

_NAMES = frozenset(SESSION_HEADERS)
_SESSION = re.compile(r"[!-~]{1,256}")


def session_of(scope: Scope) -> str | None:
    """The name that the client gives its conversation; one that is too long or not plain is as good as none."""
    if _NAMES.isdisjoint(headers_of(scope)):
        return None
    for name in SESSION_HEADERS:
        value = header(scope, name)
        if value is not None and _SESSION.fullmatch(value):
            return value
    return None


def is_strict(scope: Scope) -> bool:
    """Whether the caller wants parameters without an effect refused."""
    return (header(scope, b"x-gateway-strict") or "").strip().lower() == "true"
