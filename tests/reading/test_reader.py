"""Reading pages and pictures for a request, over real sockets and through the real guard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from lib.canonical.images import InputImage
from lib.canonical.request import CanonicalRequest
from lib.errors import InvalidRequest
from lib.reading.reader import Reader
from tests.fakes.raw_server import End, RawServer, Step, ok
from tests.fakes.web import PUBLIC, Web
from tests.reading.test_into_request import request, user

HTML = "content-type: text/html; charset=utf-8"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


def read(asked: CanonicalRequest, *scripts: Sequence[Step], budget_s: float = 2.0) -> tuple[CanonicalRequest, Web]:
    async def main() -> tuple[CanonicalRequest, Web]:
        async with RawServer(*scripts) as server:
            web = Web(server.port, {"example.org": [[PUBLIC]], "inside.example.org": [["10.0.0.1"]]})
            return await Reader(web.client().fetch, budget_s=budget_s).read(asked), web

    return asyncio.run(main())


def added(read: CanonicalRequest) -> str:
    [_, part] = read.input[-1]["content"]
    found: str = part["text"]
    return found


def test_page_is_given_to_the_model() -> None:
    page = "<title>T</title><nav>N</nav><p>Größe</p>".encode()
    result, web = read(request(user("Read http://example.org/a please")), [ok(page, HTML)])
    assert "] http://example.org/a\nT\n\nGröße\n[end " in added(result)
    assert web.dialled == [(PUBLIC, 80)]


def test_request_without_urls_stays_as_it_is() -> None:
    asked = request(user("hello"))
    result, web = read(asked, [ok(b"x", HTML)])
    assert result is asked
    assert not web.asked


def test_pages_are_read_side_by_side_and_at_most_three() -> None:
    begun = time.monotonic()
    text = " ".join(f"http://example.org/{number}" for number in range(5))
    result, web = read(request(user(text)), [0.2, ok(b"words", HTML)])
    assert time.monotonic() - begun < 0.5
    assert len(web.dialled) == 3
    assert added(result).count("[begin ") == 3


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.1/",
        "http://0.0.0.0",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://inside.example.org/",
        "http://example.org@10.0.0.1/",
        "http://example.org:8080/",
    ],
)
def test_private_address_is_not_read_and_the_request_goes_on(url: str) -> None:
    result, web = read(request(user(f"Read {url} now")), [ok(b"secret", HTML)])
    assert not web.dialled
    assert "could not be read. The URL could not be fetched: " in added(result)
    assert "secret" not in added(result)


@pytest.mark.parametrize("url", ["gopher://example.org/", "ftp://example.org/", "file:///etc/passwd", "/etc/passwd"])
def test_other_schemes_are_words(url: str) -> None:
    asked = request(user(f"Read {url} now"))
    result, web = read(asked, [ok(b"secret", HTML)])
    assert result is asked
    assert not web.asked


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ([ok(b"x", "content-type: application/zip")], "content type"),
        ([ok(b"", "location: http://127.0.0.1/", status="302 Found")], "not a public one"),
        ([ok(b"", "location: /again", status="302 Found")], "redirects too often"),
        ([ok(bytes(2_000_001), HTML)], "too large"),
        ([End.RESET], "broke off"),
        ([End.HANG], "in time"),
    ],
)
def test_page_that_cannot_be_read_is_mentioned(script: list[Step], reason: str) -> None:
    begun = time.monotonic()
    result, _ = read(request(user("Read http://example.org/")), script, budget_s=0.3)
    assert reason in added(result)
    assert time.monotonic() - begun < 1


def image(*script: Step) -> InputImage:
    async def main() -> InputImage:
        async with RawServer(script) as server:
            return await Reader(Web(server.port).client().fetch).fetch_image("http://example.org/a")

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(9), "image/jpeg"),
        (b"GIF89a" + bytes(9), "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    ],
)
def test_picture_is_fetched_and_known_by_its_bytes(data: bytes, media_type: str) -> None:
    assert image(ok(data, "content-type: image/png")) == InputImage(media_type, data)


@pytest.mark.parametrize(
    "script",
    [
        [ok(b"<svg onload=alert(1)>", "content-type: image/svg+xml")],
        [ok(b"<svg onload=alert(1)>", "content-type: image/png")],
        [ok(b"<html>", HTML)],
        [ok(b"", "content-type: image/png")],
        [ok(b"", "location: http://169.254.169.254/", status="301 Moved")],
    ],
)
def test_what_is_no_picture_is_refused(script: list[Step]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        image(*script)
    assert caught.value.code == "url_not_fetched"
    assert caught.value.status == 400


def test_picture_may_be_large_but_not_endless() -> None:
    big = PNG + bytes(19_000_000)
    assert len(image(ok(big, "content-type: image/png")).data) == len(big)
    with pytest.raises(InvalidRequest, match="too large"):
        image(ok(PNG + bytes(20_000_000), "content-type: image/png"))
