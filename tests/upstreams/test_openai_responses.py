"""The canonical request as a Responses body: nearly itself."""

from __future__ import annotations

from typing import Any

import pytest

from lib.canonical.request import CanonicalRequest
from lib.dialects import chat_request, messages_request, responses_request
from lib.upstreams.openai_responses import ACCEPTS, shape, tier_of
from tests.fakes.openai_rules import check_responses
from tests.upstreams.openai_asking import TOOL, assistant, request, user


def body_of(asked: CanonicalRequest) -> dict[str, Any]:
    """The body, which the API's rules take."""
    body = shape(asked).body
    check_responses(body)
    return body


def test_a_bare_request_says_nothing_more() -> None:
    assert body_of(request()) == {"model": "gpt-test", "input": [user("Hello")], "store": False, "stream": True}


def test_all_that_a_caller_may_say_is_passed() -> None:
    asked = {
        "model": "gpt-test",
        "input": [user("Hello")],
        "instructions": "Be brief.",
        "temperature": 0.2,
        "top_p": 0.5,
        "max_output_tokens": 9,
        "max_tool_calls": 2,
        "metadata": {"a": "b"},
        "store": True,
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "truncation": "auto",
        "top_logprobs": 3,
        "include": ["message.output_text.logprobs"],
        "service_tier": "flex",
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {}}},
        "tools": [TOOL, {"type": "web_search"}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }
    parsed = responses_request.parse(asked)
    assert body_of(parsed) == {**asked, "stream": True}
    assert set(parsed.asked) <= ACCEPTS


def test_a_chat_s_automatic_summary_is_not_asked_for() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    assert "reasoning" not in body_of(chat_request.parse({"model": "m", "messages": messages}))
    parsed = chat_request.parse({"model": "m", "messages": messages, "reasoning_effort": "high", "stop": "x"})
    assert body_of(parsed)["reasoning"] == {"effort": "high"}
    assert set(parsed.asked) <= ACCEPTS


def test_the_log_probabilities_of_a_chat_are_included() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    parsed = chat_request.parse({"model": "m", "messages": messages, "logprobs": True, "top_logprobs": 2})
    body = body_of(parsed)
    assert (body["include"], body["top_logprobs"]) == (["message.output_text.logprobs"], 2)
    assert "logprobs" not in body and set(parsed.asked) <= ACCEPTS


def test_the_stop_sequences_of_a_chat_stay_with_the_gateway() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    assert "stop" not in body_of(chat_request.parse({"model": "m", "messages": messages, "stop": "x"}))


def test_thinking_of_the_messages_api_brings_its_encrypted_content() -> None:
    asked = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
    }
    body = body_of(messages_request.parse(asked))
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert body["include"] == ["reasoning.encrypted_content"]


def test_strict_is_said_where_leaving_it_out_meant_no() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    nested = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    assert (
        body_of(chat_request.parse({"model": "m", "messages": messages, "tools": [nested]}))["tools"][0]["strict"]
        is False
    )
    assert "strict" not in body_of(responses_request.parse({"model": "m", "input": "Hi", "tools": [TOOL]}))["tools"][0]


@pytest.mark.parametrize(
    ("asked", "tier"),
    [({}, None), ({"service_tier": "priority"}, "priority"), ({"service_tier": "scale"}, "scale")],
)
def test_tiers_of_every_name_are_passed(asked: dict[str, Any], tier: str | None) -> None:
    assert tier_of(responses_request.parse({"input": "Hi", **asked})) == tier


def test_items_keep_their_ids_and_lose_what_says_nothing() -> None:
    kept = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"}
    reasoning: dict[str, Any] = {**kept, "status": None}
    message = {**assistant("Yes"), "id": "msg_1", "status": None}
    message["content"] = [{"type": "output_text", "text": "Yes", "logprobs": None, "annotations": []}]
    custom = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "patch", "input": "x"}
    output = {"type": "custom_tool_call_output", "call_id": "c", "output": "done"}
    foreign = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    found = body_of(request(user("Hi"), reasoning, message, custom, output, foreign))["input"]
    assert found[1] == kept
    assert found[2]["id"] == "msg_1" and found[2]["content"] == [
        {"type": "output_text", "text": "Yes", "annotations": []}
    ]
    assert found[3:] == [custom, output, foreign]


def test_reasoning_that_nobody_can_read_is_left_out() -> None:
    empty = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}]}
    told = {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]}
    found = body_of(request(user("Hi"), empty, told))["input"][1:]
    assert found == [{"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]}]


def test_odd_names_are_shortened_the_same_everywhere() -> None:
    tool, call_id = {**TOOL, "name": "mcp.server/" + "x" * 90}, "c" * 99
    call = {"type": "function_call", "call_id": call_id, "name": tool["name"], "arguments": "{}"}
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": tool["name"]}]}
    body = body_of(request(user("Hi"), call, tools=[tool], tool_choice=choice))
    short = body["tools"][0]["name"]
    assert body["input"][1]["name"] == short == body["tool_choice"]["tools"][0]["name"] and len(short) <= 64
    assert body["input"][2] == {
        "type": "function_call_output",
        "call_id": body["input"][1]["call_id"],
        "output": "aborted",
    }
