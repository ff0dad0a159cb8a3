"""Reading answers through HttpClients: what a caller sees of each fault. Real sockets."""

from __future__ import annotations

import asyncio
import gc
import gzip
import tracemalloc
import weakref

import pytest

from lib.errors import UpstreamError, Verdict
from lib.upstreams.http import HttpAnswer, HttpClients, Timeouts
from tests.fakes.raw_server import STREAM_HEAD, End, RawServer, Step, answer_head, chunk, ok

TIMEOUTS = Timeouts(connect_s=0.5, first_byte_s=0.3, idle_s=0.15)


def answer(*script: Step) -> tuple[HttpAnswer, bytes]:
    async def main() -> tuple[HttpAnswer, bytes]:
        async with RawServer(script) as server:
            got = await HttpClients(timeouts=TIMEOUTS).open("GET", server.url, headers={})
            return got, await got.read(10_000_000)

    return asyncio.run(main())


def test_status_headers_and_body_are_handed_out() -> None:
    got, body = answer(
        ok(b"busy", "X-Limit: 1", "x-limit: 2", "x-name: grüße".encode().decode("latin-1"), status="429 No")
    )
    assert (got.status, body) == (429, b"busy")
    assert got.headers["x-limit"] == "1, 2"
    assert set(got.headers) == {"content-length", "x-limit", "x-name"}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_gzip_answer_is_decompressed_in_any_cut(size: int) -> None:
    text = "data: grüße\n\n".encode() * 20
    data = gzip.compress(text)
    script: list[Step] = [answer_head("content-encoding: gzip", "transfer-encoding: chunked")]
    for start in range(0, len(data), size):
        script += [chunk(data[start : start + size]), 0.001]
    assert answer(*script, chunk(b""))[1] == text


@pytest.mark.parametrize(
    "script, code, status",
    [
        ([STREAM_HEAD, chunk(b"some"), End.HANG], "upstream_stalled", 504),
        ([STREAM_HEAD, chunk(b"some"), End.CLOSE], "upstream_truncated", 502),
        ([answer_head("content-length: 9"), b"some", End.CLOSE], "upstream_truncated", 502),
        ([STREAM_HEAD, chunk(b"some"), 0.02, End.RESET], "upstream_truncated", 502),
        ([End.CLOSE], "upstream_truncated", 502),
        ([End.RESET], "upstream_truncated", 502),
        ([STREAM_HEAD, b"zzz\r\n", End.HANG], "upstream_bad_response", 502),
        ([b"SSH-2.0-OpenSSH\r\n", End.HANG], "upstream_bad_response", 502),
        ([End.HANG], "upstream_timeout", 504),
        ([ok(b"body", "content-encoding: aes")], "upstream_bad_response", 502),
        ([ok(b"<html>" * 9, "content-encoding: br")], "upstream_bad_response", 502),
        ([ok(b"<html>" * 9, "content-encoding: zstd")], "upstream_bad_response", 502),
        ([ok(b"body", "content-encoding: gzip")], "upstream_bad_response", 502),
        ([ok(gzip.compress(b"body")[:-4], "content-encoding: gzip")], "upstream_truncated", 502),
    ],
)
def test_a_fault_after_the_connection_has_its_code(script: list[Step], code: str, status: int) -> None:
    with pytest.raises(UpstreamError) as caught:
        answer(*script)
    assert (caught.value.code, caught.value.status, caught.value.verdict) == (code, status, Verdict.SERVICE)
    assert caught.value.message.startswith("127.0.0.1 ")


@pytest.mark.parametrize("script", [[ok(bytes(1001))], [ok(gzip.compress(bytes(1001)), "content-encoding: gzip")]])
def test_a_body_beyond_the_bound_is_refused(script: list[Step]) -> None:
    async def main() -> None:
        async with RawServer(script) as server:
            clients = HttpClients(timeouts=TIMEOUTS)
            assert len(await (await clients.open("GET", server.url, headers={})).read(1001)) == 1001
            with pytest.raises(UpstreamError) as caught:
                await (await clients.open("GET", server.url, headers={})).read(1000)
            assert caught.value.code == "upstream_bad_response"

    asyncio.run(main())


def test_a_decompression_bomb_does_not_fill_the_memory() -> None:
    bomb = gzip.compress(bytes(100_000_000))

    async def main() -> None:
        async with RawServer([ok(bomb, "content-encoding: gzip")]) as server:
            got = await HttpClients(timeouts=TIMEOUTS).open("GET", server.url, headers={})
            tracemalloc.start()
            with pytest.raises(UpstreamError):
                await got.read(1_000_000)
            assert tracemalloc.get_traced_memory()[1] < 4_000_000
            tracemalloc.stop()

    asyncio.run(main())


def test_an_answer_that_is_closed_early_closes_its_connection() -> None:
    async def main() -> None:
        async with RawServer([STREAM_HEAD, chunk(b"some"), End.HANG]) as server:
            got = await HttpClients(timeouts=TIMEOUTS).open("GET", server.url, headers={})
            async for piece in got.chunks():
                assert piece == b"some"
                break
            await got.aclose()
            await got.aclose()
            await asyncio.wait_for(server.left_early.wait(), 1)

    asyncio.run(main())


def test_an_answer_leaves_no_work_for_the_collector_of_garbage() -> None:
    async def main() -> None:
        async with RawServer([ok(b"some")]) as server:
            got = await HttpClients(timeouts=TIMEOUTS).open("GET", server.url, headers={})
            assert await got.read(100) == b"some"
            left = weakref.ref(got)
            del got
            assert left() is None

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.04, 0.08])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_reader_may_be_cancelled_at_any_point(delay_s: float, encoding: str) -> None:
    async def main() -> None:
        head = answer_head("transfer-encoding: chunked", f"content-encoding: {encoding}")
        piece = chunk(gzip.compress(b"some") if encoding == "gzip" else b"some")
        async with RawServer([0.02, head, 0.02, piece, 0.05, End.HANG]) as server:
            clients = HttpClients(timeouts=Timeouts())

            async def ask() -> None:
                got = await clients.open("GET", server.url, headers={})
                async for _ in got.chunks():
                    pass

            task = asyncio.ensure_future(ask())
            await asyncio.sleep(delay_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if server.requests:
                await asyncio.wait_for(server.left_early.wait(), 1)
            await asyncio.sleep(0.01)
            assert asyncio.all_tasks() - server._tasks == {asyncio.current_task()} or not server._tasks

    asyncio.run(main())
