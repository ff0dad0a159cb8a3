"""The canonical request as a Chat Completions body."""

from __future__ import annotations

from typing import Any

import pytest

from lib.canonical.request import LOGPROBS, CanonicalRequest
from lib.dialects import chat_request, messages_request, responses_request
from lib.upstreams.openai_chat_request import ACCEPTS, shape
from tests.fakes.openai_rules import check_chat
from tests.upstreams.openai_asking import TOOL, request, user

ENCRYPTED = "reasoning.encrypted_content"

OPENAI = "api.openai.com"


def body_of(asked: CanonicalRequest, host: str = "127.0.0.1") -> dict[str, Any]:
    """The body, which the API's rules take."""
    body = shape(asked, host).body
    check_chat(body)
    return body


def test_a_bare_request_says_nothing_more() -> None:
    assert body_of(request()) == {
        "model": "gpt-test",
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_chat_comes_out_as_it_went_in() -> None:
    asked = {
        "model": "gpt-test",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "And kind."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
                ],
            },
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"q":1}'}},
                    {"id": "c2", "type": "function", "function": {"name": "look_up", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
            {"role": "assistant", "content": None, "refusal": "I will not."},
            {"role": "user", "content": "Why?"},
        ],
        "tools": [{"type": "function", "function": {k: v for k, v in TOOL.items() if k != "type"}}],
        "tool_choice": {"type": "function", "function": {"name": "look_up"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}},
        "temperature": 0.3,
        "top_p": 0.4,
        "stop": ["x"],
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logit_bias": {"5": 1},
        "metadata": {"a": "b"},
        "store": True,
        "user": "u",
        "service_tier": "flex",
        "prediction": {"type": "content", "content": "x"},
        "verbosity": "low",
        "reasoning_effort": "low",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "max_completion_tokens": 50,
        "logprobs": True,
        "top_logprobs": 2,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    parsed = chat_request.parse(asked)
    assert body_of(parsed, OPENAI) == asked
    assert set(parsed.asked) <= ACCEPTS


def test_the_limit_has_the_name_that_the_host_knows() -> None:
    asked = request(parameters={"max_output_tokens": 5})
    for host in (OPENAI, "eu.api.openai.com", "me.openai.azure.com"):
        assert body_of(asked, host)["max_completion_tokens"] == 5
    assert body_of(asked, "api.deepseek.com")["max_tokens"] == 5
    assert "max_completion_tokens" not in body_of(asked, "notapi.openai.com.example")


def test_what_a_chat_has_no_place_for_is_neither_sent_nor_accepted() -> None:
    asked = {"model": "m", "max_tokens": 5, "top_k": 3, "messages": [{"role": "user", "content": "Hi"}]}
    parsed = messages_request.parse(asked)
    assert "top_k" not in body_of(parsed) and set(parsed.asked) - ACCEPTS == {"top_k"}
    assert not {"include", "truncation", "max_tool_calls"} & ACCEPTS


def test_log_probabilities_that_are_included_are_asked_for() -> None:
    included = responses_request.parse({"input": "Hi", "include": [LOGPROBS, ENCRYPTED], "top_logprobs": 2})
    body = body_of(included)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert set(included.asked) - ACCEPTS == {"include"}
    plain = body_of(responses_request.parse({"input": "Hi", "include": [ENCRYPTED], "top_logprobs": 2}))
    assert not {"logprobs", "top_logprobs"} & plain.keys()
    assert set(responses_request.parse({"input": "Hi", "include": [LOGPROBS]}).asked) <= ACCEPTS


@pytest.mark.parametrize(
    ("format", "sent"), [({"type": "json_object"}, {"type": "json_object"}), ({"type": "text"}, None), ({}, None)]
)
def test_formats_are_told_where_they_matter(format: dict[str, Any], sent: Any) -> None:
    assert body_of(request(user("json"), text={"format": format})).get("response_format") == sent
