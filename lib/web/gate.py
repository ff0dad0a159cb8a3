"""The outermost layer, and the only middleware: what holds for every request, whatever it asks for.

Request id, CORS, path and method, errors in the shape of the path's API family, and one log line. Pure ASGI: a
`BaseHTTPMiddleware` would double the cost of a streamed token.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable

from lib.errors import GatewayError, InvalidRequest, NotFound, PayloadTooLarge
from lib.types import Clock, Trace
from lib.web.asgi import (
    TRACE_KEY,
    ApiFamily,
    ClientGone,
    Headers,
    Message,
    Receive,
    Scope,
    Send,
    header,
    send_error,
    send_whole,
)
from lib.web.deadline import Deadlines
from lib.web.instance import Instance
from lib.web.logs import RequestLog, log_failure, log_request
from lib.web.paths import Endpoint, Table
from lib.web.provenance import EXPOSED, provenance

CLIENT_CLOSED = 499
"""The status that the log gives a request whose client did not wait; no such answer is ever sent."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_MAX_PREFLIGHT_HEADERS = 64

_CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"x-request-id, request-id, retry-after, x-should-retry, x-gateway-ignored, x-gateway-estimated, "
        b"openai-processing-ms, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
        b"x-ratelimit-reset-requests, x-gateway-ratelimit-scope, " + EXPOSED,
    ),
]
_TEXT = (b"content-type", b"text/plain; charset=utf-8")


class Gate:
    """The ASGI application around a table of endpoints. `close` is awaited when a server shuts down in good order.
    max_answer_bytes: what the platform carries in one piece; None for no limit. instance: counts the requests.
    log: told of every request that is over."""

    def __init__(
        self,
        table: Table,
        *,
        now: Clock,
        close: Callable[[], Awaitable[None]] | None = None,
        deadlines: Deadlines | None = None,
        max_answer_bytes: int | None = None,
        instance: Instance | None = None,
        log: RequestLog = log_request,
    ) -> None:
        self._table = table
        self._now = now
        self._close = close
        self._deadlines = deadlines or Deadlines(limit_s=None, margin_s=0)
        self._max_answer_bytes = max_answer_bytes
        self._instance = instance or Instance()
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        trace = Trace(_request_id(scope), self._now(), method=scope["method"], path=scope["path"])
        trace.deadline_at = self._deadlines.of(scope, trace.started_at)
        scope[TRACE_KEY] = trace
        outgoing = _Outgoing(send, trace, self._now, self._table.family(scope["path"]), self._max_answer_bytes)
        try:
            await self._answer(scope, receive, outgoing)
        except ClientGone:
            trace.status, trace.error = CLIENT_CLOSED, "client_closed"
        except GatewayError as error:
            await outgoing.fail(error)
        except RecursionError as error:
            log_failure("request.nested", error, request_id=trace.request_id)
            await outgoing.fail(InvalidRequest("The request is nested too deeply.", code="invalid_json"))
        except asyncio.CancelledError:
            trace.error = trace.error or "cancelled"
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: logged, and answered like any other
            log_failure("request.failed", error, request_id=trace.request_id)
            await outgoing.fail(GatewayError("The gateway met an internal error.", code="internal_error"))
        finally:
            if trace.failure is not None:
                log_failure("request.failed", trace.failure, request_id=trace.request_id)
            self._instance.count(trace.status)
            self._log(trace, now=self._now())

    async def _answer(self, scope: Scope, receive: Receive, send: _Outgoing) -> None:
        method = scope["method"]
        if method == "OPTIONS" and _is_preflight(scope):
            await send_whole(send, 200, b"ok", _preflight_headers(scope))
            return
        found = self._table.find(scope["path"])
        if found is None:
            raise NotFound(self._table.hint(scope["path"]))
        endpoint, scope["path_params"] = found
        scope[TRACE_KEY].endpoint = endpoint.path
        if method == "HEAD" and "GET" in endpoint.methods:
            method = "GET"
            scope = {**scope, "method": method}  # a copy: the server's own must go on knowing that it was HEAD
            send.without_body()
        app = endpoint.methods.get(method)
        if app is not None:
            await app(scope, receive, send)
        elif method == "OPTIONS":
            await send_whole(send, 200, b"ok", [_TEXT, (b"allow", endpoint.allow())])
        elif method == "GET" and header(scope, b"upgrade") is not None:
            await send.refuse(*_upgrade_refusal(endpoint))
        else:
            await send.refuse(*_method_refusal(endpoint))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the handshake in HTTP where the server can do that, so that clients fall back to HTTP."""
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": "no WebSocket here: use HTTP"})
            return
        trace = Trace(_request_id(scope), self._now(), method="GET", path=scope["path"])

        async def send_handshake(message: Message) -> None:
            await send({**message, "type": f"websocket.{message['type']}"})

        outgoing = _Outgoing(send_handshake, trace, self._now, self._table.family(scope["path"]))
        found = self._table.find(scope["path"])
        if found is None:
            await outgoing.fail(NotFound(self._table.hint(scope["path"])))
        else:
            await outgoing.refuse(*_upgrade_refusal(found[0]))
        self._log(trace, now=self._now())

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Nothing waits for start-up: not every platform calls it."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._close is not None:
                    await self._close()
                await send({"type": "lifespan.shutdown.complete"})
                return


class _Outgoing:
    """The `send` that endpoints see: puts the common headers on the head and notes what left."""

    def __init__(self, send: Send, trace: Trace, now: Clock, family: ApiFamily, max_bytes: int | None = None) -> None:
        self._send = self.rest = send
        """`rest`: for `lib.web.asgi.behind_head`."""
        self._trace = trace
        self._now = now
        self._family = family
        self._max_bytes = max_bytes
        self._head_only = False

    def without_body(self) -> None:
        """The answer to HEAD: what GET would say, without the body."""
        self._head_only = True
        del self.rest  # what is behind the head concerns this layer, too

    def __call__(self, message: Message) -> Awaitable[None]:
        """Not a coroutine function: the server's own coroutine is handed on, which saves one for each piece. Raises
        PayloadTooLarge, before anything has left."""
        trace = self._trace
        if message["type"] == "http.response.start":
            if self._max_bytes is not None and not self._head_only:
                _check_size(message, self._max_bytes)
            trace.status = message["status"]
            now = self._now()
            elapsed_ms = max(0, int((now - trace.started_at) * 1000))
            request_id = trace.request_id.encode("ascii")
            message["headers"] = [
                *message.get("headers", ()),
                *((name, request_id) for name in self._family.request_id_headers),
                (b"openai-processing-ms", b"%d" % elapsed_ms),
                *provenance(trace, now),
                *_CORS,
            ]
        elif self._head_only:
            message["body"] = b""
        return self._send(message)

    async def fail(self, error: GatewayError) -> None:
        """Answer with an error, unless an answer has begun: then the server breaks it off."""
        self._trace.error = error.code or error.type
        if self._trace.status == 0:
            await self.refuse(error)

    async def refuse(self, error: GatewayError, headers: Headers | None = None) -> None:
        """Answer with an error in the family's shape."""
        await send_error(self, error, self._family.envelope(error, self._trace.request_id), headers or [])


def _check_size(start: Message, max_bytes: int) -> None:
    """An answer that declares its length goes out in one piece; a stream has none, and no limit either."""
    size = dict(start.get("headers", ())).get(b"content-length")
    if size is not None and int(size) > max_bytes:
        raise PayloadTooLarge(
            f"The answer takes {int(size)} bytes and this platform carries at most {max_bytes} in one piece. Stream it "
            '("stream": true), or ask for less: a smaller or compressed image, or a URL instead of inline data.',
            code="response_too_large",
        )


def _request_id(scope: Scope) -> str:
    given = header(scope, b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return f"req_{os.urandom(16).hex()}"


def _is_preflight(scope: Scope) -> bool:
    return header(scope, b"access-control-request-method") is not None or header(scope, b"origin") is not None


def _preflight_headers(scope: Scope) -> Headers:
    """Every header that the browser asks for is allowed: there are no cookies to protect, only keys it must hold."""
    asked = (header(scope, b"access-control-request-headers") or "").split(",")[:_MAX_PREFLIGHT_HEADERS]
    names = [name for name in map(str.strip, asked) if _TOKEN.fullmatch(name)]
    return [
        _TEXT,
        (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE, OPTIONS"),
        (b"access-control-allow-headers", (", ".join(names) or "authorization, content-type").encode("ascii")),
        (b"access-control-max-age", b"86400"),
        (b"vary", b"access-control-request-headers"),
    ]


def _method_refusal(endpoint: Endpoint) -> tuple[InvalidRequest, Headers]:
    allow = endpoint.allow()
    message = f"This endpoint does not take this method; it takes {allow.decode()}."
    return InvalidRequest(message, status=405, code="method_not_allowed"), [(b"allow", allow)]


def _upgrade_refusal(endpoint: Endpoint) -> tuple[InvalidRequest, Headers]:
    message = f"There are no WebSockets here. Send an ordinary HTTP request to {endpoint.path}."
    return InvalidRequest(message, status=426, code="upgrade_required"), [(b"upgrade", b"HTTP/1.1")]
