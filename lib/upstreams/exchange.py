"""One request to an upstream and its answer, over HTTP/1.1.

There is no task, no timeout object and no lock per read: the connection hands over what one read brought, the parser
runs on it, and whoever waits is woken. What one read brought is one piece of the body.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, NamedTuple

import httptools
import httpx

if TYPE_CHECKING:
    from lib.upstreams.connection import Connection

_HIGH_WATER = 256 * 1024
"""Bytes of body that may wait for a slow reader before the socket is no longer read; one read may come on top."""
_LOW_WATER = 64 * 1024
_MAX_DRAINED = 64 * 1024
_DRAIN_S = 0.5
"""How much of a rest, and for how long, is read for the sake of the connection."""
_MAX_BARE = 64 * 1024
"""Bytes in a row that bring no body: headers, chunk extensions, trailers."""


class CutOff(httpx.RemoteProtocolError):
    """The upstream closed the connection before its answer was whole."""


class Limits(NamedTuple):
    """Seconds of silence, None for no limit."""

    write_s: float | None
    first_byte_s: float | None
    idle_s: float | None


class Phase(enum.Enum):
    SENDING = "the request is being written"
    WAITING = "the headers of the final answer are awaited"
    STREAMING = "the body is being read"
    ENDED = "whole, failed or closed"


class Exchange(httpx.AsyncByteStream):
    """One request and its answer; iterate it for the body, once."""

    def __init__(self, connection: Connection, limits: Limits, *, bodiless: bool) -> None:
        """bodiless: the answer has no body whatever its headers say (HEAD)."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.answered = False
        """Whether any byte of the answer has come."""
        self._connection = connection
        self._limits = limits
        self._bodiless = bodiless
        self._loop = asyncio.get_running_loop()
        self._phase = Phase.SENDING
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._bare = 0
        self._pieces: list[bytes] = []
        self._drained: int | None = None
        """Bytes thrown away since the reader left; None while it reads."""
        self._whole = False
        self._keep_alive = False
        self._error: httpx.TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._limit: float | None = None
        self._since = self._due = 0.0
        self._unsent = 0
        self.shown: Callable[[httpx.TransportError], Exception] | None = None
        """What the body's reader is to see of a failure; None: that itself."""
        self.on_body: Callable[[bytes], None] = self._pieces.append
        self._parser = httptools.HttpResponseParser(self)

    # -- for the transport and the reader

    def start(self, head: bytes, body: bytes) -> None:
        """Write the request."""
        if self._connection.send(self, head, body):
            self._enter(Phase.WAITING, self._limits.first_byte_s)
        else:
            self._unsent = self._connection.unsent()
            self._enter(Phase.SENDING, self._limits.write_s)

    async def head(self) -> None:
        """Wait until `status` and `headers` are there."""
        while not self.status:
            if self._error is not None:
                raise self._error
            self._waiter = self._loop.create_future()
            await self._waiter

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._error is not None:
                raise self._error if self.shown is None else self.shown(self._error)
            if self._whole:
                raise StopAsyncIteration
            waiter = self._waiter = self._loop.create_future()
            try:
                await waiter
            except asyncio.CancelledError:
                self.close()
                raise
        chunk = self._chunks.popleft()
        self._buffered -= len(chunk)
        if self._connection.paused and self._buffered <= _LOW_WATER and self._phase is not Phase.ENDED:
            self._connection.resume()
            self._since = self._loop.time()
        return chunk

    def close(self) -> None:
        """Drop the rest of the answer; an answer that is not whole takes its connection with it, at once."""
        self._chunks.clear()
        self.fail(httpx.ReadError("the answer was closed by its reader"))

    def drain(self) -> None:
        """The reader has all it needs. A rest that ends soon is thrown away and its connection kept; waiting for it
        takes no task, so nothing is left behind when the process is frozen."""
        if self._phase is not Phase.STREAMING:
            self.close()
            return
        self._chunks.clear()
        self._drained = 0
        self._connection.resume()
        self._cancel_timer()
        self._timer = self._loop.call_later(_DRAIN_S, self.close)

    async def aclose(self) -> None:
        if self._drained is None:
            self.close()

    # -- for the connection

    def feed(self, data: bytes) -> None:
        """What one read brought."""
        self.answered = True
        error: httpx.TransportError | None = None
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            if self._whole:
                self._keep_alive = False  # bytes after the end answer nothing that was asked
            else:
                error = httpx.RemoteProtocolError(f"not a valid HTTP answer: {exc}")
        if self._pieces:
            self._deliver()
        elif not self._whole:
            self._bare += len(data)
            if self._bare > _MAX_BARE:
                error = httpx.RemoteProtocolError("too many headers")
        if self._phase is Phase.STREAMING and not self._whole and error is None:
            self._since = self._loop.time()
        else:
            self._turn(error)

    def _turn(self, error: httpx.TransportError | None) -> None:
        """Begins the body, or ends the exchange."""
        if self._phase is Phase.ENDED:
            return  # there was too much to drain
        if self._whole:
            self._end()
        elif error is not None:
            self.fail(error)
        elif self.status:
            self._enter(Phase.STREAMING, self._limits.idle_s)

    def sent(self) -> None:
        """The socket has taken the request."""
        if self._phase is Phase.SENDING:
            self._enter(Phase.WAITING, self._limits.first_byte_s)

    def lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if exc is not None:
            self.fail(httpx.ReadError(f"the connection broke: {exc.strerror if isinstance(exc, OSError) else exc}"))
        elif self.status and self._until_close():
            self._whole = True
            self._end()
        elif self.answered:
            self.fail(CutOff("closed in the middle of the answer"))
        else:
            self.fail(CutOff("closed without an answer"))

    def fail(self, error: httpx.TransportError) -> None:
        """End with an error, unless already ended. What was read before it is still handed out."""
        if self._phase is not Phase.ENDED:
            self._error = error
            self._end()

    # -- for the parser

    def on_message_begin(self) -> None:
        if self._whole:
            raise ValueError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # a trailer is of no use to anyone here
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()
            return
        self.status = status
        if self._bodiless:
            # The parser cannot be told, and waits for a body: the connection is of no further use.
            self._whole = True
            return
        self._keep_alive = self._parser.should_keep_alive()
        self._wake()

    def on_message_complete(self) -> None:
        self._whole = self.status != 0  # else it was an interim answer

    # -- within

    def _deliver(self) -> None:
        pieces = self._pieces
        chunk = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._bare = 0
        if self._drained is not None:
            self._drained += len(chunk)
            if self._drained > _MAX_DRAINED:
                self.close()
        elif not self._bodiless:
            self._chunks.append(chunk)
            self._buffered += len(chunk)
            if self._buffered >= _HIGH_WATER:
                self._connection.pause()
            self._wake()

    def _until_close(self) -> bool:
        """Whether the body ends with the connection (RFC 9112, 6.3)."""
        named = [(name.lower(), value.lower()) for name, value in self.headers]
        return not any(
            name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value) for name, value in named
        )

    def _end(self) -> None:
        self._phase = Phase.ENDED
        self._cancel_timer()
        if not self._loop.is_closed():
            self._wake()
        del self._parser  # it refers back to this object: a cycle for each request would be work for the collector
        self._connection.done(reusable=self._keep_alive and self._error is None)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _enter(self, phase: Phase, limit: float | None) -> None:
        self._phase = phase
        self._limit = limit
        self._since = self._loop.time()
        if self._timer is not None and limit is not None and self._due <= self._since + limit:
            return  # it rings early enough, and then looks at the limit
        self._cancel_timer()
        if limit is not None:
            self._set_timer(self._since, limit)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, now: float, after_s: float) -> None:
        self._due = now + after_s
        self._timer = self._loop.call_later(after_s, self._tick)

    def _tick(self) -> None:
        """The one timer of a phase: it looks at the stamp of the last activity and waits again if that is fresh."""
        assert self._limit is not None
        now = self._loop.time()
        if self._connection.paused:
            self._since = now  # the silence is the reader's
        elif self._phase is Phase.SENDING and self._connection.unsent() < self._unsent:
            self._since, self._unsent = now, self._connection.unsent()
        left = self._since + self._limit - now
        if left > 0:
            self._set_timer(now, left)
        elif self._phase is Phase.SENDING:
            self.fail(httpx.WriteTimeout("the request was not taken in time"))
        else:
            begun = self._phase is Phase.STREAMING
            self.fail(httpx.ReadTimeout("silence in the middle of the answer" if begun else "no answer in time"))
