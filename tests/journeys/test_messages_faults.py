"""The Messages API where accounts fail, and where settings say who answers: each test with a gateway of its own."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.fakes.codex_behaviours import overloaded, stream, usage_limit
from tests.journeys.conftest import Start
from tests.journeys.gateway import TOKENS
from tests.journeys.messages_sdk import ask, sdk, streamed, text_of


def test_without_a_map_a_claude_is_the_best_of_the_account(start: Start) -> None:
    gateway = start()
    with sdk(gateway) as client:
        assert ask(client, model="claude-opus-4-8").model == "claude-opus-4-8"
    assert gateway.backend.generations[-1].json["model"] == "gpt-5.6-sol"
    gateway = start(default_model="gpt-5.5")
    with sdk(gateway) as client:
        ask(client, model="claude-opus-4-8")
    assert gateway.backend.generations[-1].json["model"] == "gpt-5.5"


def test_either_header_carries_a_key_or_a_token_of_the_callers_own(start: Start) -> None:
    gateway = start(access_token_prefix="private-prefix-")
    for options in ({"api_key": gateway.key}, {"api_key": None, "auth_token": gateway.key}):
        with sdk(gateway, **options) as client:
            assert text_of(ask(client, model="gpt-5.5")) == "You said: Hi"
    with sdk(gateway, api_key=f"private-prefix-{TOKENS[2]}") as client:
        ask(client, model="gpt-5.5")
    assert gateway.accounts()[-1] == "acct-3"


@pytest.mark.parametrize("answer", [ask, streamed])
def test_an_account_at_its_limit_is_never_seen(start: Start, answer: Any) -> None:
    gateway = start()
    gateway.backend.script(usage_limit(60))
    with sdk(gateway) as client:
        assert text_of(answer(client, model="gpt-5.5")) == "You said: Hi"
    assert len(set(gateway.accounts())) == 2


@pytest.mark.parametrize("answer", [ask, streamed])
def test_all_accounts_at_their_limit(start: Start, answer: Any) -> None:
    gateway = start()
    gateway.backend.always(usage_limit(40))
    with sdk(gateway) as client, pytest.raises(anthropic.RateLimitError) as caught:
        answer(client, model="gpt-5.5")
    assert caught.value.type == "rate_limit_error"
    assert 30 <= int(caught.value.response.headers["retry-after"]) <= 40


def test_an_upstream_in_trouble_is_overloaded(start: Start) -> None:
    gateway = start()
    gateway.backend.always(overloaded())
    with sdk(gateway) as client, pytest.raises(anthropic.APIStatusError) as caught:
        ask(client, model="gpt-5.5")
    assert caught.value.type in ("overloaded_error", "api_error")
    assert caught.value.response.headers["x-should-retry"] == "true"


def test_silence_is_filled_with_pings_that_no_client_sees(start: Start) -> None:
    gateway = start(keep_alive_s=0.05)
    gateway.backend.script(stream("text", pause_s=0.01, delay_s=0.2), stream("text", stall_after=5))
    body: Any = {"model": "gpt-5.5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    with sdk(gateway) as client:
        assert text_of(streamed(client, model="gpt-5.5"))
    headers = {"x-api-key": gateway.key}
    with gateway.http.stream("POST", f"{gateway.url}/v1/messages", json=body, headers=headers) as answer:
        seen = b""
        for chunk in answer.iter_bytes():
            seen += chunk
            if b"event: ping" in seen:
                break
    assert seen.endswith(b'event: ping\ndata: {"type":"ping"}\n\n')
