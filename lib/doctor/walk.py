"""What each client calls, asked of an application on the demo upstream, in process: no network, no account.

It shows that this very build, with the packages and the Python that it runs on, answers clients as they need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lib import sse
from lib.doctor.finding import Finding

App = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]
"""An ASGI application."""

_MAX_FRAME_BYTES = 16 * 1024 * 1024
_ADVICE = (
    "This is the gateway itself, not an upstream: an odd package or Python, a changed source, or STRICT_PARAMETERS, "
    "which refuses what this client sends. Compare with a fresh deployment."
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes

    def json(self) -> Any:
        """Raises ValueError for what is no JSON."""
        return msgspec.json.decode(self.body)

    def events(self) -> list[sse.Frame]:
        """Names and data of server-sent events."""
        decoder = sse.Decoder(_MAX_FRAME_BYTES)
        return [*decoder.feed(self.body), *decoder.flush()]


Judge = Callable[[Seen], str | None]
"""What is wrong with an answer, in a clause; None: nothing. May raise LookupError, TypeError, ValueError for an answer
that is not of the form at all."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a client, and what it needs of the answer."""

    method: str
    path: str
    """With the query."""
    judge: Judge
    body: Mapping[str, Any] | bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


async def walk(app: App, key: str, clients: Mapping[str, Sequence[Call]]) -> list[Finding]:
    """One finding for each client. app: on the demo upstream. key: one that it takes."""
    return list(await asyncio.gather(*(_client(app, key, name, calls) for name, calls in clients.items())))


async def ask(
    app: App, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | bytes | None = None
) -> Seen:
    """One request in process."""
    whole = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    given = {"content-type": "application/json", **headers} if whole else headers
    bare, _, query = path.partition("?")
    left = [{"type": "http.request", "body": whole, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        if not left:
            await asyncio.Event().wait()  # the client stays until it has the answer
        return left.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": bare,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    await app(scope, receive, send)
    start, *pieces = sent
    names = {str(name, "latin-1").lower(): str(value, "latin-1") for name, value in start["headers"]}
    return Seen(start["status"], names, b"".join(piece.get("body", b"") for piece in pieces))


async def _client(app: App, key: str, name: str, calls: Sequence[Call]) -> Finding:
    for call in calls:
        headers = call.headers if call.method == "OPTIONS" else {"authorization": f"Bearer {key}", **call.headers}
        seen = await ask(app, call.method, call.path, headers, call.body)
        wrong = _judged(call, seen)
        if wrong is not None:
            found = f"{call.method} {call.path}: {wrong}.{_message(seen)}"
            return Finding(f"client {name}", "problem", found, _ADVICE)
    paths = dict.fromkeys(call.path.partition("?")[0] for call in calls)
    return Finding(f"client {name}", "ok", f"Answered as it needs it: {', '.join(paths)}.")


def _message(seen: Seen) -> str:
    """What the gateway itself said of it."""
    try:
        return f" It says: {seen.json()['error']['message']}"
    except (LookupError, TypeError, ValueError):
        return ""


def _judged(call: Call, seen: Seen) -> str | None:
    if seen.headers.get("access-control-allow-origin") != "*":
        return "no CORS header"
    try:
        return call.judge(seen)
    except (LookupError, TypeError, ValueError) as error:
        return f"answered with {seen.status} and not in the form that it needs ({type(error).__name__})"
