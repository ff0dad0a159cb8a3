"""Rows of the fault table that take more than one request or another world to show."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from lib.settings import Settings
from lib.web.app import create_app
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.codex_behaviours import Drop, Http, Scene, Stream, bad_gateway, http_error, stream, usage_limit
from tests.fakes.codex_http import Exchange
from tests.fakes.serving import loopback_socket, serving
from tests.fakes.tokens import jwt
from tests.journeys.conftest import Start
from tests.journeys.fault_records import DIALECTS as NAMES
from tests.journeys.fault_records import pattern
from tests.journeys.gateway import KEY, TOKENS, Host
from tests.journeys.seen import PATHS, ask, body_of, told

DIALECTS = pytest.mark.parametrize("dialect", NAMES)
MODES = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])


@contextlib.contextmanager
def full_listener() -> Iterator[str]:
    """An address whose connections are neither accepted nor refused: its queue is full."""
    with contextlib.ExitStack() as stack:
        bound = stack.enter_context(loopback_socket())
        bound.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(bound.getsockname())
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    with loopback_socket() as bound:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextlib.contextmanager
def unknown_host() -> Iterator[str]:
    yield "http://nowhere.invalid"


@DIALECTS
@MODES
@pytest.mark.parametrize(
    ("address", "wait_s", "status", "code"),
    [
        (refusing, 2, 502, "upstream_unreachable"),
        (unknown_host, 2, 502, "upstream_unreachable"),
        (full_listener, 0.1, 504, "upstream_timeout"),
    ],
    ids=["F1 refused", "F1 DNS", "F2 timeout"],
)
def test_no_connection(
    start: Start, dialect: str, streamed: bool, address: Any, wait_s: float, status: int, code: str
) -> None:
    with address() as url:
        gateway = start(chatgpt_base_url=url, connect_timeout_s=wait_s)
        seen = ask(gateway, dialect, streamed)
    assert (seen.status, seen.code, seen.headers.get("x-should-retry")) == (status, told(dialect, status, code), "true")
    assert pattern(gateway.last_line()["accounts"].split(",")) == "aabc"
    assert gateway.usable() == 3


@DIALECTS
def test_f1_no_tls(start: Start, host: Host, dialect: str) -> None:
    gateway = start(chatgpt_base_url=host.url.replace("http://", "https://"))
    seen = ask(gateway, dialect, True)
    assert (seen.status, seen.code) == (502, told(dialect, 502, "upstream_unreachable"))
    assert gateway.usable() == 3


@DIALECTS
@MODES
def test_f34_no_account(start: Start, dialect: str, streamed: bool) -> None:
    gateway = start(chatgpt_access_tokens="", access_token_prefix="private-prefix-")
    seen = ask(gateway, dialect, streamed)
    assert (seen.status, seen.code) == (503, told(dialect, 503, "no_account_configured"))
    assert "CHATGPT_ACCESS_TOKENS" in seen.raw


@DIALECTS
@MODES
def test_f34_every_token_expired(start: Start, dialect: str, streamed: bool) -> None:
    expired = ",".join(jwt(account, expires_in_s=-400) for account in ("acct-1", "acct-2"))
    gateway = start(chatgpt_access_tokens=expired)
    seen = ask(gateway, dialect, streamed)
    assert (seen.status, seen.code) == (401, told(dialect, 401, "token_expired"))
    assert "a1, a2" in seen.raw
    assert gateway.backend.requests == [] and gateway.usable() == 0


@DIALECTS
@MODES
def test_f34_every_account_rests(start: Start, dialect: str, streamed: bool) -> None:
    """Resting accounts are tried once more, the one that is nearest to its reset; the wait is the shortest."""
    gateway = start()
    for account, wait in (("acct-1", 3000), ("acct-2", 30), ("acct-3", 300)):
        gateway.backend.always(usage_limit(wait), account=account)
    ask(gateway, "chat", False)
    before = len(gateway.accounts())
    seen = ask(gateway, dialect, streamed)
    assert (seen.status, gateway.last_line("/v1/")["error"]) == (429, "rate_limit_exceeded")
    assert 20 <= int(seen.headers["retry-after"]) <= 30
    assert gateway.accounts()[before] == "acct-2" and gateway.usable() == 0


@pytest.mark.parametrize(("accounts", "attempts"), [(2, 2), (3, 3), (5, 3)])
def test_f3_refused_tokens_are_not_used_again(start: Start, accounts: int, attempts: int) -> None:
    """Whatever the number of accounts: who is refused is out until its token changes."""
    gateway = start(chatgpt_access_tokens=",".join(jwt(f"acct-{number}") for number in range(accounts)))
    gateway.backend.always(http_error(401, {"detail": "Unauthorized"}))
    assert ask(gateway, "chat", False).status == 401
    assert len(gateway.backend.requests) == attempts
    assert gateway.usable() == accounts - attempts


def test_f39_connection_that_went_stale_is_replaced_unseen(start: Start) -> None:
    gateway = start()
    ask(gateway, "responses", False)
    time.sleep(0.05)  # the end of the body follows the terminal event, and frees the connection
    gateway.backend.script(Drop())
    assert ask(gateway, "responses", False).ending == "good"
    connections = [request.connection for request in gateway.backend.generations]
    assert connections == [1, 1, 2]
    assert gateway.last_line("/responses")["attempts"] == "1"


@dataclass(frozen=True, slots=True)
class HangsUp:
    """A good answer; later the idle connection is closed."""

    after_s: float

    async def play(self, exchange: Exchange, scene: Scene) -> None:
        await Stream().play(exchange, scene)
        await asyncio.sleep(self.after_s)
        exchange.close()


def test_f39_connection_that_was_closed_while_the_process_was_frozen(start: Start, host: Host) -> None:
    gateway = start()
    gateway.backend.script(HangsUp(0.1))
    ask(gateway, "responses", False)
    host.loop.call_soon_threadsafe(time.sleep, 0.25)
    assert ask(gateway, "responses", True).ending == "good"
    assert [request.connection for request in gateway.backend.generations] == [1, 2]


def test_f39_event_loop_that_was_replaced() -> None:
    with CodexBackend() as backend:
        fixed: Any = {"auth_tokens": KEY, "chatgpt_access_tokens": TOKENS[0], "chatgpt_base_url": backend.url}
        app = create_app(Settings(_env_file=None, **fixed))
        for _ in range(3):
            with serving(app, lifespan="off") as url:
                options: Any = {"headers": {"authorization": f"Bearer {KEY}"}, "verify": False, "trust_env": False}
                answers = [httpx.post(url + PATHS["chat"], json=body_of("chat"), **options) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 200]
        loops = [{request.connection for request in backend.generations[at : at + 2]} for at in (0, 2, 4)]
        assert not (loops[0] & loops[1] or loops[1] & loops[2] or loops[0] & loops[2])


@pytest.mark.parametrize(("skew_s", "status"), [(280, 200), (320, 401)])
def test_f42_clock_skew(start: Start, skew_s: int, status: int) -> None:
    token = jwt("acct-1", expires_in_s=-skew_s)
    with CodexBackend(now=lambda: time.time() - 400) as backend:
        gateway = start(backend=backend, chatgpt_base_url=backend.url, chatgpt_access_tokens=token)
        assert ask(gateway, "chat", False).status == status


def test_no_attempt_begins_after_the_budget(start: Start) -> None:
    gateway = start(failover_budget_s=0.05)
    gateway.backend.script(Http(502, b"", delay_s=0.04), Http(502, b"", delay_s=0.04))
    seen = ask(gateway, "chat", True)
    assert (seen.status, len(gateway.backend.requests)) in ((502, 2), (504, 2))


def test_number_of_accounts_for_one_request(start: Start) -> None:
    gateway = start(max_attempts=2)
    gateway.backend.always(bad_gateway())
    ask(gateway, "chat", True)
    assert len(gateway.backend.requests) == 2


@DIALECTS
def test_silence_is_bridged(start: Start, dialect: str) -> None:
    gateway = start(keep_alive_s=0.05, idle_timeout_s=0.3)
    gateway.backend.always(stream("text", pause_s=0.005, stall_after=8))
    seen = ask(gateway, dialect, True)
    assert seen.code == told(dialect, 504, "upstream_stalled")
    assert 3 <= seen.raw.count("event: ping\n" if dialect == "messages" else ": keep-alive\n\n") <= 6


@DIALECTS
def test_headers_leave_while_the_model_thinks(start: Start, dialect: str) -> None:
    """After `commit_wait_s`; another account may still take over, because no content has left."""
    gateway = start(commit_wait_s=0.02, idle_timeout_s=0.2)
    gateway.backend.script(stream("text", stall_after=2))
    headers = {"authorization": f"Bearer {gateway.key}"}
    body = body_of(dialect, stream=True)
    started = time.monotonic()
    with gateway.http.stream("POST", gateway.url + PATHS[dialect], json=body, headers=headers) as answer:
        assert time.monotonic() - started < 0.15
        text = "".join(answer.iter_text())
    assert "error" not in text.replace('"error":null', "")
    assert len(gateway.backend.requests) == 2
