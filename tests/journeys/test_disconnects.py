"""F35: the client leaves. The upstream connection is closed within a second, and nothing goes on."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.fakes.codex_behaviours import Behaviour, Http, Never, bad_gateway, stream
from tests.fakes.serving import wait_until
from tests.journeys.conftest import Start
from tests.journeys.fault_records import DIALECTS as NAMES
from tests.journeys.gateway import Gateway
from tests.journeys.seen import PATHS, body_of

DIALECTS = pytest.mark.parametrize("dialect", NAMES)
MODES = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])


@contextlib.contextmanager
def asking(gateway: Gateway, dialect: str, streamed: bool) -> Iterator[socket.socket]:
    """A request on a bare socket; leaving the block closes it."""
    body = msgspec.json.encode(body_of(dialect, stream=streamed))
    url = urlsplit(gateway.url)
    head = (
        f"POST {PATHS[dialect]} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {gateway.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((url.hostname, url.port), timeout=5) as client:
        client.sendall(head.encode() + body)
        yield client


def assert_let_go(gateway: Gateway, attempts: int = 1) -> None:
    """The upstream saw its client leave within a second, the log says 499, and no further attempt was made."""
    started = time.monotonic()
    assert gateway.backend.wait_closed(1)
    assert time.monotonic() - started < 1
    assert gateway.backend.requests[-1].client_left
    line = gateway.last_line("/v1/")
    assert (line["status"], line["error"]) == ("499", "client_closed")
    assert len(gateway.backend.requests) == int(line["attempts"]) == attempts
    assert gateway.usable() == 3


@DIALECTS
@MODES
@pytest.mark.parametrize(
    "behaviour", [Never(), stream(stall_after=0), stream(stall_after=2)], ids=["headers", "silence", "preamble"]
)
def test_before_the_first_byte(start: Start, dialect: str, streamed: bool, behaviour: Behaviour) -> None:
    gateway = start()
    gateway.backend.always(behaviour)
    with asking(gateway, dialect, streamed):
        assert gateway.backend.wait_requests(1)
        time.sleep(0.1)
    assert_let_go(gateway)


@DIALECTS
def test_in_mid_stream_while_the_upstream_talks(start: Start, dialect: str) -> None:
    gateway = start()
    gateway.backend.always(stream("text", pause_s=0.05))
    with asking(gateway, dialect, True) as client:
        assert b"200 OK" in client.recv(65536)
    assert_let_go(gateway)


@DIALECTS
@MODES
def test_in_mid_stream_while_the_upstream_is_silent(start: Start, dialect: str, streamed: bool) -> None:
    gateway = start()
    gateway.backend.always(stream("text", stall_after=8))
    with asking(gateway, dialect, streamed):
        assert gateway.backend.wait_requests(1)
        time.sleep(0.1)
    assert_let_go(gateway)


@DIALECTS
@MODES
def test_during_failover(start: Start, dialect: str, streamed: bool) -> None:
    gateway = start()
    gateway.backend.script(bad_gateway(), Never())
    with asking(gateway, dialect, streamed):
        assert gateway.backend.wait_requests(2)
        time.sleep(0.1)
    assert_let_go(gateway, attempts=2)


@DIALECTS
def test_while_the_headers_wait_for_output(start: Start, dialect: str) -> None:
    """The reply's headers left for want of output; the answer was still to come."""
    gateway = start(commit_wait_s=0.03)
    gateway.backend.always(stream("text", stall_after=2))
    with asking(gateway, dialect, True) as client:
        assert b"200 OK" in client.recv(65536)
    assert_let_go(gateway)


@DIALECTS
def test_a_client_that_does_not_read(start: Start, dialect: str) -> None:
    gateway = start()
    gateway.backend.always(stream("text", huge_bytes=8_000_000, pause_s=0.01))
    with asking(gateway, dialect, True):
        assert gateway.backend.wait_requests(1)
        time.sleep(0.3)
    assert gateway.backend.wait_closed(2)
    assert wait_until(lambda: gateway.lines())
    assert gateway.last_line("/v1/")["status"] == "499"


def test_in_the_middle_of_its_request(start: Start) -> None:
    gateway = start()
    url = urlsplit(gateway.url)
    with socket.create_connection((url.hostname, url.port)) as client:
        head = f"POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
        client.sendall(head.encode() + b'content-length: 99\r\n\r\n{"model"')
    assert gateway.last_line()["status"] == "499"
    assert gateway.backend.requests == []


def test_a_request_for_the_models(start: Start) -> None:
    gateway = start()
    gateway.backend.script(Http(200, b"{}", delay_s=3), path="/backend-api/codex/models")
    url = urlsplit(gateway.url)
    with socket.create_connection((url.hostname, url.port)) as client:
        client.sendall(f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n\r\n".encode())
        assert gateway.backend.wait_requests(1)
        time.sleep(0.1)
    assert gateway.backend.wait_closed(1)
    assert gateway.last_line()["status"] == "499"
