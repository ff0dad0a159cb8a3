"""Connections between the gateway and an OpenAI-compatible upstream: kept, closed, or never made."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from tests.fakes.codex_behaviours import Behaviour, Never, http_error, raw, stream
from tests.fakes.codex_errors import error_body
from tests.fakes.openai_chat import chat_stream, chunk, chunks
from tests.fakes.serving import loopback_socket, wait_until
from tests.journeys.compatible import KEYS, Compatible, Start, compatible
from tests.journeys.gateway import KEY, Host
from tests.journeys.openai_asking import FEW, MODES, SAME, SPOKEN, ask, body_of, path_of


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    quick: dict[str, Any] = {"first_byte_timeout_s": 0.2, "idle_timeout_s": 0.2, "commit_wait_s": 0.08, "keys": KEYS}
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(compatible(host, http, **{**quick, **settings}))


@contextlib.contextmanager
def asking(gateway: Compatible, client: str, streamed: bool) -> Iterator[socket.socket]:
    """A request on a bare socket; leaving the block closes it."""
    body = msgspec.json.encode(body_of(client, streamed))
    path = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}[client]
    url = urlsplit(gateway.url)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((url.hostname, url.port), timeout=5) as sock:
        sock.sendall(head.encode() + body)
        yield sock


def assert_let_go(gateway: Compatible) -> None:
    began = time.monotonic()
    assert gateway.backend.wait_closed(1)
    assert time.monotonic() - began < 0.5
    assert not gateway.backend.requests[-1].finished
    assert "status=499" in gateway.line() and "attempts=1" in gateway.line()
    assert gateway.send("GET", "/v1/accTokens").json()["canUseCount"] == 2


@FEW
@pytest.mark.parametrize(
    ("moment", "streamed"),
    [("before the headers", False), ("in the preamble", True), ("in mid-stream", True), ("in mid-stream", False)],
)
def test_a_client_that_leaves_closes_the_upstream(
    start: Start, client: str, wire: str, streamed: bool, moment: str
) -> None:
    gateway = start(openai_wire=wire, first_byte_timeout_s=5, idle_timeout_s=5)
    behaviours: dict[str, tuple[Behaviour, Behaviour]] = {
        "before the headers": (Never(), Never()),
        "in the preamble": (chat_stream(chunk(), stall_after=0), stream(SPOKEN, stall_after=1)),
        "in mid-stream": (chat_stream(*chunks("one two three"), stall_after=3), stream(SPOKEN, stall_after=7)),
    }
    gateway.backend.always(behaviours[moment][wire == "responses"], path=path_of(wire))
    with asking(gateway, client, streamed) as sock:
        assert wait_until(lambda: gateway.backend.requests)
        time.sleep(0.1)
        if streamed and moment == "in mid-stream":
            assert b"200 OK" in sock.recv(65536)
    assert_let_go(gateway)


@SAME
def test_connections_to_the_upstream_are_kept(start: Start, wire: str) -> None:
    gateway = start(openai_wire=wire)
    for number in range(4):
        assert ask(gateway, wire, number % 2 == 0).status_code == 200
        time.sleep(0.01)
    assert len({request.connection for request in gateway.backend.requests}) == 1


@FEW
@MODES
def test_nobody_at_the_address(start: Start, client: str, wire: str, streamed: bool) -> None:
    with loopback_socket() as bound:
        gateway = start(openai_wire=wire, openai_base_url=f"http://127.0.0.1:{bound.getsockname()[1]}/v1")
        answer = ask(gateway, client, streamed)
    assert answer.status_code == 502, answer.text
    assert KEYS[0] not in answer.text and answer.headers["x-should-retry"] == "true"


@FEW
def test_an_unusable_address_is_told_as_such(start: Start, client: str, wire: str) -> None:
    gateway = start(openai_wire=wire, openai_base_url="ftp://canary-user:canary-word@example.org")
    answer = ask(gateway, client, False)
    assert answer.status_code == 503
    assert "OPENAI_BASE_URL" in answer.json()["error"]["message"] and "canary" not in answer.text
    assert gateway.backend.requests == []


@SAME
def test_a_forwarded_answer_beyond_the_limit_is_an_error(start: Start, wire: str) -> None:
    gateway = start(openai_wire=wire, max_event_bytes=20_000, keys=KEYS[:1])
    huge = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 40_000
    gateway.backend.script(raw(huge), http_error(200, {"id": "x" * 40_000}), path=path_of(wire))
    assert ask(gateway, wire, True).status_code == 502 or "upstream" in ask(gateway, wire, True).text
    assert ask(gateway, wire, False).status_code in (200, 502)


def test_an_error_code_in_a_200_counts_as_its_status(start: Start) -> None:
    gateway = start(openai_wire="chat", keys=KEYS[:1])
    gateway.backend.script(http_error(200, error_body("Too long.", code="context_length_exceeded")))
    answer = ask(gateway, "chat", False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
