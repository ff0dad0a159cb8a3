"""A connection whose upstream answers before it has read the request. Real sockets."""

from __future__ import annotations

import asyncio

from lib.upstreams.transport import DirectTransport
from tests.fakes.raw_server import RawServer, ok
from tests.upstreams.test_exchange import read, request


def test_an_answer_that_comes_before_the_request_is_through_is_read_and_the_connection_dropped() -> None:
    async def main() -> None:
        async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ok(b"too large", status="413 Content Too Large"))
            await writer.drain()
            await gone.wait()
            writer.transport.abort()

        gone = asyncio.Event()
        server = await asyncio.start_server(impatient, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        transport = DirectTransport()
        response = await transport.handle_async_request(request(url, "POST", bytes(20_000_000)))
        assert (response.status_code, await read(response)) == (413, b"too large")
        await asyncio.sleep(0)
        assert not transport._open
        gone.set()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_connection_that_was_paused_is_read_again_for_the_next_answer() -> None:
    async def main() -> None:
        async with RawServer([ok(bytes(2_000_000))]) as server:
            transport = DirectTransport()
            for _ in range(3):
                response = await transport.handle_async_request(request(server.url))
                await asyncio.sleep(0.02)
                assert len(await read(response)) == 2_000_000
            assert server.connections == 1
            await transport.aclose()

    asyncio.run(main())
