"""Fetching what callers point at: over real sockets, with the real checks. Only names and routes are made up."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from lib.canonical.fetched import Fetched
from lib.errors import InvalidRequest
from lib.upstreams.guarded import GuardedClient, dial, resolve
from tests.fakes.certificates import Authority
from tests.fakes.raw_server import End, RawServer, Step, answer_head, chunk, ok
from tests.fakes.web import OTHER, PUBLIC, Web
from tests.upstreams.test_addresses import REFUSED

TEXT = "content-type: text/plain"
KINDS = frozenset({"text/plain", "text/html"})
PAGE = [ok(b"fine", TEXT)]

Names = dict[str, list[list[str]]]


def redirect(location: str, status: str = "302 Found") -> list[Step]:
    return [ok(b"", f"location: {location}", status=status)]


def fetch(
    url: str,
    *scripts: Sequence[Step],
    names: Names | None = None,
    max_bytes: int = 100_000,
    check: Callable[[RawServer, Web], None] = lambda server, web: None,
    **options: Any,
) -> Fetched:
    """Fetches a URL of the small web whose server follows these scripts."""

    async def main() -> Fetched:
        async with RawServer(*scripts) as server:
            web = Web(server.port, names)
            try:
                return await web.client(**options).fetch(url, media_types=KINDS, max_bytes=max_bytes)
            finally:
                check(server, web)

    return asyncio.run(main())


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        fetch(*arguments, **options)
    assert caught.value.code == "url_not_fetched"
    assert caught.value.message.startswith("The URL could not be fetched: ")
    return caught.value.message


def test_page_is_fetched_from_the_address_that_was_checked() -> None:
    def check(server: RawServer, web: Web) -> None:
        assert web.asked == ["example.org"]
        assert web.dialled == [(PUBLIC, 80)]
        [request] = server.requests
        assert (request.method, request.target) == ("GET", "/a?b=c")
        assert request.headers == {
            "host": "example.org",
            "user-agent": "chat2api",
            "accept": "text/html, text/plain",
            "accept-encoding": "gzip, deflate",
        }

    page = [ok(b"fine", 'Content-Type: Text/Plain; x=y; Charset="utf-8"')]
    fetched = fetch("http://example.org/a?b=c#d", page, check=check)
    assert fetched == Fetched("http://example.org/a?b=c", "text/plain", "utf-8", b"fine")


@pytest.mark.parametrize("url", REFUSED)
def test_nothing_is_resolved_or_fetched_for_a_url_that_is_refused(url: str) -> None:
    def check(server: RawServer, web: Web) -> None:
        assert not web.asked
        assert not web.dialled

    refusal(url, PAGE, check=check)


@pytest.mark.parametrize(
    "addresses",
    [
        [],
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["10.0.0.7"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%eth0"],
        ["224.0.0.1"],
        [PUBLIC, "127.0.0.1"],
        ["fd00::1", PUBLIC],
    ],
)
def test_name_with_an_address_that_is_not_public_is_not_fetched(addresses: list[str]) -> None:
    def check(server: RawServer, web: Web) -> None:
        assert web.asked == ["inside.example.org"]
        assert not web.dialled

    message = refusal("http://inside.example.org/", PAGE, names={"inside.example.org": [addresses]}, check=check)
    assert message == refusal("http://no-such-name.example.org/", PAGE)


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://localhost/", "http://[::1]/"])
def test_the_real_resolver_and_network_do_not_help(url: str) -> None:
    async def main() -> None:
        with pytest.raises(InvalidRequest):
            await GuardedClient().fetch(url, media_types=KINDS, max_bytes=10)

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "localhost"])
def test_the_resolver_says_where_a_name_leads(host: str) -> None:
    assert set(asyncio.run(resolve(host, 80))) <= {"127.0.0.1", "::1"}


def test_a_second_answer_of_the_name_is_never_asked_for() -> None:
    def check(server: RawServer, web: Web) -> None:
        assert web.asked == ["example.org"]
        assert web.dialled == [(PUBLIC, 80)]

    names = {"example.org": [[PUBLIC], ["127.0.0.1"]]}
    assert fetch("http://example.org/", PAGE, names=names, check=check).data == b"fine"


def test_a_name_that_turns_private_between_redirects_is_refused() -> None:
    def check(server: RawServer, web: Web) -> None:
        assert web.asked == ["example.org", "example.org"]
        assert web.dialled == [(PUBLIC, 80)]

    names = {"example.org": [[PUBLIC], ["127.0.0.1"]]}
    refusal("http://example.org/", redirect("/again"), PAGE, names=names, check=check)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
def test_redirect_is_followed_with_the_same_checks(status: str) -> None:
    def check(server: RawServer, web: Web) -> None:
        assert web.asked == ["example.org", "other.example.org"]
        assert web.dialled == [(PUBLIC, 80), (OTHER, 443)]
        assert [request.headers["host"] for request in server.requests] == ["example.org", "other.example.org:443"]
        assert server.requests[1].target == "/gr%C3%BCn"

    names = {"example.org": [[PUBLIC]], "other.example.org": [[OTHER]]}
    away = [ok(b"", status=status)[:-4] + "\r\nlocation: http://other.example.org:443/grün\r\n\r\n".encode()]
    fetched = fetch("http://example.org/", away, PAGE, names=names, check=check)
    assert fetched.url == "http://other.example.org:443/gr%C3%BCn"


def test_relative_redirect_stays_with_its_host() -> None:
    fetched = fetch("http://example.org/a/b?c", redirect("../d?e"), PAGE)
    assert fetched.url == "http://example.org/d?e"


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/",
        "http://[::1]/",
        "//127.1/",
        "http://inside.example.org/",
        "http://example.org:8080/",
        "http://user@example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "ftp://example.org/",
        "http://[",
        "",
    ],
)
def test_redirect_to_what_may_not_be_fetched_is_refused(location: str) -> None:
    def check(server: RawServer, web: Web) -> None:
        assert web.dialled == [(PUBLIC, 80)]

    names = {"example.org": [[PUBLIC]], "inside.example.org": [["10.0.0.1"]]}
    message = refusal("http://example.org/", redirect(location), PAGE, names=names, check=check)
    assert "10.0.0.1" not in message
    assert "127.0.0.1" not in message


def test_redirects_end() -> None:
    def check(server: RawServer, web: Web) -> None:
        assert len(server.requests) == 4

    assert "redirects too often" in refusal("http://example.org/", redirect("/again"), check=check)
    third = fetch("http://example.org/", redirect("/1"), redirect("/2"), redirect("/3"), PAGE)
    assert third.url == "http://example.org/3"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([ok(b"no", TEXT, status="404 Not Found")], "status 404"),
        ([ok(b"", TEXT, status="204 No Content")], "status 204"),
        ([ok(b"x", TEXT, status="206 Partial Content")], "status 206"),
        ([ok(b"PK", "content-type: application/zip")], "content type"),
        ([ok(b"x", "content-type: image/svg+xml")], "content type"),
        ([ok(b"x")], "content type"),
        ([ok(b"x", TEXT, "content-encoding: aes")], "encoding"),
        ([ok(b"not gzip", TEXT, "content-encoding: gzip")], "decompressed"),
        ([b"hello\r\n\r\n"], "not valid HTTP"),
        ([answer_head(TEXT, "content-length: 10"), b"half", End.CLOSE], "broke off"),
        ([End.CLOSE], "broke off"),
        ([End.RESET], "broke off"),
    ],
)
def test_answer_that_is_no_page_is_refused(script: list[Step], reason: str) -> None:
    assert reason in refusal("http://example.org/", script)


@pytest.mark.parametrize(
    "script",
    [
        [answer_head(TEXT, "content-length: 100001"), End.HANG],
        [answer_head(TEXT, "content-length: " + "9" * 5000), End.HANG],
        [answer_head(TEXT, "transfer-encoding: chunked"), *[chunk(b"x" * 10_000)] * 2000, End.HANG],
        [answer_head(TEXT), *[b"x" * 10_000] * 2000, End.HANG],
        [ok(gzip.compress(bytes(30_000_000)), TEXT, "content-encoding: gzip"), End.HANG],
        [ok(zlib.compress(bytes(30_000_000)), TEXT, "content-encoding: deflate"), End.HANG],
        [
            answer_head(TEXT, "content-encoding: gzip", "transfer-encoding: chunked"),
            *[chunk(gzip.compress(b"") * 500)] * 100,
            End.HANG,
        ],
    ],
    ids=["declared", "declared-absurdly", "chunked", "until-close", "gzip-bomb", "deflate-bomb", "many-empty-members"],
)
def test_body_without_end_is_left(script: list[Step]) -> None:
    def check(server: RawServer, web: Web) -> None:
        assert server.sent_bytes < 15_000_000

    begun = time.monotonic()
    message = refusal("http://example.org/", script, check=check)
    assert "too large" in message or "not valid HTTP" in message
    assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize(
    "script",
    [
        [End.HANG],
        [b"HTTP/1.1 200 OK\r\n", *[step for _ in range(100) for step in (0.02, b"x: y\r\n")]],
        [answer_head(TEXT, "content-length: 100"), *[step for _ in range(100) for step in (0.02, b"x")]],
        [0.2, *redirect("/again")],
    ],
    ids=["silence", "slow-headers", "slow-body", "slow-redirects"],
)
def test_time_is_bounded_over_all(script: list[Step]) -> None:
    begun = time.monotonic()
    assert "in time" in refusal("http://example.org/", script, timeout_s=0.3)
    assert time.monotonic() - begun < 1


def test_slow_name_server_is_left() -> None:
    async def slow(host: str, port: int) -> list[str]:
        await asyncio.sleep(5)
        return [PUBLIC]

    assert "in time" in refusal("http://example.org/", PAGE, timeout_s=0.1, resolve=slow)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [(b"fine", "identity"), (gzip.compress(b"fine"), "gzip"), (zlib.compress(b"fine"), "deflate")],
)
def test_compressed_page_is_unpacked(data: bytes, encoding: str) -> None:
    page = [ok(data, TEXT, f"content-encoding: {encoding}")]
    assert fetch("http://example.org/", page).data == b"fine"


def test_the_next_address_is_tried_when_one_is_dead() -> None:
    async def main() -> None:
        async with RawServer(PAGE) as server:
            web = Web(server.port, {"example.org": [["2606:4700::1111", PUBLIC]]})

            async def half_dead(address: str, port: int) -> socket.socket:
                opened = await web.dial(address, port)
                if ":" in address:
                    opened.close()
                    raise OSError("no route")
                return opened

            fetched = await web.client(dial=half_dead).fetch("http://example.org/", media_types=KINDS, max_bytes=10)
            assert fetched.data == b"fine"
            assert [address for address, _ in web.dialled] == ["2606:4700::1111", PUBLIC]

    asyncio.run(main())


def test_server_that_cannot_be_reached_is_told_without_its_address() -> None:
    async def dead(address: str, port: int) -> socket.socket:
        return await dial("127.0.0.1", 1)

    message = refusal("http://example.org/", PAGE, dial=dead)
    assert "example.org could not be reached: Connection refused." in message
    assert "127.0.0.1" not in message


def test_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetch("http://example.org/", PAGE).data == b"fine"


def test_the_certificate_is_checked_against_the_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "secure.example.org")
    names = {"secure.example.org": [[PUBLIC]], "other.example.org": [[PUBLIC]]}

    async def main() -> None:
        async with RawServer(PAGE, tls=authority.server_context()) as server:
            client = Web(server.port, names).client(tls=authority.client_context)
            fetched = await client.fetch("https://secure.example.org/", media_types=KINDS, max_bytes=10)
            assert fetched.data == b"fine"
            with pytest.raises(InvalidRequest, match="certificate was refused"):
                await client.fetch("https://other.example.org/", media_types=KINDS, max_bytes=10)
            assert len(server.requests) == 1

    asyncio.run(main())


def test_leaving_a_fetch_closes_its_connection() -> None:
    async def main() -> None:
        async with RawServer([answer_head(TEXT, "content-length: 9"), End.HANG]) as server:
            client = Web(server.port).client()
            task = asyncio.create_task(client.fetch("http://example.org/", media_types=KINDS, max_bytes=10))
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            await asyncio.wait_for(server.left_early.wait(), 1)

    asyncio.run(main())


def test_it_works_on_the_other_event_loop(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "example.org")

    async def main() -> None:
        async with RawServer(PAGE, tls=authority.server_context()) as server:
            client = Web(server.port).client(tls=authority.client_context)
            fetched = await client.fetch("https://example.org/", media_types=KINDS, max_bytes=10)
            assert fetched.data == b"fine"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
