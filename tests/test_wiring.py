"""Settings → objects: which upstream answers whom."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from lib.errors import GatewayError
from lib.prompted.policy import EnforcedUpstream
from lib.prompted.toolless import ToollessUpstream
from lib.prompted.wrap import PromptedUpstream
from lib.relay import Relay
from lib.settings import Settings
from lib.types import Caller, Trace
from lib.wired_upstreams import uses_demo
from lib.wiring import Gateway

KEY = Caller("k")
TOKEN = Caller("k", token="at-own", account_id="acct-own")


def settings(**given: str) -> Settings:
    return Settings(_env_file=None, **given)


def wired(**given: str) -> Relay:
    return Gateway(settings(**given), time.time).relay


def route_of(relay: Relay, caller: Caller) -> tuple[str, str | None]:
    async def main() -> tuple[str, str | None]:
        route = await relay._router.pick("m", caller)
        try:
            lease = await route.credentials.lease(affinity="", model="m", tried=())
        except GatewayError as error:
            return route.upstream.name, error.code
        return route.upstream.name, lease.headers.get("chatgpt-account-id")

    return asyncio.run(main())


def test_nothing_configured_means_the_demo() -> None:
    assert uses_demo(settings(auth_tokens="sk-1"))
    assert route_of(wired(auth_tokens="sk-1"), KEY)[0] == "demo"


def test_accounts_make_a_pool() -> None:
    relay = wired(chatgpt_accounts='[{"access_token": "at-1", "account_id": "acct-1"}]')
    assert route_of(relay, KEY) == ("codex", "acct-1")
    assert relay.accounts() == (1, 1)


def test_a_broken_account_list_is_no_wish_for_the_demo(tmp_path: Path) -> None:
    for broken in ({"chatgpt_accounts": "{not json"}, {"vercel_config_file": str(tmp_path / "missing.yaml")}):
        assert not uses_demo(settings(**broken))
        assert route_of(wired(**broken), KEY) == ("codex", "no_account_configured")


def test_a_gateway_for_passthrough_alone_has_an_empty_pool() -> None:
    relay = wired(access_token_prefix="private-prefix-")
    assert route_of(relay, KEY) == ("codex", "no_account_configured")
    assert route_of(relay, TOKEN) == ("codex", "acct-own")


@pytest.mark.parametrize(
    ("way", "kind"), [("native", EnforcedUpstream), ("prompted", PromptedUpstream), ("off", ToollessUpstream)]
)
def test_tools_are_done_as_configured(way: str, kind: type) -> None:
    relay = wired(chatgpt_access_tokens="at-1", chatgpt_tools=way)
    assert isinstance(asyncio.run(relay._router.pick("m", KEY)).upstream, kind)


def test_a_passthrough_token_never_meets_the_demo() -> None:
    assert route_of(wired(auth_tokens="sk-1"), TOKEN) == ("codex", "acct-own")


@pytest.mark.parametrize("wrong", [{"proxy": "nonsense"}, {"chatgpt_base_url": "ftp://example.com"}])
def test_an_unusable_way_out_lets_nothing_out(wrong: dict[str, str]) -> None:
    relay = wired(chatgpt_access_tokens="at-1", **wrong)
    with pytest.raises(GatewayError) as caught:
        asyncio.run(relay.models(KEY, Trace("r", 0.0)))
    assert caught.value.status == 503 and next(iter(wrong)).upper() in caught.value.message


@pytest.mark.parametrize(
    ("given", "spoken"),
    [
        ({}, {"/chat/completions", "/responses"}),
        ({"openai_wire": "responses"}, {"/responses"}),
        ({"openai_base_url": "https://other.example/v1"}, {"/chat/completions"}),
        ({"openai_tools": "prompted"}, {"/chat/completions", "/responses"}),
    ],
)
def test_an_upstream_gets_the_dialects_that_it_speaks_as_they_are(given: dict[str, str], spoken: set[str]) -> None:
    relay = wired(openai_api_key="sk-1", **given)
    assert {path for path in ("/chat/completions", "/responses") if relay._router.forwards(path, KEY)} == spoken
