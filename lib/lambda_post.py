"""One streamed answer on its way to the AWS Lambda Runtime API: a chunked POST that stays open while the body comes.

Each has a connection of its own, closed once the API has said that it has everything, as AWS asks of runtimes. Its own
few lines of HTTP, because httpx sends no trailers and looks at no answer before the body has been sent.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

_MAX_ANSWER_HEAD_BYTES = 64 * 1024

_HEAD = (
    b"POST %b HTTP/1.1\r\n"
    b"Host: %b\r\n"
    b"Lambda-Runtime-Function-Response-Mode: streaming\r\n"
    b"Transfer-Encoding: chunked\r\n"
    b"Content-Type: application/vnd.awslambda.http-integration-response\r\n"
    b"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"
    b"Connection: close\r\n"
    b"%b\r\n"
)


async def open_post(address: str, path: str, headers: Mapping[str, str], on_gone: Callable[[], object]) -> StreamedPost:
    """Connects and sends the head. `on_gone` is called when nobody takes the body any more. Raises OSError."""
    host, _, port = address.rpartition(":")
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = _HEAD % (path.encode("ascii"), address.encode("ascii"), extra.encode("latin-1"))
    loop = asyncio.get_running_loop()
    _, post = await loop.create_connection(lambda: StreamedPost(head, on_gone), host.strip("[]"), int(port))
    return post


class StreamedPost(asyncio.Protocol):
    """`write` and `drain` for each piece, `end` once, `answered` for the status; `close` in any case."""

    def __init__(self, head: bytes, on_gone: Callable[[], object]) -> None:
        self._head = head
        self._on_gone = on_gone
        self._received = b""
        self._ended = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport

    def write(self, data: bytes) -> None:
        """One piece of the body, not empty. Raises ConnectionError when nobody takes it any more."""
        if self._status.done() or self._transport.is_closing():
            # A socket that failed in the last write has been closed, but the loop gets to say so only when an
            # application lets it: one that sends without ever waiting would go on for ever.
            raise ConnectionResetError("the answer is no longer wanted")
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def drain(self) -> None:
        """Waits while the socket is behind with what was written."""
        if not self._flowing.is_set():
            await self._flowing.wait()

    def end(self, failure: Mapping[str, Any] | None = None) -> None:
        """The last chunk, with trailers if the body broke off. `failure`: errorMessage, errorType, stackTrace."""
        self._ended = True
        trailers = b""
        if failure is not None:
            trailers = b"Lambda-Runtime-Function-Error-Type: %b\r\nLambda-Runtime-Function-Error-Body: %b\r\n" % (
                str(failure["errorType"]).encode("ascii", "replace"),
                base64.b64encode(msgspec.json.encode(failure)),
            )
        if not self._status.done():
            self._transport.write(b"0\r\n%b\r\n" % trailers)

    async def answered(self) -> int:
        """The status that the Runtime API answered with; 0 if the connection broke instead."""
        return await self._status

    def close(self) -> None:
        """Harmless when called again."""
        self._transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            status = _status(head)
            if status >= 200 or status == 0:  # 1xx: the answer is still to come
                self._settle(status)
                return
        if len(self._received) > _MAX_ANSWER_HEAD_BYTES:
            self._settle(0)

    def eof_received(self) -> None:
        self._settle(0)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(0)
        self.resume_writing()

    def pause_writing(self) -> None:
        self._flowing.clear()

    def resume_writing(self) -> None:
        self._flowing.set()

    def _settle(self, status: int) -> None:
        if self._status.done():
            return
        self._status.set_result(status)
        if not self._ended:  # an answer to half a body is a refusal, whatever it says
            self._on_gone()
            self._transport.abort()


def _status(head: bytes) -> int:
    code = head.split(b"\r\n", 1)[0].split(b" ", 2)[1:2]
    return int(code[0]) if code and code[0].isdigit() else 0
