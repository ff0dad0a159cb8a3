"""ASGI answers as AWS Lambda's response streaming wants them: the server's side of one invocation.

The posted body is a prelude (status, headers and cookies in JSON), eight NUL bytes, and then what the application
sends, piece by piece. The last chunk waits until the application has returned, because the sandbox may freeze after
it: a log line or a report to the pool would be left for some later invocation.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, cast

import msgspec

from lib.lambda_post import StreamedPost
from lib.lambda_runtime import error_document
from lib.web.asgi import App, Message, Scope
from lib.web.logs import LOGGER, log_failure

ResponseMode = Literal["stream", "buffered"] | None

OpenPost = Callable[[Callable[[], object]], Awaitable[StreamedPost]]
"""(what to call when the answer is no longer wanted) → an open post. Raises OSError."""

MAX_STREAM_BYTES = 200_000_000
"""Lambda cuts a streamed answer off at 200 MB."""

_DELIMITER = b"\0" * 8
_UNWANTED = {"connection", "content-length", "keep-alive", "transfer-encoding"}
"""About a connection that the client never sees; the front door would pass `content-length` on under another name."""


class BrokenAnswer(Exception):
    """The application did not bring its answer to an end."""


def takes_stream(event: Any, mode: ResponseMode) -> bool:
    """Whether the sender of this event reads a streamed answer; every other one reads the whole in JSON.

    A function URL does unless its `InvokeMode` is BUFFERED, and a REST API only if its integration is set to stream.
    No event tells of either, so `mode` does: "buffered" when nothing streams, "stream" when REST APIs do, too. HTTP
    APIs and load balancers cannot.
    """
    context = event.get("requestContext") if isinstance(event, Mapping) else None  # a test event may be any JSON
    if mode == "buffered" or not isinstance(context, Mapping):
        return False
    if event.get("version") == "2.0":
        return _is_function_url(context)
    return mode == "stream" and "httpMethod" in event and "elb" not in context


def _is_function_url(context: Mapping[str, Any]) -> bool:
    """HTTP APIs send the same format; behind a domain of one's own only its first label gives them away."""
    domain = str(context.get("domainName") or "")
    if context.get("routeKey", "$default") != "$default" or ".execute-api." in domain:
        return False
    return ".lambda-url." in domain or context.get("apiId") == context.get("domainPrefix")


def prelude(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of a streamed answer, with the delimiter. Repeated headers are joined; cookies stand by themselves."""
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
        elif name not in _UNWANTED:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    head: dict[str, Any] = {"statusCode": status, "headers": joined}
    if cookies:
        head["cookies"] = cookies
    return msgspec.json.encode(head) + _DELIMITER


async def answer(
    app: App, scope: Scope, body: bytes, open_post: OpenPost, *, max_bytes: int = MAX_STREAM_BYTES
) -> None:
    """Runs the application for one request and posts what it sends.

    Raises what the application raised before it began to answer, or BrokenAnswer if it never did: then nothing has
    been posted. What goes wrong later is logged, and posted in trailers if the body is cut short by it.
    """
    exchange = _Exchange(open_post, body, head_only=scope["method"] == "HEAD", max_bytes=max_bytes)
    try:
        failure: BaseException | None = None
        try:
            await app(scope, exchange.receive, exchange.send)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a server outlives its application's errors
            failure = error
        await exchange.finish(failure)
    finally:
        exchange.close()


class _State(enum.Enum):
    """Of the answer: `http.response.start` leads from WAITING to BEGUN, the last `http.response.body` to COMPLETE."""

    WAITING = enum.auto()
    BEGUN = enum.auto()
    COMPLETE = enum.auto()


class _Exchange:
    """What the application receives and sends in one invocation."""

    def __init__(self, open_post: OpenPost, body: bytes, *, head_only: bool, max_bytes: int) -> None:
        self._open_post = open_post
        self._body: bytes | None = body
        self._head_only = head_only
        self._left_bytes = max_bytes
        self._state = _State.WAITING
        self._over = asyncio.Event()
        """Set when the answer is complete, or no longer wanted."""
        self._post: StreamedPost | None = None

    async def receive(self) -> Message:
        """The body once; then it waits, as an application may watch for the end beside its work."""
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Raises OSError when the answer is no longer wanted, which ASGI applications know as a disconnect."""
        kind = message["type"]
        if self._state is _State.BEGUN and kind == "http.response.body":
            await self._send_body(message.get("body", b""))
            if not message.get("more_body", False):
                self._state = _State.COMPLETE
                self._over.set()
        elif self._state is _State.WAITING and kind == "http.response.start":
            self._state = _State.BEGUN
            self._post = await self._open_post(self._over.set)
            self._post.write(prelude(message["status"], message.get("headers", ())))
        else:
            raise RuntimeError(f"{kind} does not fit an answer that is {self._state.name}")

    async def _send_body(self, chunk: bytes) -> None:
        if not chunk or self._head_only:  # an empty chunk would end the body
            return
        post = cast(StreamedPost, self._post)
        self._left_bytes -= len(chunk)
        if self._left_bytes < 0:
            self._over.set()
            raise ConnectionAbortedError("AWS Lambda carries no longer answers")
        post.write(chunk)
        await post.drain()

    async def finish(self, failure: BaseException | None) -> None:
        """Ends what was begun. Raises `failure`, or BrokenAnswer, if nothing was."""
        if self._state is not _State.COMPLETE and failure is None:
            failure = BrokenAnswer()
        if self._post is None:
            raise failure or BrokenAnswer()
        if failure is not None and not isinstance(failure, OSError):
            log_failure("lambda.failed", failure)
        self._post.end(None if self._state is _State.COMPLETE else self._broken(failure))
        status = await self._post.answered()
        if status != 202:
            LOGGER.warning("lambda.not_taken", extra={"fields": {"status": status}})

    def _broken(self, failure: BaseException | None) -> Mapping[str, Any]:
        if self._left_bytes < 0:
            message = "The answer is longer than AWS Lambda carries; it was cut off."
            return {"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge", "stackTrace": []}
        return {**error_document(failure or BrokenAnswer()), "errorType": "Runtime.StreamError"}

    def close(self) -> None:
        if self._post is not None:
            self._post.close()
