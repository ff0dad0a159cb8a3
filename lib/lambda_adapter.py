"""An ASGI application behind AWS Lambda's HTTP events, with whole answers or streamed ones.

Mangum reads the events and makes the whole answers; around it stand the guards of `lib.lambda_events`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mangum import Mangum

from lib import lambda_stream
from lib.errors import GatewayError
from lib.lambda_events import error_answer, too_large, unreadable, with_body_bytes
from lib.lambda_post import open_post
from lib.lambda_runtime import Invocation
from lib.web.asgi import App, Message, Receive, Scope, Send
from lib.web.deadline import SCOPE_KEY
from lib.web.logs import LOGGER

if TYPE_CHECKING:
    from mangum.types import ASGI

LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]

_TURNS = 3
"""Of the event loop: then a kept connection that the other side closed during the freeze has left its pool."""

_BROKEN_OFF = GatewayError(
    "The answer broke off before it was whole.", status=502, code="upstream_truncated", should_retry=True
)


class Adapter:
    """`loop` is kept for the life of the process: pooled connections belong to it and outlive an invocation."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)  # Mangum takes the thread's current loop, here and at each call
        self._app = _invoked(app)
        self._mangum = Mangum(self._ended, lifespan="off")
        self._loop = loop
        self._broke_off = False

    def whole(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """A Lambda handler: the answer to one event, in the envelope that its sender reads."""
        asyncio.set_event_loop(self._loop)
        try:
            readable, _ = self._read(event, context)
        except GatewayError as error:
            return _refused(event, context, error)
        answer: dict[str, Any] = self._mangum(readable, context)
        unsendable = _BROKEN_OFF if self._broke_off else too_large(answer)
        return _refused(event, context, unsendable) if unsendable else answer

    def stream(self, invocation: Invocation, address: str) -> None:
        """Post the answer to the Runtime API at `address`, piece by piece. Raises as `lambda_stream.answer` does."""

        def opened(on_gone: Callable[[], object]) -> Any:
            return open_post(address, invocation.path("response"), invocation.headers(), on_gone)

        app: App = self._app
        try:
            readable, scope = self._read(invocation.event, invocation)
            body = readable["body"]
        except GatewayError as error:
            app, scope, body = _refusing(_refused(invocation.event, invocation, error)), {"method": "GET"}, b""
        self._loop.run_until_complete(lambda_stream.answer(app, scope, body, opened))

    async def _ended(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application as Mangum can read it, which expects an end of every body. A server breaks off in place of
        one; here nothing has left yet."""
        is_open = self._broke_off = False

        async def noting(message: Message) -> None:
            nonlocal is_open
            is_open = message["type"] == "http.response.start" or bool(message.get("more_body"))
            await send(message)

        await self._app(scope, receive, noting)
        if is_open:
            self._broke_off = True
            await send({"type": "http.response.body", "body": b""})

    def _read(self, event: dict[str, Any], context: Any) -> tuple[dict[str, Any], Scope]:
        """The event in the form that Mangum surely reads, and its scope. Raises InvalidRequest."""
        try:
            readable = with_body_bytes(event)
            return readable, self._mangum.infer(readable, context).scope
        except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
            # a scope is made by string operations only: whatever they raise, the event is at fault
            raise unreadable(error) from error


def _invoked(app: App) -> ASGI:
    """The application as an invocation calls it: with the deadline in its scope, and a look around after the freeze."""

    async def invoked(scope: Scope, receive: Receive, send: Send) -> None:
        remaining = getattr(scope.get("aws.context"), "get_remaining_time_in_millis", None)
        if remaining is not None:
            scope[SCOPE_KEY] = time.time() + remaining() / 1000
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        await app(scope, receive, send)

    return invoked


def _refused(event: Any, context: Any, error: GatewayError) -> dict[str, Any]:
    """The answer in place of the application's, with a log line, because no other one tells why."""
    request_id = f"req_{getattr(context, 'aws_request_id', None) or uuid.uuid4().hex}"
    LOGGER.warning("lambda.refused", extra={"fields": {"request_id": request_id, "error": error.code}})
    return error_answer(event, error, request_id)


def _refusing(answer: dict[str, Any]) -> App:
    """An application that gives this answer, whatever it is asked."""
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in answer["headers"].items()]
    start: Message = {"type": "http.response.start", "status": answer["statusCode"], "headers": headers}

    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": answer["body"].encode()})

    return refusing
