"""The thinnest HTTP/1.1 client: asyncio and httptools, one request at a time on a kept connection.

The load client measures with it and the relays relay with it, so that neither adds a cost of its own that the other
lacks.
"""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

_MAX_BUFFERED_BYTES = 256 * 1024


def post(path: str, body: bytes, *, key: str = "sk-bench") -> bytes:
    """An encoded request."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """A connection to one server. `send`, then `read` until it returns nothing; then `send` again."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._buffered = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self.done = True
        """The answer has been received to its end."""
        self.status = 0

    @classmethod
    async def open(cls, port: int) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: the transports of uvloop are no subclasses of those of asyncio.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._error = self._error or exc or ConnectionResetError("the server closed the connection")
        self._wake()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._error = error
        if self._buffered > _MAX_BUFFERED_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        self.done = True

    def send(self, request: bytes) -> None:
        """Start a request; the last answer has been read to its end."""
        self.done = False
        self._transport.write(request)

    async def read(self) -> bytes:
        """All of the body that has arrived since the last call; waits for some; empty at the end.
        Raises the error that broke the connection."""
        while not self._parts:
            if self.done:
                return b""
            if self._error is not None:
                raise self._error
            self._waiter = self._loop.create_future()
            await self._waiter
        parts = self._parts
        batch = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return batch

    def close(self) -> None:
        self._transport.abort()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
