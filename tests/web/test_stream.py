from __future__ import annotations

import asyncio
import socket
import struct
import time

import pytest

from lib.types import Reply
from lib.web.asgi import ClientGone, Message
from lib.web.logs import configure
from lib.web.stream import EventStream, Watch
from tests.fakes.serving import wait_until
from tests.web.scripted import AUTHORIZED, CHAT, Piece, ScriptedRelay, ask, connect, request_bytes, served, streamed

POST = request_bytes("POST", "/v1/chat/completions", AUTHORIZED, CHAT)


def read_until(client: socket.socket, mark: bytes) -> bytes:
    received = b""
    while mark not in received:
        chunk = client.recv(65536)
        assert chunk, received
        received += chunk
    return received


def reset(client: socket.socket) -> None:
    """Leaves without a goodbye: the peer gets a RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_a_stream_arrives_with_its_headers_and_is_closed() -> None:
    relay = streamed(b"data: 1\n\n", b"", b"data: [DONE]\n\n", headers={"x-gateway-ignored": "n"})
    with served(relay) as address:
        reply = ask(address, "POST", "/v1/chat/completions", body=CHAT)
        assert reply.status == 200
        assert reply.body == b"data: 1\n\ndata: [DONE]\n\n"
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reply.headers["cache-control"] == "no-cache, no-transform"
        assert reply.headers["x-accel-buffering"] == "no"
        assert reply.headers["x-gateway-ignored"] == "n"
        assert reply.headers["x-request-id"]
        assert wait_until(lambda: relay.closed == 1)


def test_chunks_leave_as_they_come() -> None:
    with served(streamed(b"data: 1\n\n", 0.3, b"data: 2\n\n")) as address, connect(address) as client:
        client.sendall(POST)
        started = time.monotonic()
        read_until(client, b"data: 1")
        assert time.monotonic() - started < 0.25
        read_until(client, b"data: 2")


def test_silence_is_filled_and_speech_is_not() -> None:
    spoken: list[Piece] = [0.03, b"c"]
    relay = streamed(b"a", 0.25, b"b", *spoken * 8)
    with served(relay, keep_alive_s=0.1) as address:
        body = ask(address, "POST", "/v1/chat/completions", body=CHAT).body
    assert body == b"a: k\n\n: k\n\nb" + b"c" * 8


def test_a_dialect_without_keep_alive_bytes_stays_silent() -> None:
    with served(streamed(b"a", 0.2, b"b", keep_alive=b""), keep_alive_s=0.05) as address:
        assert ask(address, "POST", "/v1/chat/completions", body=CHAT).body == b"ab"


@pytest.mark.parametrize("leave", [reset, socket.socket.close])
def test_a_client_that_leaves_in_mid_stream_closes_the_stream_within_a_second(
    leave: object, capfd: pytest.CaptureFixture[str]
) -> None:
    configure("INFO", "logfmt")
    relay = streamed(b"data: 1\n\n", 60.0)
    with served(relay) as address:
        client = connect(address)
        client.sendall(POST)
        read_until(client, b"data: 1")
        assert callable(leave)
        leave(client)
        assert wait_until(lambda: relay.closed == 1, timeout_s=1)
    assert "status=499 error=client_closed" in capfd.readouterr().err


def test_a_client_that_stops_reading_and_leaves_closes_the_stream() -> None:
    relay = streamed(*[b"x" * 500_000] * 200)
    with served(relay) as address:
        client = connect(address)
        client.sendall(POST)
        time.sleep(0.3)
        assert relay.sent < 200
        reset(client)
        assert wait_until(lambda: relay.closed == 1, timeout_s=1)


def test_a_client_that_leaves_before_the_first_byte_cancels_the_work() -> None:
    relay = ScriptedRelay(lambda relay: relay.forever())
    with served(relay) as address:
        client = connect(address)
        client.sendall(POST)
        assert wait_until(lambda: relay.calls)
        reset(client)
        assert wait_until(lambda: relay.cancelled == 1, timeout_s=1)


def test_a_client_that_leaves_in_mid_body_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "logfmt")
    with served() as address:
        client = connect(address)
        client.sendall(POST[:-10])
        time.sleep(0.1)
        reset(client)
        log = ""
        deadline = time.monotonic() + 1
        while "client_closed" not in log and time.monotonic() < deadline:
            log += capfd.readouterr().err
    assert "client_closed" in log
    assert "failed" not in log


def test_an_error_of_the_stream_is_logged_and_ends_the_body(capfd: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "logfmt")
    relay = streamed(b"data: 1\n\n", RuntimeError("canary"))
    with served(relay) as address:
        assert ask(address, "POST", "/v1/chat/completions", body=CHAT).body == b"data: 1\n\n"
    log = capfd.readouterr().err
    assert "stream.failed level=error error=RuntimeError" in log
    assert "canary" not in log
    assert relay.closed == 1


def test_the_stream_is_closed_when_the_task_is_cancelled() -> None:
    relay = ScriptedRelay()

    async def send(message: Message) -> None:
        pass

    async def scenario() -> None:
        stream = EventStream(Reply(200, {}, stream=relay.stream(b"a", 60.0)), keep_alive_s=10)
        task = asyncio.create_task(stream(send))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert relay.closed == 1


class Endless:
    """A stream that nothing closes by itself, as a generator that is thrown away would be."""

    def __init__(self) -> None:
        self.closed = 0

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        return b"data: 1\n\n"

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_server_that_reports_the_loss_in_send_closes_the_stream(after: int) -> None:
    stream = Endless()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        if len(sent) == after:
            raise OSError("gone")
        sent.append(message)

    with pytest.raises(ClientGone):
        asyncio.run(EventStream(Reply(200, {}, stream=stream), keep_alive_s=10)(send))
    assert stream.closed == 1


def test_a_stalled_send_that_is_cancelled_closes_the_stream() -> None:
    stream = Endless()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def scenario() -> None:
        with pytest.raises(ClientGone):
            async with Watch(receive):
                await EventStream(Reply(200, {}, stream=stream), keep_alive_s=10)(send)

    asyncio.run(scenario())
    assert stream.closed == 1


class Silent(Endless):
    async def __anext__(self) -> bytes:
        await asyncio.sleep(60)
        return b""


@pytest.mark.parametrize("turns", range(4))
def test_a_second_cancellation_does_not_leave_the_stream_open(turns: int) -> None:
    stream = Silent()

    async def send(message: Message) -> None:
        if message.get("body") == b": k\n\n":
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)

    async def scenario() -> None:
        reply = Reply(200, {}, stream=stream, keep_alive=b": k\n\n")
        task = asyncio.create_task(EventStream(reply, keep_alive_s=0.01)(send))
        await asyncio.sleep(0.05)
        task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(scenario())
    assert stream.closed == 1


def test_no_two_messages_are_ever_sent_at_once() -> None:
    relay = ScriptedRelay()
    busy = False
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        nonlocal busy
        assert not busy
        busy = True
        await asyncio.sleep(0.03)
        busy = False
        sent.append(message.get("body", b"head"))

    pieces: list[Piece] = [0.05, b"a", 0.045, b"b", 0.041, b"c", b"d"]
    reply = Reply(200, {}, stream=relay.stream(*pieces), keep_alive=b"k")
    asyncio.run(EventStream(reply, keep_alive_s=0.04)(send))
    assert sent[0] == b"head"
    assert sent[-1] == b""
    assert b"".join(sent[1:]).replace(b"k", b"") == b"abcd"
    assert b"k" in sent


def test_a_watch_leaves_cancellation_from_elsewhere_alone() -> None:
    async def receive() -> Message:
        await asyncio.sleep(0.08)
        return {"type": "http.disconnect"}

    async def watched(seconds: float) -> str:
        async with Watch(receive):
            await asyncio.sleep(seconds)
        return "done"

    async def scenario() -> None:
        assert await watched(0) == "done"
        with pytest.raises(ClientGone):
            await watched(5)
        task = asyncio.create_task(watched(5))
        await asyncio.sleep(0.07)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())
