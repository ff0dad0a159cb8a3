"""Connections of the direct transport: reuse, staleness, TLS, and failures to connect."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from typing import Any

import httpx
import pytest
import uvloop

from lib.upstreams.exchange import Exchange
from lib.upstreams.transport import DirectTransport, tls_context
from tests.fakes.certificates import Authority
from tests.fakes.raw_server import STREAM_HEAD, End, RawServer, Step, chunk, ok
from tests.fakes.serving import LoopThread, loopback_socket
from tests.upstreams.test_exchange import LONG, read, request


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


async def fetch(transport: DirectTransport, url: str, method: str = "GET", content: bytes | None = None) -> bytes:
    return await read(await transport.handle_async_request(request(url, method, content)))


def test_a_connection_is_used_again() -> None:
    async def main() -> None:
        script = [STREAM_HEAD + chunk(b"fine") + chunk(b"")]
        async with RawServer(script, [ok(b"fine")]) as server:
            transport = DirectTransport()
            for _ in range(3):
                assert await fetch(transport, server.url) == b"fine"
            assert server.connections == 1
            await transport.aclose()

    asyncio.run(main())


def test_the_connection_used_last_is_taken_first() -> None:
    async def main() -> None:
        async with RawServer([0.05, ok(b"slow")], [ok(b"fast")], [ok(b"next")]) as server:
            transport = DirectTransport()
            await asyncio.gather(fetch(transport, server.url), fetch(transport, server.url))
            await fetch(transport, server.url)
            assert [asked.connection for asked in server.requests] == [1, 2, 1]
            await transport.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    "answer",
    [ok(b"fine", "connection: close"), b"HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nfine", ok(b"fine") + ok(b"more")],
    ids=["close", "http-1.0", "surplus"],
)
def test_a_connection_that_is_not_fit_for_it_is_not_used_again(answer: bytes) -> None:
    async def main() -> None:
        async with RawServer([answer]) as server:
            transport = DirectTransport()
            for _ in range(2):
                assert await fetch(transport, server.url) == b"fine"
            assert server.connections == 2
            await transport.aclose()

    asyncio.run(main())


def test_bytes_that_nobody_asked_for_end_an_idle_connection() -> None:
    async def main() -> None:
        async with RawServer([ok(b"fine"), 0.02, ok(b"evil")], [ok(b"good")]) as server:
            transport = DirectTransport()
            await fetch(transport, server.url)
            await asyncio.sleep(0.06)
            assert await fetch(transport, server.url) == b"good"
            assert server.connections == 2
            await transport.aclose()

    asyncio.run(main())


def test_idle_connections_are_bounded_in_number_and_age() -> None:
    async def main() -> None:
        async with RawServer([0.02, ok(b"fine")]) as server:
            transport = DirectTransport(max_idle=2, max_idle_s=0.1)
            await asyncio.gather(*[fetch(transport, server.url) for _ in range(5)])
            await asyncio.sleep(0.02)
            assert len(transport._idle) == len(transport._open) == 2
            await asyncio.sleep(0.1)
            await fetch(transport, server.url)
            assert server.connections == 6
            await transport.aclose()
            assert not transport._open

    asyncio.run(main())


def test_a_connection_that_the_upstream_closed_while_idle_is_forgotten() -> None:
    async def main() -> None:
        async with RawServer([ok(b"fine"), 0.02, End.CLOSE], [ok(b"fine")]) as server:
            transport = DirectTransport()
            await fetch(transport, server.url)
            await asyncio.sleep(0.06)
            assert not transport._idle
            await fetch(transport, server.url)
            assert server.connections == 2
            await transport.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
def test_a_connection_that_went_stale_while_the_process_slept_is_replaced_silently(end: End) -> None:
    async def main(url: str) -> bytes:
        transport = DirectTransport()
        await fetch(transport, url)
        time.sleep(0.1)  # the whole process is frozen, and with it this loop
        body = await fetch(transport, url, "POST", b"once more")
        await transport.aclose()
        return body

    with LoopThread() as there:
        server = RawServer([ok(b"fine"), 0.03, end], [ok(b"fresh")])
        there.run(server.__aenter__())
        assert asyncio.run(main(server.url)) == b"fresh"
        there.run(server.__aexit__())
    assert [asked.body for asked in server.requests] == [b"", b"once more"]


def test_a_kept_connection_that_breaks_before_any_byte_is_replaced_once() -> None:
    async def main() -> None:
        async with RawServer([ok(b"fine")], [End.CLOSE], [End.CLOSE], [ok(b"too late")]) as server:
            transport = DirectTransport()
            await fetch(transport, server.url)
            with pytest.raises(httpx.RemoteProtocolError):
                await fetch(transport, server.url)
            assert [asked.connection for asked in server.requests] == [1, 1, 2]
            await transport.aclose()

    asyncio.run(main())


def test_a_kept_connection_that_breaks_late_is_not_tried_again() -> None:
    async def main() -> None:
        async with RawServer([ok(b"fine")], [0.7, End.CLOSE]) as server:
            transport = DirectTransport()
            await fetch(transport, server.url)
            with pytest.raises(httpx.RemoteProtocolError):
                await fetch(transport, server.url, "POST", b"work for a while")
            assert len(server.requests) == 2
            await transport.aclose()

    asyncio.run(main())


def test_a_new_connection_or_a_begun_answer_is_not_tried_again() -> None:
    async def main() -> None:
        async with RawServer([End.CLOSE], [ok(b"fine")], [b"HTTP/1.1 2", End.CLOSE]) as server:
            transport = DirectTransport()
            with pytest.raises(httpx.RemoteProtocolError):
                await fetch(transport, server.url)
            await fetch(transport, server.url)
            with pytest.raises(httpx.RemoteProtocolError):
                await fetch(transport, server.url)
            assert len(server.requests) == 3
            await transport.aclose()

    asyncio.run(main())


def test_an_upstream_that_is_not_there_is_a_connect_error() -> None:
    async def main(port: int) -> None:
        for url in (f"http://127.0.0.1:{port}", f"http://localhost:{port}", f"http://{'a' * 70}.test"):
            with pytest.raises(httpx.ConnectError):
                await DirectTransport().handle_async_request(request(url))

    with loopback_socket() as bound:  # not listening
        asyncio.run(main(bound.getsockname()[1]))


class UnconnectedLoop(asyncio.SelectorEventLoop):
    """Keeps how connections were asked for, and makes none."""

    asked: list[dict[str, Any]]

    async def create_connection(self, *_: Any, **way: Any) -> Any:
        self.asked.append(way)
        raise OSError


@pytest.mark.parametrize(
    ("host", "races"),
    [("api.test", True), ("abc.de", True), ("fade", True), ("127.0.0.1", False), ("[::1]", False)],
)
def test_address_families_race_for_a_name_and_not_for_an_address(host: str, races: bool) -> None:
    async def main() -> None:
        with pytest.raises(httpx.ConnectError):
            await DirectTransport().handle_async_request(request(f"http://{host}/"))

    UnconnectedLoop.asked = []
    with asyncio.Runner(loop_factory=UnconnectedLoop) as runner:
        runner.run(main())
    assert ["happy_eyeballs_delay" in way for way in UnconnectedLoop.asked] == [races]


def test_a_connection_that_is_not_taken_times_out() -> None:
    async def main(url: str) -> None:
        timeout = {**LONG, "connect": 0.1}
        with pytest.raises(httpx.ConnectTimeout):
            await DirectTransport().handle_async_request(request(url, timeout=timeout))

    with loopback_socket() as full, socket.socket() as first, socket.socket() as second:
        full.listen(0)
        for client in (first, second):  # more than the backlog holds
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        time.sleep(0.05)
        asyncio.run(main(f"http://127.0.0.1:{full.getsockname()[1]}"))


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_https_is_verified_and_kept_alive(authority: Authority, runner: object) -> None:
    async def main() -> None:
        async with RawServer([ok(b"secret")], tls=authority.server_context()) as server:
            transport = DirectTransport(tls=authority.client_context)
            for host in ("127.0.0.1", "127.0.0.1", "localhost"):
                assert await fetch(transport, server.url.replace("127.0.0.1", host)) == b"secret"
            assert server.connections == 2
            await transport.aclose()

    runner(main())  # type: ignore[operator]


def test_a_certificate_of_an_unknown_authority_is_a_connect_error(authority: Authority) -> None:
    async def main() -> None:
        async with RawServer([ok(b"secret")], tls=authority.server_context()) as server:
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await DirectTransport(tls=ssl.create_default_context).handle_async_request(request(server.url))

    asyncio.run(main())


def test_a_server_that_does_not_speak_tls_is_a_connect_error(authority: Authority) -> None:
    async def main() -> None:
        async with RawServer([ok(b"plain")]) as server:
            transport = DirectTransport(tls=authority.client_context)
            timeout = {**LONG, "connect": 0.3}
            with pytest.raises((httpx.ConnectError, httpx.ConnectTimeout)):
                await transport.handle_async_request(request(server.url.replace("http", "https"), timeout=timeout))

    asyncio.run(main())


def test_the_tls_context_is_made_once_and_honours_ssl_cert_file(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    tls_context.cache_clear()
    try:
        context = tls_context()
        assert tls_context() is context
        assert context.cert_store_stats()["x509_ca"] == 1
    finally:
        tls_context.cache_clear()


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b"])
def test_a_header_cannot_smuggle_another(value: str) -> None:
    async def main() -> None:
        asked = httpx.Request("GET", "http://127.0.0.1:1", headers={"x-token": value})
        with pytest.raises(httpx.LocalProtocolError):
            await DirectTransport().handle_async_request(asked)

    asyncio.run(main())


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "127.0.0.1", "http://"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    async def main() -> None:
        with pytest.raises(httpx.UnsupportedProtocol):
            await DirectTransport().handle_async_request(httpx.Request("GET", url))

    asyncio.run(main())


def test_a_body_that_is_not_bytes_is_refused() -> None:
    async def body() -> object:
        yield b"part"

    async def main() -> None:
        asked = httpx.Request("POST", "http://127.0.0.1:1", content=body())  # type: ignore[arg-type]
        with pytest.raises(httpx.LocalProtocolError):
            await DirectTransport().handle_async_request(asked)

    asyncio.run(main())


def test_closing_the_transport_ends_what_is_in_use() -> None:
    async def main() -> None:
        async with RawServer([STREAM_HEAD, chunk(b"some"), End.HANG]) as server:
            transport = DirectTransport()
            task = asyncio.ensure_future(fetch(transport, server.url))
            await asyncio.sleep(0.03)
            await transport.aclose()
            with pytest.raises(httpx.RemoteProtocolError):
                await task
            await asyncio.wait_for(server.left_early.wait(), 1)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("rest", "connections"),
    [
        ([0.05, chunk(b"trailing bytes"), chunk(b"")], 1),
        ([0.05, chunk(b"x" * 100_000), chunk(b"")], 2),
        ([End.HANG], 2),
    ],
    ids=["ends soon", "too much", "stays open"],
)
def test_a_connection_outlives_an_answer_whose_rest_ends_soon(rest: list[Step], connections: int) -> None:
    async def main() -> None:
        script: list[Step] = [STREAM_HEAD + chunk(b"all that matters"), *rest]
        async with RawServer(script, [ok(b"fine")]) as server:
            transport = DirectTransport()
            response = await transport.handle_async_request(request(server.url))
            exchange = response.stream
            assert isinstance(exchange, Exchange)
            assert await anext(aiter(exchange)) == b"all that matters"
            exchange.drain()
            await exchange.aclose()
            await asyncio.sleep(0.15)
            assert await fetch(transport, server.url) == b"fine"
            assert server.connections == connections
            await transport.aclose()

    asyncio.run(main())


def test_a_rest_that_does_not_end_is_given_up() -> None:
    async def main() -> None:
        async with RawServer([STREAM_HEAD + chunk(b"all that matters"), End.HANG]) as server:
            transport = DirectTransport()
            response = await transport.handle_async_request(request(server.url))
            exchange = response.stream
            assert isinstance(exchange, Exchange)
            await anext(aiter(exchange))
            exchange.drain()
            await asyncio.sleep(0.7)
            assert server.left_early.is_set()
            await transport.aclose()

    asyncio.run(main())
