"""Which account serves which conversation, over requests, dialects, hints and faults."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.fakes.codex_behaviours import bad_gateway, rate_limited, usage_limit
from tests.fakes.tokens import jwt
from tests.journeys.conftest import Start
from tests.journeys.gateway import TOKENS
from tests.journeys.seen import PATHS, ask, body_of

DIALECTS = pytest.mark.parametrize("dialect", ["chat", "responses"])


@DIALECTS
def test_turns_of_a_conversation_meet_one_account(start: Start, dialect: str) -> None:
    gateway = start()
    name = "messages" if dialect == "chat" else "input"
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yo"},
        {"role": "user", "content": "Go"},
    ]
    for count in (1, 3):
        gateway.send("POST", PATHS[dialect], json={"model": "gpt-5.5", name: turns[:count]}).raise_for_status()
    assert len(set(gateway.accounts())) == 1
    keys = {request.json["prompt_cache_key"] for request in gateway.backend.generations}
    assert keys == {request.headers["session-id"] for request in gateway.backend.generations}
    assert len(keys) == 1


def test_conversations_spread_over_the_accounts(start: Start) -> None:
    gateway = start()
    for number in range(16):
        ask(gateway, "chat", False, f"Conversation {number}")
    assert len(set(gateway.accounts())) == 3


@DIALECTS
@pytest.mark.parametrize("key", ["prompt_cache_key", "user"])
def test_a_key_of_the_caller_decides(start: Start, dialect: str, key: str) -> None:
    gateway = start()
    for text in ("one", "two", "three", "four", "five"):
        ask(gateway, dialect, False, text, **{key: "conversation 7"})
    assert len(set(gateway.accounts())) == 1


@DIALECTS
def test_a_session_header_decides(start: Start, dialect: str) -> None:
    gateway = start()
    for text in ("one", "two", "three", "four", "five"):
        headers = {"session_id": "0199-made-up"}
        gateway.send("POST", PATHS[dialect], headers=headers, json=body_of(dialect, text)).raise_for_status()
    assert len(set(gateway.accounts())) == 1


def test_every_instance_chooses_alike(start: Start) -> None:
    texts = [f"Conversation {number}" for number in range(6)]
    first = start()
    for text in texts:
        ask(first, "responses", False, text)
    second = start(chatgpt_access_tokens=",".join(reversed(TOKENS)))
    for text in texts:
        ask(second, "responses", False, text)
    assert first.accounts() == second.accounts()


def test_a_resting_account_is_passed_over_and_comes_back(start: Start) -> None:
    clock = [time.time()]
    gateway = start(now=lambda: clock[0])
    gateway.backend.script(usage_limit(60))
    for _ in range(2):
        ask(gateway, "chat", False)
    clock[0] += 70
    ask(gateway, "chat", False)
    first, second, *later = gateway.accounts()
    assert later == [second, first]


def test_a_used_up_window_rests_its_account(start: Start) -> None:
    gateway = start()
    ask(gateway, "chat", False)
    first = gateway.accounts()[0]
    gateway.backend.accounts[str(first)].primary_percent = 100
    ask(gateway, "chat", False)
    assert gateway.usable() == 2
    ask(gateway, "chat", False)
    assert gateway.accounts()[:2] == [first, first] and gateway.accounts()[2] != first


def test_models_with_a_limit_of_their_own_rest_alone(start: Start) -> None:
    gateway = start(chatgpt_access_tokens=",".join(jwt(account, plan="pro") for account in ("acct-1", "acct-2")))
    gateway.backend.script(rate_limited("30s"))
    ask(gateway, "chat", False, model="gpt-5.3-codex-spark")
    assert gateway.usable() == 2
    ask(gateway, "chat", False)
    assert gateway.accounts()[2] == gateway.accounts()[0]


@DIALECTS
def test_all_resting_tries_the_one_that_wakes_first(start: Start, dialect: str) -> None:
    gateway = start()
    waits = {"acct-1": 50, "acct-2": 20, "acct-3": 40}
    for account, wait in waits.items():
        gateway.backend.always(usage_limit(wait), account=account)
    ask(gateway, dialect, False)
    seen = ask(gateway, dialect, True)
    assert gateway.accounts()[3:] == ["acct-2"]
    assert seen.status == 429
    assert int(seen.headers["retry-after"]) in range(18, 22)


def test_encrypted_reasoning_is_dropped_when_the_account_changes(start: Start) -> None:
    gateway = start()
    sdk: Any = gateway.sdk().responses
    fields: Any = {"model": "gpt-5.5", "reasoning": {"summary": "auto"}, "prompt_cache_key": "one"}
    first = sdk.create(input="Think", **fields)
    gateway.backend.script(bad_gateway())
    turn = [{"role": "user", "content": "Think"}, *first.output, {"role": "user", "content": "More"}]
    assert sdk.create(input=turn, **fields).output_text == "You said: More"
    kinds = [[item["type"] for item in request.json["input"]] for request in gateway.backend.generations]
    assert ["reasoning" in each for each in kinds] == [False, True, False]


def test_reasoning_of_another_account_is_left_out_on_the_same_one(start: Start) -> None:
    gateway = start()
    fields: Any = {"model": "gpt-5.5", "reasoning": {"summary": "auto"}}
    first = gateway.sdk().responses.create(input="Think", prompt_cache_key="one", **fields)
    owner = gateway.accounts()[0]
    turn: Any = [{"role": "user", "content": "Think"}, *first.output, {"role": "user", "content": "More"}]
    for number in range(9):
        gateway.sdk().responses.create(input=turn, prompt_cache_key=f"other {number}", **fields)
    strangers = [request for request in gateway.backend.generations if request.account != owner]
    assert strangers and strangers[0].status == 400
    assert strangers[1].account == strangers[0].account and strangers[1].status == 200
    assert gateway.usable() == 3
