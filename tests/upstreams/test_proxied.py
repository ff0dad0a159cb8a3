"""The way through real proxies: both kinds, with and without a login, and each way to fail."""

from __future__ import annotations

import asyncio
import gc
import logging
import time

import pytest

from lib.errors import UpstreamError, Verdict
from lib.upstreams.http import HttpClients, Timeouts
from tests.fakes.certificates import Authority
from tests.fakes.proxies import HttpProxy, Socks5Proxy
from tests.fakes.raw_server import STREAM_HEAD, End, RawServer, Step, chunk, ok

SHORT = Timeouts(connect_s=0.3, first_byte_s=0.3, idle_s=0.2)
Kind = type[HttpProxy] | type[Socks5Proxy]
both_kinds = pytest.mark.parametrize("kind", [HttpProxy, Socks5Proxy])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


async def fetch(clients: HttpClients, url: str, proxy: str) -> bytes:
    answer = await clients.open("POST", url, headers={"authorization": "Bearer t"}, content=b"{}", proxy=proxy)
    return await answer.read(1000)


async def failure(clients: HttpClients, url: str, proxy: str) -> tuple[Verdict, int, str | None]:
    with pytest.raises(UpstreamError) as caught:
        await fetch(clients, url, proxy)
    assert "hunter2" not in repr(caught.value) + caught.value.message
    gc.collect()  # an unclosed socket would be a warning, and so an error
    return caught.value.verdict, caught.value.status, caught.value.code


@both_kinds
@pytest.mark.parametrize("login", [None, "user:hunter2"])
def test_http_goes_through_the_proxy(kind: Kind, login: str | None) -> None:
    async def main() -> None:
        async with RawServer([ok(b"fine")]) as server, kind(login) as proxy:
            assert await fetch(HttpClients(timeouts=SHORT), server.url + "/a?b=c", proxy.url) == b"fine"
            assert proxy.connections == 1
            assert proxy.targets == [f"127.0.0.1:{server.port}"]
            assert server.requests[0].target == "/a?b=c"
            assert "proxy-authorization" not in server.requests[0].headers

    asyncio.run(main())


@both_kinds
@pytest.mark.parametrize("login", [None, "user:hunter2"])
def test_https_goes_through_one_kept_tunnel(kind: Kind, login: str | None, authority: Authority) -> None:
    async def main() -> None:
        async with RawServer([ok(b"fine")], tls=authority.server_context()) as server, kind(login) as proxy:
            clients = HttpClients(timeouts=SHORT, tls=authority.client_context)
            for _ in range(2):
                assert await fetch(clients, server.url, proxy.url) == b"fine"
            assert (proxy.connections, server.connections) == (1, 1)

    asyncio.run(main())


@both_kinds
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_wrong_password_is_unreachable(kind: Kind, scheme: str) -> None:
    async def main() -> None:
        async with kind("user:right") as proxy:
            url = f"{proxy.scheme}://user:hunter2@{proxy.address}"
            failed = await failure(HttpClients(timeouts=SHORT), f"{scheme}://127.0.0.1:1", url)
            assert failed == (Verdict.UNREACHABLE, 502, "upstream_unreachable")

    asyncio.run(main())


@both_kinds
def test_a_proxy_that_is_not_there_is_unreachable(kind: Kind) -> None:
    async def main() -> None:
        async with kind("user:hunter2") as proxy:
            pass
        failed = await failure(HttpClients(timeouts=SHORT), "https://127.0.0.1:1", proxy.url)
        assert failed == (Verdict.UNREACHABLE, 502, "upstream_unreachable")

    asyncio.run(main())


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize(
    "behaviour, status", [([b"\x05"], 502), ([b"SSH-2.0\r\n"], 502), ([], 504)], ids=["close", "garbage", "silence"]
)
def test_a_proxy_that_breaks_the_handshake_is_unreachable(scheme: str, behaviour: list[bytes], status: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        for data in behaviour:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0.02)
        if not behaviour:
            await reader.read(1000)
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"{scheme}://user:hunter2@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        failed = await failure(HttpClients(timeouts=SHORT), "https://127.0.0.1:1", url)
        assert failed[:2] == (Verdict.UNREACHABLE, status)
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.05)

    asyncio.run(main())


@both_kinds
@pytest.mark.parametrize(
    "script, code",
    [
        ([End.HANG], "upstream_timeout"),
        ([STREAM_HEAD, chunk(b"some"), End.HANG], "upstream_stalled"),
        ([STREAM_HEAD, chunk(b"some"), End.CLOSE], "upstream_truncated"),
        ([End.CLOSE], "upstream_truncated"),
        ([b"SSH-2.0-OpenSSH\r\n\r\n", End.HANG], "upstream_bad_response"),
        ([STREAM_HEAD, b"zzz\r\n", End.HANG], "upstream_bad_response"),
    ],
)
def test_a_fault_behind_the_proxy_has_the_same_code_as_without(kind: Kind, script: list[Step], code: str) -> None:
    async def main() -> None:
        async with RawServer(script) as server, kind() as proxy:
            failed = await failure(HttpClients(timeouts=SHORT), server.url, proxy.url)
            assert failed == (Verdict.SERVICE, 504 if code in ("upstream_timeout", "upstream_stalled") else 502, code)

    asyncio.run(main())


def test_the_first_byte_may_take_longer_than_a_pause_in_the_body_and_shorter() -> None:
    async def main() -> None:
        async with RawServer([0.4, ok(b"fine")]) as server, Socks5Proxy() as proxy:
            clients = HttpClients(timeouts=Timeouts(connect_s=0.2, first_byte_s=1, idle_s=0.1))
            assert await fetch(clients, server.url, proxy.url) == b"fine"
            began = time.monotonic()
            with pytest.raises(UpstreamError):
                await clients.open("GET", server.url, headers={}, proxy=proxy.url, first_byte_s=0.1)
            assert time.monotonic() - began < 0.3

    asyncio.run(main())


@both_kinds
@pytest.mark.parametrize("delay_s", [0.0, 0.005, 0.05])
def test_a_cancelled_reader_is_noticed_by_the_upstream(kind: Kind, delay_s: float) -> None:
    async def main() -> None:
        async with RawServer([STREAM_HEAD, chunk(b"some"), End.HANG]) as server, kind() as proxy:
            task = asyncio.ensure_future(fetch(HttpClients(timeouts=Timeouts()), server.url, proxy.url))
            await asyncio.sleep(delay_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if server.requests:
                await asyncio.wait_for(server.left_early.wait(), 1)
            gc.collect()

    asyncio.run(main())


def test_a_kept_tunnel_that_went_stale_is_replaced_silently(authority: Authority) -> None:
    async def main() -> None:
        scripts: list[list[Step]] = [[ok(b"fine")], [End.CLOSE], [ok(b"fresh")]]
        async with RawServer(*scripts, tls=authority.server_context()) as server, Socks5Proxy() as proxy:
            clients = HttpClients(timeouts=SHORT, tls=authority.client_context)
            assert await fetch(clients, server.url, proxy.url) == b"fine"
            assert await fetch(clients, server.url, proxy.url) == b"fresh"
            assert [asked.connection for asked in server.requests] == [1, 1, 2]

    asyncio.run(main())


@both_kinds
def test_no_credential_is_logged_at_any_level(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with RawServer([ok(b"fine", "set-cookie: hunter2")]) as server, kind("user:hunter2") as proxy:
            await fetch(HttpClients(timeouts=SHORT), server.url, proxy.url)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    assert "hunter2" not in caplog.text and "Bearer" not in caplog.text
