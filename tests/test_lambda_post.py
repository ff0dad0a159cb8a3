from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from lib.lambda_post import StreamedPost, open_post

OK = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"


@dataclass
class Peer:
    """The other end of one post."""

    post: StreamedPost
    gone: asyncio.Event
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""
    told: list[str] = field(default_factory=list)


@asynccontextmanager
async def posting(**headers: str) -> AsyncIterator[Peer]:
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    gone = asyncio.Event()
    port = server.sockets[0].getsockname()[1]
    post = await open_post(f"127.0.0.1:{port}", "/x", headers, gone.set)
    reader, writer = await accepted.get()
    try:
        yield Peer(post, gone, reader, writer, await reader.readuntil(b"\r\n\r\n"))
    finally:
        post.close()
        writer.transport.abort()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)


def test_head_announces_a_stream_with_a_prelude() -> None:
    async def run() -> None:
        async with posting(**{"Lambda-Runtime-Invocation-Id": "i1"}) as peer:
            lines = peer.head.decode().split("\r\n")
            assert lines[0] == "POST /x HTTP/1.1"
            assert {
                "Lambda-Runtime-Function-Response-Mode: streaming",
                "Transfer-Encoding: chunked",
                "Content-Type: application/vnd.awslambda.http-integration-response",
                "Lambda-Runtime-Invocation-Id: i1",
            } <= set(lines)

    asyncio.run(run())


def test_body_is_chunked_and_the_status_is_read() -> None:
    async def run() -> None:
        async with posting() as peer:
            peer.post.write(b"hello")
            await peer.post.drain()
            peer.post.end()
            assert await peer.reader.readexactly(15) == b"5\r\nhello\r\n0\r\n\r\n"
            peer.writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2")
            await asyncio.sleep(0.01)
            peer.writer.write(OK.removeprefix(b"HTTP/1.1 2"))
            assert await peer.post.answered() == 202
            assert not peer.gone.is_set()

    asyncio.run(run())


def test_failure_travels_in_trailers() -> None:
    async def run() -> bytes:
        async with posting() as peer:
            peer.post.end({"errorType": "A.B", "errorMessage": "é"})
            return await peer.reader.readuntil(b"\r\n\r\n")

    last, kind, body = asyncio.run(run()).removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert (last, kind) == (b"0", b"Lambda-Runtime-Function-Error-Type: A.B")
    encoded = body.removeprefix(b"Lambda-Runtime-Function-Error-Body: ")
    assert json.loads(base64.b64decode(encoded)) == {"errorType": "A.B", "errorMessage": "é"}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"HTTP/1.1 413 Too Large\r\n\r\n", 413),
        (OK, 202),
        (b"garbage\r\n\r\n", 0),
        (b"x" * 70_000, 0),
        (b"", 0),
    ],
    ids=["refusal", "too early", "garbage", "endless", "end"],
)
def test_answer_to_half_a_body_ends_it(said: bytes, status: int) -> None:
    async def run() -> None:
        async with posting() as peer:
            if said:
                peer.writer.write(said)
            else:
                peer.writer.close()
            await asyncio.wait_for(peer.gone.wait(), 2)
            with pytest.raises(ConnectionError):
                peer.post.write(b"more")
            peer.post.end()
            assert await peer.post.answered() == status

    asyncio.run(run())


def test_cut_releases_who_waits_for_the_socket() -> None:
    async def run() -> None:
        async with posting() as peer:
            peer.post.write(b"x" * 20_000_000)
            waiting = asyncio.ensure_future(peer.post.drain())
            await asyncio.sleep(0.02)
            assert not waiting.done()
            waiting_too = asyncio.ensure_future(peer.post.drain())
            await asyncio.sleep(0)
            waiting_too.cancel()  # which is none of the other's business
            await asyncio.sleep(0)
            peer.writer.transport.abort()
            await asyncio.wait_for(waiting, 2)

    asyncio.run(run())


def test_write_to_a_broken_socket_fails_before_the_loop_has_a_turn() -> None:
    async def run(listener: socket.socket) -> None:
        post = await open_post(f"127.0.0.1:{listener.getsockname()[1]}", "/x", {}, lambda: None)
        peer, _ = listener.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()  # with a reset
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                post.write(b"x")
        post.end()
        assert await post.answered() == 0

    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(run(listener))
