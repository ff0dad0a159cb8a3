"""An HTTP server that does what it is told, byte by byte: for timing, cuts, garbage and disconnects.

    async with RawServer([ok(b"{}")], [HEAD_OF_A_STREAM, 0.1, b"data: 1", End.RESET]) as server:
        ...  # server.url

The first script answers the first request, and so on over all connections; the last one answers all further ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


class End(enum.Enum):
    CLOSE = "close the connection"
    RESET = "reset the connection"
    HANG = "send nothing more and wait until the client leaves"


Step = bytes | float | End
"""Bytes to send, seconds to wait, or the end. Without an end the connection stays open for the next request."""


@dataclass(frozen=True)
class RawRequest:
    connection: int
    """1 for the first connection of the server, and so on."""
    method: str
    target: str
    headers: dict[str, str]
    """Lower-case names; repeated ones joined with ", "."""
    body: bytes


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with a length."""
    return answer_head(f"content-length: {len(body)}", *headers, status=status) + body


def answer_head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; the empty one is the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM_HEAD = answer_head("content-type: text/event-stream", "transfer-encoding: chunked")


class RawServer:
    """See above. `left_early` is set when a client goes away before its script is through, or while it hangs."""

    def __init__(self, *scripts: Sequence[Step], tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.requests: list[RawRequest] = []
        self.connections = 0
        self.sent_bytes = 0
        self.left_early: asyncio.Event
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self.left_early = asyncio.Event()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.hang_up()
        await self._server.wait_closed()
        await asyncio.sleep(0)

    def hang_up(self) -> None:
        """Close every connection, idle ones too."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            await self._talk(reader, writer, self.connections)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client or the test is gone, which the script cannot mind
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        begun = b""
        while True:
            self.requests.append(await read_request(reader, connection, begun))
            script = self._scripts[min(len(self.requests), len(self._scripts)) - 1]
            leaving = asyncio.ensure_future(reader.read(1))
            playing = asyncio.ensure_future(self._play(script, writer))
            try:
                await asyncio.wait({leaving, playing}, return_when=asyncio.FIRST_COMPLETED)
                if not playing.done() or playing.exception() is not None:
                    self.left_early.set()
                    return
                if await playing:
                    return
                begun = await leaving
                if not begun:
                    return
            finally:
                for future in (leaving, playing):
                    future.cancel()
                await asyncio.gather(leaving, playing, return_exceptions=True)

    async def _play(self, script: Sequence[Step], writer: asyncio.StreamWriter) -> bool:
        """True if the connection is over."""
        for step in script:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
                self.sent_bytes += len(step)
            elif step is End.CLOSE:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                return True
            elif step is End.RESET:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return True
            elif step is End.HANG:
                await asyncio.Event().wait()
            else:
                await asyncio.sleep(step)
        return False


async def read_request(reader: asyncio.StreamReader, connection: int = 0, begun: bytes = b"") -> RawRequest:
    """One request with a length or without a body. Raises IncompleteReadError at the end of the connection."""
    head = begun + await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return RawRequest(connection, method, target, headers, body)
