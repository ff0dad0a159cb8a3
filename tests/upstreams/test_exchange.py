"""Framing, pieces, timeouts and back-pressure of one exchange, over real sockets."""

from __future__ import annotations

import asyncio
import time
import zlib

import httpx
import pytest

from lib.upstreams.exchange import CutOff
from lib.upstreams.transport import DirectTransport
from tests.fakes.raw_server import STREAM_HEAD, End, RawServer, Step, answer_head, chunk, ok

LONG = {"connect": 5.0, "read": 5.0, "write": 5.0}


def request(url: str, method: str = "GET", content: bytes | None = None, **extensions: object) -> httpx.Request:
    return httpx.Request(method, url, content=content, extensions={"timeout": LONG, **extensions})


async def read(response: httpx.Response) -> bytes:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return b"".join([piece async for piece in response.stream])


def answered(*script: Step, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of the answer that this script makes."""

    async def main() -> tuple[int, bytes]:
        async with RawServer(script) as server:
            transport = DirectTransport()
            try:
                response = await transport.handle_async_request(request(server.url, method))
                return response.status_code, await read(response)
            finally:
                await transport.aclose()

    return asyncio.run(main())


@pytest.mark.parametrize(
    "script",
    [
        [ok(b"hello")],
        [STREAM_HEAD + chunk(b"he") + chunk(b"llo") + chunk(b"")],
        [answer_head(), b"hel", 0.01, b"lo", End.CLOSE],
        [answer_head("transfer-encoding: identity"), b"hello", End.CLOSE],
        [b"HTTP/1.0 200 OK\r\n\r\nhello", End.CLOSE],
        [answer_head(status="100 Continue") + answer_head("link: x", status="103 Early Hints") + ok(b"hello")],
        [answer_head("content-length: 5"), 0.01, b"hello"],
    ],
    ids=["length", "chunked", "until-close", "identity", "http-1.0", "interim", "late-body"],
)
def test_a_body_is_framed_as_http_says(script: list[Step]) -> None:
    assert answered(*script) == (200, b"hello")


def test_the_result_does_not_depend_on_the_cut() -> None:
    whole = STREAM_HEAD + chunk("grüße".encode()) + chunk(b"x" * 20) + chunk(b"")
    pieces: list[Step] = []
    for index in range(len(whole)):
        pieces += [whole[index : index + 1], 0.0]
    assert answered(*pieces) == (200, "grüße".encode() + b"x" * 20)


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_a_body_has_none(method: str, status: int) -> None:
    head = answer_head("content-length: 5" if status != 204 else "x: y", status=f"{status} Fine")
    assert answered(head, 5.0, method=method) == (status, b"")


@pytest.mark.parametrize(
    "script",
    [
        [answer_head("content-length: 9"), b"short", End.CLOSE],
        [STREAM_HEAD + chunk(b"unfinished"), End.CLOSE],
        [STREAM_HEAD + b"ff\r\nhalf a chunk", End.CLOSE],
        [b"HTTP/1.1 200 OK\r\ncontent-le", End.CLOSE],
        [End.CLOSE],
    ],
    ids=["length", "between-chunks", "within-a-chunk", "within-the-head", "nothing"],
)
def test_a_body_that_is_not_whole_is_an_error(script: list[Step]) -> None:
    with pytest.raises(CutOff):
        answered(*script)


def test_a_reset_is_a_read_error() -> None:
    with pytest.raises(httpx.ReadError):
        answered(STREAM_HEAD + chunk(b"some"), 0.05, End.RESET)


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        STREAM_HEAD + b"no chunk size\r\n",
        answer_head("content-length: 3", "content-length: 4") + b"abcd",
        answer_head("content-length: 3", "transfer-encoding: chunked") + b"abc",
        answer_head("upgrade: h2c", "connection: upgrade", status="101 Switching Protocols"),
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
    ],
    ids=["ssh", "status", "chunk", "two-lengths", "length-and-chunked", "upgrade", "headers-without-end"],
)
def test_garbage_is_a_protocol_error(garbage: bytes) -> None:
    with pytest.raises(httpx.RemoteProtocolError) as caught:
        answered(garbage, End.HANG)
    assert not isinstance(caught.value, CutOff)


def test_bytes_before_garbage_are_handed_out() -> None:
    async def main() -> None:
        async with RawServer([STREAM_HEAD + chunk(b"good") + b"no size\r\n", End.HANG]) as server:
            transport = DirectTransport()
            response = await transport.handle_async_request(request(server.url))
            stream = response.stream.__aiter__()  # type: ignore[union-attr]
            assert await anext(stream) == b"good"
            with pytest.raises(httpx.RemoteProtocolError):
                await anext(stream)
            await transport.aclose()

    asyncio.run(main())


def test_what_one_read_brings_is_one_piece() -> None:
    async def main() -> list[bytes]:
        events = b"".join(chunk(b"data: %d\n\n" % number) for number in range(50))
        async with RawServer([STREAM_HEAD, 0.05, events, 0.05, events + chunk(b"")]) as server:
            transport = DirectTransport()
            response = await transport.handle_async_request(request(server.url))
            pieces = [piece async for piece in response.stream]  # type: ignore[union-attr]
            await transport.aclose()
            return pieces

    pieces = asyncio.run(main())
    assert len(pieces) == 2
    assert pieces[0] == pieces[1] == b"".join(b"data: %d\n\n" % number for number in range(50))


def fails_after(script: list[Step], error: type[Exception], content: bytes | None = None, **seconds: float) -> float:
    """How long it takes until this script fails with this error."""

    async def main() -> float:
        async with RawServer(script) as server:
            transport = DirectTransport()
            began = time.monotonic()
            with pytest.raises(error):
                timeout = {"connect": 5.0, "read": seconds.get("read", 5.0), "write": seconds.get("write", 5.0)}
                first_byte = seconds.get("first_byte", 5.0)
                method = "POST" if content else "GET"
                asked = request(server.url, method, content, timeout=timeout, first_byte=first_byte)
                await read(await transport.handle_async_request(asked))
            took = time.monotonic() - began
            await asyncio.wait_for(server.left_early.wait(), 1)
            await transport.aclose()
            return took

    return asyncio.run(main())


def test_headers_that_never_come_time_out() -> None:
    assert 0.09 < fails_after([End.HANG], httpx.ReadTimeout, first_byte=0.1) < 0.5


def test_headers_that_drip_do_not_put_off_the_first_byte_timeout() -> None:
    drip: list[Step] = [b"HTTP/1.1 200 OK\r\n"]
    for _ in range(100):
        drip += [0.02, b"x: y\r\n"]
    assert 0.09 < fails_after(drip, httpx.ReadTimeout, first_byte=0.1) < 0.5


def test_an_interim_answer_does_not_put_off_the_first_byte_timeout() -> None:
    script: list[Step] = [0.05, answer_head(status="103 Early Hints"), End.HANG]
    assert 0.09 < fails_after(script, httpx.ReadTimeout, first_byte=0.1) < 0.5


def test_silence_in_the_body_times_out() -> None:
    script: list[Step] = [STREAM_HEAD, chunk(b"a"), 0.08, chunk(b"b"), 0.08, chunk(b"c"), End.HANG]
    assert 0.25 < fails_after(script, httpx.ReadTimeout, read=0.12) < 0.6


def test_a_body_has_a_limit_of_its_own() -> None:
    assert 0.29 < fails_after([STREAM_HEAD, chunk(b"a"), End.HANG], httpx.ReadTimeout, first_byte=0.1, read=0.3) < 0.7


def test_a_slow_but_steady_body_does_not_time_out() -> None:
    async def main() -> bytes:
        script: list[Step] = [STREAM_HEAD]
        for _ in range(10):
            script += [0.03, chunk(b"x")]
        async with RawServer([*script, chunk(b"")]) as server:
            transport = DirectTransport()
            timeout = {"connect": 5.0, "read": 0.1, "write": 5.0}
            response = await transport.handle_async_request(request(server.url, timeout=timeout, first_byte=0.1))
            body = await read(response)
            await transport.aclose()
            return body

    assert asyncio.run(main()) == b"x" * 10


def test_a_request_that_is_not_taken_times_out() -> None:
    async def main() -> None:
        def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # In the next turn: some releases of Python begin to read only after this callback.
            asyncio.get_running_loop().call_soon(writer.transport.pause_reading)  # type: ignore[attr-defined]
            writers.append(writer)

        writers: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(deaf, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        transport = DirectTransport()
        timeout = {"connect": 5.0, "read": 5.0, "write": 0.1}
        with pytest.raises(httpx.WriteTimeout):
            await transport.handle_async_request(request(url, "POST", bytes(20_000_000), timeout=timeout))
        await transport.aclose()
        for writer in writers:
            writer.transport.abort()
        server.close()
        await server.wait_closed()

    asyncio.run(main())


def test_a_large_request_arrives_whole() -> None:
    async def main() -> None:
        content = zlib.compress(b"") + bytes(range(256)) * 20_000
        async with RawServer([ok(b"fine")]) as server:
            transport = DirectTransport()
            response = await transport.handle_async_request(request(server.url, "POST", content))
            assert await read(response) == b"fine"
            assert server.requests[0].body == content
            await transport.aclose()

    asyncio.run(main())


def test_a_slow_reader_holds_the_upstream_back() -> None:
    async def main() -> None:
        size = 50_000_000
        head = answer_head(f"content-length: {size}")
        script: list[Step] = [head, *[bytes(500_000)] * 100]
        async with RawServer(script) as server:
            transport = DirectTransport()
            timeout = {"connect": 5.0, "read": 0.2, "write": 5.0}
            response = await transport.handle_async_request(request(server.url, timeout=timeout))
            await asyncio.sleep(0.5)  # longer than the idle timeout: this silence is our own
            exchange = response.stream
            assert 0 < exchange._buffered < 1_000_000  # type: ignore[union-attr]
            assert server.sent_bytes < 20_000_000  # the rest is in the sockets' own buffers
            assert len(await read(response)) == size
            await transport.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("script", [[End.HANG], [STREAM_HEAD, chunk(b"some"), End.HANG]], ids=["head", "body"])
def test_a_cancelled_reader_is_noticed_by_the_upstream_at_once(script: list[Step]) -> None:
    async def main() -> None:
        async with RawServer(script) as server:
            transport = DirectTransport()

            async def ask() -> None:
                await read(await transport.handle_async_request(request(server.url)))

            task = asyncio.ensure_future(ask())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(server.left_early.wait(), 1)
            assert not transport._open
            await transport.aclose()

    asyncio.run(main())


def test_closing_early_closes_the_connection_and_wakes_whoever_waits() -> None:
    async def main() -> None:
        async with RawServer([STREAM_HEAD, chunk(b"some"), End.HANG]) as server:
            transport = DirectTransport()
            response = await transport.handle_async_request(request(server.url))
            waiting = asyncio.ensure_future(read(response))
            await asyncio.sleep(0.02)
            await response.aclose()
            with pytest.raises(httpx.ReadError):
                await waiting
            await asyncio.wait_for(server.left_early.wait(), 1)
            await response.aclose()
            await transport.aclose()

    asyncio.run(main())
