"""A small HTTP/1.1 server for tests: exact control over the bytes, and it notices when a client leaves."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import httptools


class ClientLeft(Exception):
    """The client closed the connection."""


class Exchange:
    """One request and the means to answer it byte by byte. Writing raises ClientLeft when nobody is there."""

    def __init__(self, connection: Connection, method: str, target: str, headers: list[tuple[str, str]], body: bytes):
        path, _, self.query = target.partition("?")
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.connection = connection.number
        self.on_head: Callable[[int], None] | None = None
        """Told the status before its line is written, so that whoever has the answer finds it noted."""
        self.finished = False
        """The whole answer, or its terminal event, has been written."""
        self._connection = connection

    @property
    def left(self) -> bool:
        return self._connection.gone.is_set()

    def write(self, data: bytes) -> None:
        """Raw bytes, now."""
        if self.left:
            raise ClientLeft
        self._connection.transport.write(data)

    async def drain(self) -> None:
        """Waits until the socket takes more."""
        await self._connection.writable.wait()
        if self.left:
            raise ClientLeft

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Status line and headers."""
        if self.on_head is not None:
            self.on_head(status)
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.write(f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode("latin-1"))

    def chunk(self, data: bytes) -> None:
        """One chunk of a body with `transfer-encoding: chunked`."""
        if data:
            self.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """The last chunk."""
        self.write(b"0\r\n\r\n")

    async def sleep(self, seconds: float) -> None:
        """Waits; raises ClientLeft as soon as the client leaves."""
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            try:
                await asyncio.wait_for(self._connection.gone.wait(), seconds)
            except TimeoutError:
                return
        if self.left:
            raise ClientLeft

    async def until_left(self) -> None:
        """Waits for the client to leave."""
        await self._connection.gone.wait()

    def close(self) -> None:
        """Ends the connection after what has been written."""
        self._connection.transport.close()

    def reset(self) -> None:
        """Ends the connection with a TCP reset."""
        transport = self._connection.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


class Connection(asyncio.Protocol):
    """One client connection: requests one after the other, kept alive between them."""

    transport: asyncio.Transport

    def __init__(self, server: Server, number: int) -> None:
        self.number = number
        self.gone = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # the message is complete; the handler answers without switching protocols
        except httptools.HttpParserError as error:
            self._server.errors.append(f"not HTTP: {error}")
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self.writable.set()
        self._server.connections.discard(self)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        exchange = Exchange(self, method, self._target.decode("latin-1"), self._headers, bytes(self._body))
        self._target, self._headers, self._body = b"", [], bytearray()
        if self._task is not None and not self._task.done():
            self._server.errors.append("a second request before the first was answered")
            self.transport.abort()
            return
        self._task = asyncio.get_running_loop().create_task(self._serve(exchange))

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self._server.handler(exchange)
        except ClientLeft:
            return
        except Exception as error:  # noqa: BLE001 - reported when the server ends
            self._server.errors.append(f"{exchange.method} {exchange.path}: {error!r}")
            self.transport.abort()


class Server:
    """Listens on a loopback port. `errors` holds what went wrong inside; a test should find it empty."""

    def __init__(self, handler: Callable[[Exchange], Awaitable[None]]) -> None:
        self.handler = handler
        self.errors: list[str] = []
        self.connections: set[Connection] = set()
        self.accepted = 0
        self._numbers = itertools.count(1)

    def _connection(self) -> Connection:
        self.accepted = next(self._numbers)
        return Connection(self, self.accepted)

    async def start(self, listener: socket.socket) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._connection, sock=listener)

    async def stop(self) -> None:
        self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
