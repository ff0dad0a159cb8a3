"""The hostile table's "Content parts" through a whole gateway: whatever a request points at, nothing is fetched that
is not public, and pictures are either refused or handed on as they are."""

from __future__ import annotations

import base64
import struct
import time
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fakes.raw_server import RawServer, ok
from tests.fakes.serving import LoopThread
from tests.journeys.gateway import Gateway, Host, running

DIALECTS = ("chat", "responses", "messages")


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest, host: Host, http: httpx.Client) -> Iterator[Gateway]:
    """Reads URLs, unless a test says otherwise: the host has one gateway at a time."""
    with running(host, http, read_urls=getattr(request, "param", "on")) as found:
        yield found


@pytest.fixture(scope="module")
def bait() -> Iterator[RawServer]:
    """A server on this machine that nobody may ask for anything."""
    with LoopThread() as thread:
        server = RawServer([ok(b"secret", "content-type: text/plain")])
        thread.run(server.__aenter__())
        yield server
        thread.run(server.__aexit__())


def send(gateway: Gateway, dialect: str, content: Any) -> httpx.Response:
    messages = [{"role": "user", "content": content}]
    if dialect == "chat":
        return gateway.send("POST", "/v1/chat/completions", json={"model": "gpt-5.5", "messages": messages})
    if dialect == "responses":
        return gateway.send("POST", "/v1/responses", json={"model": "gpt-5.5", "input": messages})
    body = {"model": "claude-opus-4-8", "max_tokens": 100, "messages": messages}
    return gateway.send("POST", "/v1/messages", json=body)


def picture(dialect: str, url: str) -> list[dict[str, Any]]:
    """A question with a picture, as the dialect's clients send it."""
    if dialect == "chat":
        return [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    if dialect == "responses":
        return [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": url}]
    source: dict[str, Any] = {"type": "url", "url": url}
    if url.startswith("data:"):
        head, _, data = url.partition(",")
        source = {"type": "base64", "media_type": head[5:].partition(";")[0], "data": data}
    return [{"type": "text", "text": "What is it?"}, {"type": "image", "source": source}]


def data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def png(width: int, height: int) -> bytes:
    """A picture that claims this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


REFUSED = [
    "file:///etc/passwd",
    "/etc/passwd",
    "gopher://example.org/",
    "ftp://example.org/a.png",
    "http://169.254.169.254/",
    "http://0.0.0.0",
    "http://127.1",
    "http://2130706433",
    "http://0x7f.1/",
    "http://[::1]",
    "http://[::ffff:127.0.0.1]/",
    "http://localhost/",
    "http://metadata.google.internal/",
    "http://example.org@127.0.0.1/",
    "http://user:word@example.org/",
    "http://example.org:22/",
    "http://127.0.0.1:{port}/",
    data_url("text/html", b"<script>alert(1)</script>"),
    data_url("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
    "data:image/png;base64,@@@@",
    "data:image/png;base64,",
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("url", REFUSED, ids=lambda url: url[:40])
def test_picture_that_is_none_of_the_public_web_is_refused(
    gateway: Gateway, bait: RawServer, dialect: str, url: str
) -> None:
    before = len(gateway.backend.generations)
    begun = time.monotonic()
    answer = send(gateway, dialect, picture(dialect, url.format(port=bait.port)))
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert time.monotonic() - begun < 1
    assert len(gateway.backend.generations) == before
    assert not bait.connections


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "url",
    [
        "https://rebinds.example.org/a.png",
        "https://redirects-to-private.example.org/a.png",
        "http://private-by-name.example.org/endless",
        data_url("image/png", png(1, 1)),
        data_url("image/png", png(2**31 - 1, 2**31 - 1)),
    ],
    ids=lambda url: url[:40] + url[-12:],
)
def test_picture_is_handed_on_unfetched_and_undecoded(gateway: Gateway, dialect: str, url: str) -> None:
    answer = send(gateway, dialect, picture(dialect, url))
    assert answer.status_code == 200, answer.text
    [part] = [part for part in _sent(gateway) if part["type"] == "input_image"]
    assert part["image_url"] == url


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://user@example.org/",
        "https://example.org:{port}/",
    ],
)
def test_page_that_is_not_public_is_mentioned_and_not_read(
    gateway: Gateway, bait: RawServer, dialect: str, url: str
) -> None:
    url = url.format(port=bait.port)
    begun = time.monotonic()
    answer = send(gateway, dialect, f"Please read {url} for me.")
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - begun < 1
    own, added = (part["text"] for part in _sent(gateway))
    assert own == f"Please read {url} for me."
    assert f"{url} could not be read. The URL could not be fetched: " in added
    assert not bait.connections


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", ["Hello", "Read file:///etc/passwd, ftp://example.org/ and /etc/passwd"])
def test_text_without_web_addresses_stays_as_it_is(gateway: Gateway, dialect: str, text: str) -> None:
    assert send(gateway, dialect, text).status_code == 200
    assert [part["text"] for part in _sent(gateway)] == [text]


@pytest.mark.parametrize("gateway", ["off"], indirect=True)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_is_read_unless_the_operator_wants_it(gateway: Gateway, dialect: str) -> None:
    assert send(gateway, dialect, "Please read http://127.0.0.1/ for me.").status_code == 200
    assert [part["text"] for part in _sent(gateway)] == ["Please read http://127.0.0.1/ for me."]


def _sent(gateway: Gateway) -> list[dict[str, Any]]:
    """The parts of the last user message of the last generation."""
    body = gateway.backend.generations[-1].json
    messages = [item for item in body["input"] if item.get("role") == "user"]
    found: list[dict[str, Any]] = messages[-1]["content"]
    return found
