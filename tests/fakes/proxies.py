"""Proxies over real sockets: HTTP (CONNECT, and requests with an absolute URL) and SOCKS5. They count connections.

async with HttpProxy(login="user:password") as proxy:
    ...  # proxy.url has the login in it
"""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Self
from urllib.parse import urlsplit

from tests.fakes.raw_server import RawRequest, read_request


class _Proxy:
    scheme: str

    def __init__(self, login: str | None = None) -> None:
        """login: the `user:password` without which nothing passes."""
        self.login = login
        self.connections = 0
        self.targets: list[str] = []
        """`host:port` of each tunnel or request that was let through."""
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.login + '@' if self.login else ''}{self.address}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._handle(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one of the two sides, or the test, is gone
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        to: tuple[str, int],
        first: bytes,
        ready: bytes,
    ) -> None:
        """Connect, send `first` there and `ready` back, then copy both ways until one side ends."""
        self.targets.append(f"{to[0]}:{to[1]}")
        there, to_there = await asyncio.open_connection(*to)
        try:
            to_there.write(first)
            writer.write(ready)
            copies = {asyncio.ensure_future(_copy(reader, to_there)), asyncio.ensure_future(_copy(there, writer))}
            try:
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
                await writer.drain()
            finally:
                for copy in copies:
                    copy.cancel()
                await asyncio.gather(*copies, return_exceptions=True)
        finally:
            to_there.transport.abort()
            writer.close()
            await writer.wait_closed()


class HttpProxy(_Proxy):
    scheme = "http"

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if self.login is not None:
            wanted = "Basic " + base64.b64encode(self.login.encode()).decode()
            if request.headers.get("proxy-authorization") != wanted:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
                return
        if request.method == "CONNECT":
            host, _, port = request.target.rpartition(":")
            await self._join(reader, writer, (host, int(port)), b"", b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            url = urlsplit(request.target)
            assert url.hostname is not None
            await self._join(reader, writer, (url.hostname, url.port or 80), _onward(request), b"")


class Socks5Proxy(_Proxy):
    scheme = "socks5"

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = 0 if self.login is None else 2
        if method not in methods:
            writer.write(b"\x05\xff")
            await writer.drain()
            return
        writer.write(bytes([5, method]))
        if self.login is not None and not await self._logged_in(reader, writer):
            return
        _, _, _, kind = await reader.readexactly(4)
        if kind == 1:
            host = ".".join(str(byte) for byte in await reader.readexactly(4))
        else:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        (port,) = struct.unpack("!H", await reader.readexactly(2))
        await self._join(reader, writer, (host, port), b"", b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")

    async def _logged_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await reader.readexactly(1)
        user = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        right = f"{user.decode()}:{password.decode()}" == self.login
        writer.write(b"\x01\x00" if right else b"\x01\x01")
        await writer.drain()
        return right


def _onward(request: RawRequest) -> bytes:
    """The request as the origin gets it, one for each connection."""
    url = urlsplit(request.target)
    headers = {name: value for name, value in request.headers.items() if not name.startswith("proxy-")}
    headers["connection"] = "close"
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + request.body


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
