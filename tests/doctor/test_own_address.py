"""The gateway at its own address: over real sockets where it matters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

import pytest

from lib.doctor.finding import Finding
from lib.doctor.own_address import PAUSE_S, PIECES, Address, OwnAddress, judge_preflight, judge_stream
from lib.doctor.upstreams import Measured
from lib.web.asgi import Receive, Scope, Send, send_whole
from tests.fakes.serving import serving

CREDENTIAL = {"authorization": "Bearer sk-canary"}
ALLOWED = {"access-control-allow-origin": "*", "access-control-allow-headers": "Authorization, content-type"}


class Front:
    """What stands in front of a gateway: `status` for the stream, all of it at once or piece by piece."""

    def __init__(self, *, status: int = 200, pause_s: float = PAUSE_S, date: bytes = b"") -> None:
        self.status = status
        self.pause_s = pause_s
        self.date = date
        self.asked: list[tuple[str, str, bytes | None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        self.asked.append((scope["method"], scope["path"], headers.get(b"authorization")))
        given = [(b"date", self.date)] if self.date else []
        if scope["method"] == "OPTIONS":
            allowed = [(name.encode(), value.encode()) for name, value in ALLOWED.items()]
            await send_whole(send, 200, b"ok", allowed)
            return
        given.append((b"location", b"http://127.0.0.1:1/elsewhere"))
        await send({"type": "http.response.start", "status": self.status, "headers": given})
        for number in range(PIECES):
            await asyncio.sleep(self.pause_s if number else 0)
            await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def resolving(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve_name(host: str, port: int) -> list[str]:
        if not addresses:
            raise OSError("no such name")
        return list(addresses)

    return resolve_name


def seen(
    url: str,
    *,
    is_configured: bool = True,
    listens_on: tuple[str, int] | None = None,
    addresses: Sequence[str] = ("127.0.0.1",),
    measured: Measured | None = None,
) -> Sequence[Finding]:
    address = Address(url, is_configured, listens_on, CREDENTIAL)
    own = OwnAddress(address, now=time.time, resolve_name=resolving(*addresses), first_byte_s=1.0)
    return asyncio.run(own.findings(measured or Measured()))


def test_a_stream_that_streams_is_seen_to_do_so() -> None:
    front, measured = Front(date=b"Sun, 06 Nov 1994 08:49:37 GMT"), Measured()
    with serving(front, date_header=False) as url:
        streaming, browsers = seen(url, measured=measured)
    assert (streaming.name, streaming.status) == ("streaming", "ok")
    assert (browsers.name, browsers.status) == ("browsers (CORS)", "ok")
    assert ("GET", "/v1/doctor/stream", b"Bearer sk-canary") in front.asked
    assert ("OPTIONS", "/v1/chat/completions", None) in front.asked  # a preflight bears no key
    assert measured.skews_s[0] > 1e8


def test_a_stream_that_is_collected_is_a_problem() -> None:
    with serving(Front(pause_s=0)) as url:
        streaming, _ = seen(url)
    assert streaming.status == "problem" and "collects" in streaming.found


@pytest.mark.parametrize(("status", "said"), [(302, "warning"), (401, "unknown"), (429, "unknown")])
def test_another_status_is_told_and_no_redirect_followed(status: int, said: str) -> None:
    with serving(Front(status=status, pause_s=0)) as url:
        streaming, _ = seen(url)
    assert streaming.status == said and str(status) in streaming.found
    assert "elsewhere" not in str(streaming)


def test_nobody_at_the_address_is_no_verdict() -> None:
    assert [each.status for each in seen("http://127.0.0.1:1")] == ["unknown", "unknown"]


@pytest.mark.parametrize(
    "addresses", [["169.254.169.254"], ["10.0.0.1"], ["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"], []]
)
def test_an_address_that_the_request_names_is_asked_only_if_it_is_public(addresses: list[str]) -> None:
    front = Front()
    with serving(front) as url:
        port = urlsplit(url).port or 0
        for listens_on in (None, ("127.0.0.1", port + 1), ("10.0.0.9", port)):
            found = seen(url, is_configured=False, listens_on=listens_on, addresses=addresses)
            assert [each.status for each in found] == ["unknown", "unknown"]
            assert "PUBLIC_URL" in found[0].advice
    assert front.asked == []


def test_the_socket_that_is_listened_on_is_asked_by_any_loopback_name() -> None:
    with serving(Front()) as url:
        port = urlsplit(url).port or 0
        found = seen(url, is_configured=False, listens_on=("127.0.0.1", port), addresses=["127.0.0.1", "::1"])
    assert [each.status for each in found] == ["ok", "ok"]


def test_a_stream_that_is_cut_is_a_problem() -> None:
    assert judge_stream([0.0, PAUSE_S]).status == "problem"


@pytest.mark.parametrize(
    ("status", "changes", "words"),
    [
        (403, {}, "403"),
        (200, {"access-control-allow-origin": "*, *"}, "twice"),
        (200, {"access-control-allow-origin": "https://x"}, "changed"),
        (200, {"access-control-allow-origin": ""}, "not at all"),
        (200, {"access-control-allow-headers": "content-type"}, "authorization"),
    ],
)
def test_a_preflight_that_others_answer_is_a_problem(status: int, changes: dict[str, str], words: str) -> None:
    found = judge_preflight(status, {**ALLOWED, **changes})
    assert found.status == "problem" and words in found.found
