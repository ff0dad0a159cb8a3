"""Through real proxies: whose connection goes where, and what the client learns when a proxy is at fault."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.fakes.codex_behaviours import stream
from tests.fakes.proxies import HttpProxy, Socks5Proxy
from tests.fakes.serving import LoopThread, loopback_socket
from tests.journeys.conftest import Start
from tests.journeys.gateway import ACCOUNTS, TOKENS, Gateway
from tests.journeys.seen import PATHS, ask, body_of

LOGIN = "proxy-user-canary:proxy-password-canary-QxZw"
Proxy = HttpProxy | Socks5Proxy
KINDS = pytest.mark.parametrize("kind", [HttpProxy, Socks5Proxy])
MODES = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])


@pytest.fixture
def proxies() -> Iterator[Any]:
    """Makes proxies that run in a thread."""
    with LoopThread() as thread, contextlib.ExitStack() as stack:

        def make(kind: type[Proxy], login: str | None = LOGIN) -> Proxy:
            proxy = kind(login)
            thread.run(proxy.__aenter__())
            stack.callback(lambda: thread.run(proxy.__aexit__()))
            return proxy

        yield make


def accounts(**proxy_of: str) -> str:
    """CHATGPT_ACCOUNTS with a proxy for some: `acct_1="http://…"`."""
    entries = [{"access_token": token} for token in TOKENS]
    for account, entry in zip(ACCOUNTS, entries, strict=True):
        if account.replace("-", "_") in proxy_of:
            entry["proxy"] = proxy_of[account.replace("-", "_")]
    return msgspec.json.encode(entries).decode()


def served_by(gateway: Gateway, streamed: bool) -> str | None:
    seen = ask(gateway, "chat", streamed)
    assert (seen.said, seen.ending) == ("You said: Hi", "good"), seen.raw
    return gateway.accounts()[-1]


@KINDS
@MODES
def test_global_proxy_serves_every_account(start: Start, proxies: Any, kind: type[Proxy], streamed: bool) -> None:
    proxy = proxies(kind)
    gateway = start(proxy=proxy.url, secrets=(LOGIN, *LOGIN.split(":")))
    served_by(gateway, streamed)
    assert proxy.connections == 1
    assert proxy.targets == [gateway.backend.url.removeprefix("http://")]
    assert gateway.backend.accepted == 1


@KINDS
@MODES
def test_own_proxy_wins_over_the_global_one(start: Start, proxies: Any, kind: type[Proxy], streamed: bool) -> None:
    own, common = proxies(kind), proxies(HttpProxy, None)
    config = accounts(**dict.fromkeys(("acct_1", "acct_2", "acct_3"), own.url))
    gateway = start(proxy=common.url, chatgpt_access_tokens="", chatgpt_accounts=config)
    served_by(gateway, streamed)
    assert (own.connections, common.connections) == (1, 0)


def test_each_account_goes_its_own_way(start: Start, proxies: Any) -> None:
    first, second, common = proxies(HttpProxy), proxies(Socks5Proxy), proxies(HttpProxy, None)
    config = accounts(acct_1=first.url, acct_2=second.url)
    gateway = start(proxy=common.url, chatgpt_access_tokens="", chatgpt_accounts=config)
    for number in range(12):
        ask(gateway, "responses", False, f"Conversation {number}")
    assert set(gateway.accounts()) == set(ACCOUNTS)
    assert all(proxy.connections for proxy in (first, second, common))
    used = {account: gateway.accounts().count(account) for account in ACCOUNTS}
    assert first.connections <= used["acct-1"] and second.connections <= used["acct-2"]


@MODES
def test_proxy_that_is_down_fails_over(start: Start, streamed: bool) -> None:
    with loopback_socket() as bound:  # bound and not listening: connections are refused
        down = f"http://127.0.0.1:{bound.getsockname()[1]}"
        gateway = start(chatgpt_access_tokens="", chatgpt_accounts=accounts(acct_1=down, acct_2=down))
        assert served_by(gateway, streamed) == "acct-3"
        assert gateway.usable() == 3


@MODES
def test_all_proxies_down(start: Start, streamed: bool) -> None:
    with loopback_socket() as bound:
        gateway = start(proxy=f"http://{LOGIN}@127.0.0.1:{bound.getsockname()[1]}", secrets=LOGIN.split(":"))
        seen = ask(gateway, "chat", streamed)
    assert (seen.status, seen.code) == (502, "upstream_unreachable")
    assert "canary" not in seen.raw
    assert gateway.last_line()["attempts"] == "4"


@KINDS
def test_wrong_login_at_the_proxy(start: Start, proxies: Any, kind: type[Proxy]) -> None:
    proxy = proxies(kind)
    wrong = proxy.url.replace("password", "passport")
    gateway = start(proxy=wrong, secrets=("proxy-passport-canary-QxZw",))
    seen = ask(gateway, "responses", True)
    assert seen.status == 502
    assert "canary" not in seen.raw
    assert gateway.backend.requests == []


@KINDS
def test_stream_through_a_proxy_ends_with_its_client(start: Start, proxies: Any, kind: type[Proxy]) -> None:
    gateway = start(proxy=proxies(kind).url)
    gateway.backend.always(stream("text", pause_s=0.02, stall_after=8))
    headers = {"authorization": f"Bearer {gateway.key}"}
    body = body_of("chat", stream=True)
    with gateway.http.stream("POST", gateway.url + PATHS["chat"], json=body, headers=headers) as answer:
        next(answer.iter_raw())
    assert gateway.backend.wait_closed(1)
    assert gateway.backend.requests[0].client_left
