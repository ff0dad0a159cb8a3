"""Streams out: server-sent events to the client, silence bridged, and everything closed however it ends.

Starlette's `StreamingResponse` leaves the body's generator open in most kinds of client disconnect, and a task for
each chunk (`asyncio.wait` on the next one) costs more than the rest of the relay. Here one task walks the stream; a
timer fills silences, and a watcher, started late, cancels the server's task, and so that one, once the client has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import TracebackType

from lib.errors import GatewayError
from lib.types import Reply
from lib.web.asgi import ClientGone, Headers, Receive, Send, behind_head, encode_headers, send_whole
from lib.web.logs import log_failure

WATCH_AFTER_S = 0.05
"""Fast answers end before this and never pay for a watcher."""

_STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Watch:
    """`async with Watch(receive)`: the block is cancelled once the client has gone, and ClientGone is raised.

    For use after the request body has been read: from then on, disconnection is all that `receive` can report.
    A cancellation from elsewhere passes through untouched.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None
        self._gone = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # ASGI servers call the app in a task
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait({watcher})  # nothing may be left over when the process is frozen after the answer
        if self._gone:
            if self._task.uncancel() > self._cancelling:
                return  # someone else cancels, too: theirs goes on
            raise ClientGone from error

    def _start(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect" and self._watcher is not None:
            self._gone = True
            self._task.cancel()


class EventStream:
    """One streamed answer. Sends one body message for each chunk of the reply's stream, and the reply's keep-alive
    bytes after each `keep_alive_s` of silence; never two messages at once. The stream is closed in any case."""

    def __init__(self, reply: Reply, *, keep_alive_s: float) -> None:
        assert reply.stream is not None
        self._stream = reply.stream
        self._chunks = reply.stream.__aiter__()
        self._reply = reply
        self._keep_alive_s = keep_alive_s
        self._keeper: asyncio.Task[None] | None = None
        self._sending = False

    async def __call__(self, send: Send) -> None:
        """Raises ClientGone when the server says so in `send`, and the stream's own GatewayError, upon which the body
        must not be ended as if it were whole; any other error is logged and ends the body."""
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._sent_at = self._loop.time()
        self._timer = self._loop.call_later(self._keep_alive_s, self._fill)
        try:
            own = self._reply.headers
            headers = [*(() if "content-type" in own else _STREAM_HEADERS), *encode_headers(own)]
            await self._put({"type": "http.response.start", "status": self._reply.status, "headers": headers})
            self._send = behind_head(send)
            # The first piece leaves with the head, in one write. The others are sent by a task of its own, which each
            # token wakes without passing the frames of the server and of the gate.
            if not await self._body(only_first=True):
                await self._loop.create_task(self._body())
            await self._put({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._timer.cancel()
            try:
                if self._keeper is not None:
                    self._keeper.cancel()
                    await asyncio.wait({self._keeper})
            finally:  # a second cancellation may come in between
                await self._stream.aclose()

    async def _body(self, *, only_first: bool = False) -> bool:
        """Sends the rest of the stream, or its next piece; whether that was the end."""
        try:
            async for chunk in self._chunks:
                if self._keeper is not None:
                    await self._kept()
                # As `_put` does, but without its call: this is the way of every token.
                self._sending = True
                try:
                    await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
                except OSError as error:
                    raise ClientGone from error
                self._sending = False
                self._sent_at = self._loop.time()
                if only_first:
                    return False
        except ClientGone:
            raise
        except GatewayError:
            # A body that is no stream of events has no words for this: it is left without its end.
            raise
        except Exception as error:  # noqa: BLE001 - the head is out: all that is left is to end the body
            log_failure("stream.failed", error)
        return True

    async def _put(self, message: dict[str, object]) -> None:
        if self._keeper is not None:
            await self._kept()
        self._sending = True
        try:
            await self._send(message)
        except OSError as error:
            raise ClientGone from error
        self._sending = False
        self._sent_at = self._loop.time()

    async def _kept(self) -> None:
        """Never two messages at once: waits for the keep-alive that is being sent."""
        if self._keeper is not None:
            await asyncio.wait({self._keeper})
            self._keeper = None

    def _fill(self) -> None:
        """The timer's callback: starts a keep-alive if it is time for one, and sets the timer again."""
        silent_s = self._loop.time() - self._sent_at
        due_s = self._keep_alive_s - silent_s
        if due_s <= 0:
            due_s = self._keep_alive_s
            if self._reply.keep_alive and not self._sending and (self._keeper is None or self._keeper.done()):
                self._keeper = self._loop.create_task(self._keep_alive())
        self._timer = self._loop.call_later(due_s, self._fill)

    async def _keep_alive(self) -> None:
        try:
            await self._send({"type": "http.response.body", "body": self._reply.keep_alive, "more_body": True})
        except OSError:
            return  # the body's next message meets the same, and says so
        self._sent_at = self._loop.time()


async def deliver(replying: Awaitable[Reply], receive: Receive, send: Send, *, keep_alive_s: float) -> None:
    """Wait for a reply and send it, streamed or whole, as long as the client is there. To be called once the request's
    body has been read. Raises ClientGone, and what `replying` raises."""
    async with Watch(receive):
        reply = await replying
        if reply.stream is not None:
            await EventStream(reply, keep_alive_s=keep_alive_s)(send)
            return
    headers = {"content-type": "application/json", **reply.headers}
    await send_whole(send, reply.status, reply.body or b"", encode_headers(headers))
