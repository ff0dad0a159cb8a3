"""HttpClients: what it sends, which way it goes, and how it lives with event loops. Real sockets."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Mapping

import pytest

from lib.errors import UpstreamError, Verdict
from lib.upstreams.http import HttpClients, Timeouts
from tests.fakes.proxies import HttpProxy, Socks5Proxy
from tests.fakes.raw_server import STREAM_HEAD, End, RawServer, chunk, ok
from tests.fakes.serving import LoopThread, loopback_socket

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
SHORT = Timeouts(connect_s=3, first_byte_s=0.2, idle_s=0.2)


@pytest.fixture(autouse=True)
def no_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def fetch(clients: HttpClients, url: str, headers: Mapping[str, str] | None = None, **options: str) -> bytes:
    answer = await clients.open("POST", url, headers=headers or {}, content=b"{}", **options)  # type: ignore[arg-type]
    return await answer.read(1000)


def test_a_request_carries_what_it_was_given_and_nothing_of_a_library() -> None:
    async def main() -> None:
        async with RawServer([ok(b"fine")]) as server:
            clients = HttpClients(timeouts=SHORT, user_agent="gateway/1")
            await fetch(clients, server.url + "/v1/x?y=%20z", {"authorization": "Bearer t", "user-agent": "mine/2"})
            await fetch(clients, server.url)
            asked = server.requests[0]
            assert (asked.method, asked.target, asked.body) == ("POST", "/v1/x?y=%20z", b"{}")
            assert asked.headers == {
                "host": f"127.0.0.1:{server.port}",
                "content-length": "2",
                "authorization": "Bearer t",
                "user-agent": "mine/2",
                "accept-encoding": "identity",
            }
            assert server.requests[1].headers["user-agent"] == "gateway/1"

    asyncio.run(main())


def test_cookies_are_not_sent_back_and_netrc_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(proxy: str | None) -> None:
        async with RawServer([ok(b"fine", "set-cookie: a=b; path=/")]) as server:
            clients = HttpClients(timeouts=SHORT, proxy=proxy)
            await fetch(clients, server.url)
            await fetch(clients, server.url)
            assert not {"cookie", "authorization"} & set(server.requests[1].headers)

    async def both() -> None:
        await main(None)
        async with HttpProxy() as proxy:
            await main(proxy.url)

    asyncio.run(both())


def test_a_redirect_is_not_followed() -> None:
    async def main() -> None:
        async with RawServer([ok(b"")]) as other:
            location = f"location: {other.url}/"
            async with RawServer([ok(b"moved", location, status="307 Temporary Redirect")]) as server:
                answer = await HttpClients(timeouts=SHORT).open("GET", server.url, headers={})
                assert (answer.status, await answer.read(100)) == (307, b"moved")
                assert not other.requests

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "does-not-exist.invalid", "a..b"])
def test_an_upstream_that_is_not_there_is_unreachable(host: str) -> None:
    async def main(port: int) -> None:
        with pytest.raises(UpstreamError) as caught:
            await fetch(HttpClients(timeouts=SHORT), f"http://{host}:{port}/secret")
        error = caught.value
        assert (error.verdict, error.status, error.code) == (Verdict.UNREACHABLE, 502, "upstream_unreachable")
        assert "secret" not in error.message

    with loopback_socket() as bound:
        asyncio.run(main(bound.getsockname()[1]))


def test_a_connection_that_is_not_taken_is_a_timeout_of_the_connection() -> None:
    async def main() -> None:
        async with RawServer([End.HANG]) as server:
            # Plain TCP where TLS is meant: the handshake gets no answer.
            with pytest.raises(UpstreamError) as caught:
                await fetch(HttpClients(timeouts=Timeouts(connect_s=0.1)), server.url.replace("http", "https"))
            assert (caught.value.verdict, caught.value.status) == (Verdict.UNREACHABLE, 504)
            assert caught.value.code == "upstream_timeout"

    asyncio.run(main())


def test_the_first_byte_timeout_can_be_given_with_the_request() -> None:
    async def main() -> None:
        async with RawServer([0.15, ok(b"fine")]) as server:
            clients = HttpClients(timeouts=SHORT)
            await fetch(clients, server.url)
            with pytest.raises(UpstreamError) as caught:
                await clients.open("GET", server.url, headers={}, first_byte_s=0.05)
            assert (caught.value.code, caught.value.verdict) == ("upstream_timeout", Verdict.SERVICE)

    asyncio.run(main())


@pytest.mark.parametrize("value", ["a\r\nx: y", "tøken"])
def test_a_header_that_http_cannot_carry_is_the_requests_fault_and_is_not_shown(value: str) -> None:
    async def main() -> None:
        with pytest.raises(UpstreamError) as caught:
            await fetch(HttpClients(timeouts=SHORT), "http://127.0.0.1:1/", {"authorization": value})
        assert (caught.value.verdict, caught.value.status) == (Verdict.REQUEST, 400)
        assert value not in str(caught.value.message)

    asyncio.run(main())


@pytest.mark.parametrize("url", ["http://[::1", "nonsense", "http://h:99999/", "ftp://h/"])
def test_a_url_that_is_none_is_unreachable(url: str) -> None:
    async def main() -> None:
        with pytest.raises(UpstreamError) as caught:
            await fetch(HttpClients(timeouts=SHORT), url)
        assert caught.value.code == "upstream_unreachable"

    asyncio.run(main())


def test_the_requests_proxy_wins_over_the_clients_which_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with (
            RawServer([ok(b"fine")]) as server,
            HttpProxy() as third,
            HttpProxy() as second,
            Socks5Proxy() as first,
        ):
            monkeypatch.setenv("HTTP_PROXY", third.url)
            with_proxy, without = HttpClients(timeouts=SHORT, proxy=second.url), HttpClients(timeouts=SHORT)
            for clients, options, counts in (
                (with_proxy, {"proxy": first.url}, (1, 0, 0)),
                (with_proxy, {}, (1, 1, 0)),
                (without, {}, (1, 1, 1)),
            ):
                assert await fetch(clients, server.url, **options) == b"fine"  # type: ignore[arg-type]
                assert (first.connections, second.connections, third.connections) == counts
                assert len(server.requests) == sum(counts)

    asyncio.run(main())


@pytest.mark.parametrize(
    "variable, exceptions, proxied",
    [
        ("HTTP_PROXY", "", True),
        ("http_proxy", "", True),
        ("ALL_PROXY", "", True),
        ("HTTPS_PROXY", "", False),
        ("HTTP_PROXY", "127.0.0.1", False),
        ("HTTP_PROXY", "example.com, *", True),
        ("HTTP_PROXY", "*", False),
        ("ALL_PROXY", "example.com,127.0.0.1", False),
    ],
)
def test_the_standard_variables_count(
    variable: str, exceptions: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with RawServer([ok(b"fine")]) as server, HttpProxy() as proxy:
            monkeypatch.setenv(variable, proxy.address if variable == "ALL_PROXY" else proxy.url)
            monkeypatch.setenv("NO_PROXY", exceptions)
            clients = HttpClients(timeouts=SHORT)
            monkeypatch.delenv(variable)  # they are read once
            assert await fetch(clients, server.url) == b"fine"
            assert proxy.connections == proxied

    asyncio.run(main())


@pytest.mark.parametrize(
    "proxy", ["http://user:hunter2@", "ftp://user:hunter2@h:1", "http://user:hunter2@h:port", "://"]
)
def test_a_malformed_proxy_is_unreachable_and_its_password_is_not_shown(proxy: str) -> None:
    async def main() -> None:
        with pytest.raises(UpstreamError) as caught:
            await fetch(HttpClients(timeouts=SHORT), "http://127.0.0.1:1/", proxy=proxy)
        assert (caught.value.verdict, caught.value.code) == (Verdict.UNREACHABLE, "upstream_unreachable")
        assert "hunter2" not in caught.value.message and "user" not in caught.value.message

    asyncio.run(main())


def test_a_new_event_loop_gets_connections_of_its_own() -> None:
    clients = HttpClients(timeouts=SHORT)
    with LoopThread() as there:
        server, proxy = RawServer([ok(b"fine")]), HttpProxy()
        there.run(server.__aenter__())
        there.run(proxy.__aenter__())
        for number in range(1, 4):
            assert asyncio.run(fetch(clients, server.url)) == b"fine"
            assert asyncio.run(fetch(clients, server.url, proxy=proxy.url)) == b"fine"
            assert server.connections == 2 * number
            gc.collect()  # an unclosed socket would be a warning, and so an error
        there.run(proxy.__aexit__())
        there.run(server.__aexit__())
    asyncio.run(clients.aclose())


def test_sockets_of_a_loop_that_was_closed_before_them_are_closed() -> None:
    async def leave_one_open(clients: HttpClients, url: str, proxy: str) -> None:
        await fetch(clients, url + "/idle")
        await fetch(clients, url + "/idle", proxy=proxy)
        await clients.open("GET", url + "/busy", headers={})

    async def all_gone(server: RawServer) -> None:
        for _ in range(100):
            if not server._writers:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the server still has connections")

    clients = HttpClients(timeouts=SHORT)
    with LoopThread() as there:
        server, socks = (
            RawServer([ok(b"1")], [ok(b"2")], [STREAM_HEAD, chunk(b"x"), End.HANG], [ok(b"fine")]),
            Socks5Proxy(),
        )
        there.run(server.__aenter__())
        there.run(socks.__aenter__())
        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave_one_open(clients, server.url, socks.url))
        loop.close()
        assert len(server._writers) == 2
        assert asyncio.run(fetch(clients, server.url)) == b"fine"
        there.run(all_gone(server))
        gc.collect()
        there.run(socks.__aexit__())
        there.run(server.__aexit__())


def test_closing_is_for_the_running_loop_and_may_be_repeated() -> None:
    async def main() -> None:
        async with RawServer([ok(b"fine")]) as server:
            clients = HttpClients(timeouts=SHORT)
            await clients.aclose()
            await fetch(clients, server.url)
            await clients.aclose()
            await clients.aclose()
            await fetch(clients, server.url)
            assert server.connections == 2

    asyncio.run(main())


def test_importing_the_module_does_not_import_httpxs_own_transport() -> None:
    program = "import sys, lib.upstreams.http; print([m for m in ('httpcore', 'h11', 'anyio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
