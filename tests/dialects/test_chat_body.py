"""Whole answers: the message, ids, and the token counts."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from lib.errors import UpstreamError
from tests.dialects.chat_streams import call, message, output_text, reasoning, renderer, response


def body(*output: Any, **members: Any) -> dict[str, Any]:
    return renderer().body(response(list(output), **members))


def test_answer_has_the_shape_of_the_api() -> None:
    found = body(reasoning("Plan.", "", "Then."), message(output_text("Hi"), output_text(" there")))
    ChatCompletion.model_validate(found, strict=True)
    assert found == {
        "id": "chatcmpl-r1",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": "gpt-5.5",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hi there",
                    "refusal": None,
                    "annotations": [],
                    "reasoning_content": "Plan.\n\nThen.",
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 20,
            "completion_tokens": 12,
            "total_tokens": 32,
            "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 5,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }


@pytest.mark.parametrize(("tier", "shown"), [("default", True), ("priority", True), ("hyper", False), (5, False)])
def test_tier_is_told_if_chat_knows_it(tier: Any, shown: bool) -> None:
    assert ("service_tier" in body(service_tier=tier)) is shown


def test_calls_leave_the_content_null() -> None:
    choice = body(call("call_a", ""), call("call_b", '{"n": 1.0}'))["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_a", "type": "function", "function": {"name": "lookup", "arguments": "{}"}},
        {"id": "call_b", "type": "function", "function": {"name": "lookup", "arguments": '{"n": 1.0}'}},
    ]


def test_answer_without_output_has_empty_content() -> None:
    assert body()["choices"][0]["message"]["content"] == ""


@pytest.mark.parametrize("length", [40, 41, 69, 5000])
def test_call_id_is_short_and_always_the_same(length: int) -> None:
    ids = {body(call("c" * length, "{}"))["choices"][0]["message"]["tool_calls"][0]["id"] for _ in range(2)}
    (id,) = ids
    assert len(id) <= 40 and (id == "c" * length) is (length == 40)
    other = body(call("c" * (length - 1) + "d", "{}"))["choices"][0]["message"]["tool_calls"][0]["id"]
    assert other != id


@pytest.mark.parametrize("usage", [None, {}, {"output_tokens": 0, "input_tokens": None}, "many"])
def test_missing_usage_is_estimated_above_zero(usage: Any) -> None:
    found = body(message(output_text("é" * 10)), usage=usage)["usage"]
    assert (found["prompt_tokens"], found["completion_tokens"], found["total_tokens"]) == (3, 5, 8)


def test_estimate_counts_calls_and_their_history() -> None:
    found = body(call("call_a", "{" + "x" * 100 + "}"), usage=None)["usage"]
    assert found["completion_tokens"] == 27
    asked = [
        {"role": "user", "content": "1234"},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "1234"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "1234"},
    ]
    found = renderer(messages=asked).body(response(usage=None))["usage"]
    assert (found["prompt_tokens"], found["completion_tokens"]) == (3, 0)


def test_annotation_of_another_kind_is_left_out() -> None:
    file = {"type": "file_citation", "file_id": "file-1", "index": 0}
    broken = {"type": "url_citation", "url": "https://example.org/"}
    assert body(message(output_text("x", file, broken)))["choices"][0]["message"]["annotations"] == []


def test_tokens_written_to_the_cache_are_told_where_reported() -> None:
    details = {"cached_tokens": 1, "cache_write_tokens": 4}
    found = body(usage={"input_tokens": 9, "output_tokens": 1, "input_tokens_details": details})["usage"]
    assert found["prompt_tokens_details"] == {"cached_tokens": 1, "audio_tokens": 0, "cache_write_tokens": 4}
    assert found["total_tokens"] == 10


def test_items_without_a_place_in_a_chat_are_left_out() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}}
    assert body(search, message(output_text("x")), None, 5)["choices"][0]["message"]["content"] == "x"


def test_item_of_the_wrong_shape_is_the_upstreams_failure() -> None:
    with pytest.raises(UpstreamError):
        body({"type": "message", "content": "text"})
