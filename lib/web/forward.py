"""The endpoints that the gateway does not translate: sound, embeddings, moderations and the older completions go to an
upstream that serves them, as they are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from lib.types import Caller, Reply, Route, Trace
from lib.web.asgi import TRACE_KEY, Receive, Scope, Send
from lib.web.auth import Authenticator, caller_of
from lib.web.bodies import read_json_raw
from lib.web.headers import session_of
from lib.web.paths import Endpoint
from lib.web.stream import deliver

if TYPE_CHECKING:
    from lib.dialects.forward_wires import Wire
    from lib.forward_relay import Unread

_ROWS = {
    "/audio/speech": "Speech from a text",
    "/audio/transcriptions": "A recording's words",
    "/audio/translations": "A recording's words in English",
    "/embeddings": "Vectors of texts",
    "/moderations": "Whether a text is harmful",
    "/completions": "Completions, the older kind, streamed or whole",
}


class UnreadRelay(Protocol):
    """What the endpoints need of `lib.forward_relay.ForwardRelay`."""

    async def reply(
        self, unread: Unread, path: str, wire: Wire, caller: Caller, trace: Trace, route: Route | None = None
    ) -> Reply:
        """Raises GatewayError before anything was sent."""


class ForwardApi:
    """The endpoints around one relay, which is made with the first request. keep_alive_s: the longest silence in a
    stream of events."""

    def __init__(
        self,
        relay: Callable[[], UnreadRelay],
        auth: Authenticator,
        *,
        max_request_bytes: int,
        keep_alive_s: float = 10.0,
    ) -> None:
        self._relay = relay
        self._auth = auth
        self._max_request_bytes = max_request_bytes
        self._keep_alive_s = keep_alive_s

    def endpoints(self) -> list[Endpoint]:
        """The rows for the table."""
        rows = [
            Endpoint(f"/v1{path}", {"POST": functools.partial(self._forward, path)}, summary)
            for path, summary in _ROWS.items()
        ]
        return [self._auth.guarded(row, max_bytes=self._max_request_bytes) for row in rows]

    async def _forward(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """POST of a body that is only forwarded: JSON or a form."""
        from lib.dialects.forward import ENDPOINTS, unread_form, unread_json

        endpoint, trace, session = ENDPOINTS[path], scope[TRACE_KEY], session_of(scope)
        trace.dialect = endpoint.name
        unread: Unread
        if endpoint.takes_form:
            from lib.web.forms import read_form

            form = await read_form(scope, receive, max_bytes=self._max_request_bytes)
            unread = unread_form(endpoint, form, session)
        else:
            body, raw = await read_json_raw(scope, receive, max_bytes=self._max_request_bytes)
            unread = unread_json(endpoint, body, raw, session)
        replying = self._relay().reply(unread, path, endpoint.wire, caller_of(scope), trace)
        await deliver(replying, receive, send, keep_alive_s=self._keep_alive_s)
