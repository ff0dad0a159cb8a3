"""AWS Lambda: `handler`, the application behind Mangum, for front doors that take whole answers.

Setting: `handler: api.aws_lambda.handler`. Answers function URL and HTTP API events (format 2.0), REST API events (1.0)
and load balancer events. Streams are joined: put it behind `InvokeMode: BUFFERED` only, because a `RESPONSE_STREAM`
URL would pass the JSON envelope on to the client with status 200.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from mangum import Mangum

from api.index import app
from lib.errors import GatewayError
from lib.lambda_events import error_answer, too_large, unreadable, with_body_bytes
from lib.web.logs import LOGGER

LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


def make_handler(app: Any, loop: asyncio.AbstractEventLoop) -> LambdaHandler:
    """A Lambda handler for an ASGI application. `loop` is kept for the life of the process: pooled connections belong
    to it and outlive an invocation."""
    asyncio.set_event_loop(loop)  # Mangum takes the thread's current loop, here and at each call
    adapter = Mangum(app, lifespan="off")

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        asyncio.set_event_loop(loop)
        try:
            readable = _readable(adapter, event, context)
        except GatewayError as error:
            return _refused(event, context, error)
        answer = adapter(readable, context)
        overflow = too_large(answer)
        return _refused(event, context, overflow) if overflow else answer

    return handler


def _readable(adapter: Mangum, event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The event in the form that Mangum surely reads. Raises InvalidRequest."""
    try:
        readable = with_body_bytes(event)
        adapter.infer(readable, context).scope  # noqa: B018 - only to see whether it can be made
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        # a scope is made by string operations only: whatever they raise, the event is at fault
        raise unreadable(error) from error
    return readable


def _refused(event: dict[str, Any], context: Any, error: GatewayError) -> dict[str, Any]:
    """The answer in place of the application's, with a log line, because no other one tells why."""
    request_id = f"req_{context.aws_request_id}"
    LOGGER.warning("lambda.refused", extra={"fields": {"request_id": request_id, "error": error.code}})
    return error_answer(event, error, request_id)


handler = make_handler(app, asyncio.new_event_loop())
