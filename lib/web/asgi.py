"""What every part of the web layer needs of ASGI: its types, headers, whole answers and the error reply."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import msgspec

from lib.errors import GatewayError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

TRACE_KEY = "chat2api.trace"
"""Where the request's `Trace` lies in the scope."""

_HEADERS_KEY = "chat2api.headers"
"""Where `headers_of` lies in the scope once it was asked for."""

MAX_HEADER_CHARS = 4096
"""Clients refuse heads of more than some tens of kilobytes, and names that a caller made up come back in headers."""

_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True)
class ApiFamily:
    """What the endpoints of one vendor's API have in common, whatever they answer."""

    envelope: Callable[[GatewayError, str], Mapping[str, Any]]
    """(error, request id) → the body of an error."""
    request_id_headers: tuple[bytes, ...] = (b"x-request-id",)
    """Every answer names the request in all of these."""


OPENAI = ApiFamily(lambda error, _: error.envelope())


class ClientGone(Exception):
    """The client closed the connection: nothing more can be sent, nothing more should be done."""


def headers_of(scope: Scope) -> Mapping[bytes, bytes]:
    """A request's headers by name (lower case, as ASGI gives them); of a repeated one the first."""
    named: dict[bytes, bytes] | None = scope.get(_HEADERS_KEY)
    if named is None:
        named = scope[_HEADERS_KEY] = dict(reversed([*scope["headers"]]))
    return named


def header(scope: Scope, name: bytes) -> str | None:
    """The first value of a header, or None. `name` is lower case."""
    value = headers_of(scope).get(name)
    return None if value is None else str(value, "latin-1")


def encode_headers(headers: Mapping[str, str]) -> Headers:
    """As ASGI wants them. What could split the response or is no latin-1 is replaced; values are bounded."""
    encoded = []
    for name, value in headers.items():
        name = name.lower()
        if not _HEADER_NAME.fullmatch(name):
            continue
        value = value[:MAX_HEADER_CHARS]
        if not (value.isascii() and value.isprintable()):
            value = "".join(char if " " <= char <= "~" or "\xa0" <= char <= "\xff" else "?" for char in value)
        encoded.append((name.encode("ascii"), value.encode("latin-1")))
    return encoded


def behind_head(send: Send) -> Send:
    """What takes the messages behind the head: a layer that looks at the head alone names it as its `rest`, and each
    token is spared its call."""
    rest: Send = getattr(send, "rest", send)
    return rest


async def send_whole(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """A complete answer. `headers` name the content type."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, value: Any, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """A complete answer of JSON."""
    await send_whole(send, status, msgspec.json.encode(value), [(b"content-type", b"application/json"), *headers])


async def send_error(
    send: Send, error: GatewayError, body: Mapping[str, Any], headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """The error in its family's shape, with what the official SDKs read before they try again."""
    await send_json(send, error.status, body, [*_retry_headers(error), *headers])


_RETRY_AFTER_S = {429: 30.0, 503: 5.0}
"""Statuses that always say when to come back, and when that is if nobody knows."""


def _retry_headers(error: GatewayError) -> Headers:
    headers: Headers = []
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    wait_s = _RETRY_AFTER_S.get(error.status)
    if wait_s is not None:
        if error.retry_after_s is not None and math.isfinite(error.retry_after_s):
            wait_s = error.retry_after_s
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(wait_s))))
    return headers
