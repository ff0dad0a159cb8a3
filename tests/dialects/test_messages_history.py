from __future__ import annotations

from typing import Any

import pytest

from lib.errors import InvalidRequest
from tests.dialects.chat_streams import call, message, output_text, reasoning, response
from tests.dialects.messages_streams import THINKING, renderer, request

USE = {"type": "tool_use", "id": "c1", "name": "look", "input": {"b": 1, "a": "ä"}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "42"}


def said(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def put(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def items(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    return request(messages=list(messages)).input


def refusal(*messages: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        request(messages=list(messages))
    return caught.value


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_a_tool_turn_becomes_a_call_and_its_output_in_order() -> None:
    found = items(put(words("Go.")), said(words("Let me see."), USE), put(RESULT, words("And now?")))
    assert found == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"b":1,"a":"ä"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And now?"}]},
    ]


def test_a_message_keeps_its_parts_together_and_loses_empty_text_of_the_model() -> None:
    found = items(put(words("a"), words("b")), said(words(""), words("c"), words("d")), put(words("")))
    assert [[part["text"] for part in item["content"]] for item in found] == [["a", "b"], ["c", "d"], [""]]


def test_system_messages_stay_where_they_are() -> None:
    found = items(put(words("a")), {"role": "system", "content": "Mind this."}, put(words("b")))
    assert [item["role"] for item in found] == ["user", "system", "user"]
    assert found[1]["content"] == [{"type": "input_text", "text": "Mind this."}]


def test_thinking_of_ours_becomes_the_reasoning_item_that_it_came_from() -> None:
    sealed = {**reasoning("Hm."), "encrypted_content": "gAAAsealed"}
    answer = renderer(**THINKING).body(response([sealed, message(output_text("Yes.")), call("c1", "{}")]))
    found = items(put(words("a")), {"role": "assistant", "content": answer["content"]}, put(RESULT))
    assert [item["type"] for item in found[1:]] == ["reasoning", "message", "function_call", "function_call_output"]
    assert found[1] == {"type": "reasoning", "summary": [], "encrypted_content": "gAAAsealed"}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM"},
        {"type": "thinking", "thinking": "Hm.", "signature": "reasoning.v1:"},
        {"type": "thinking", "thinking": "Hm."},
        {"type": "redacted_thinking", "data": "EmwKAhgB"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "mcp_tool_use", "id": "m1"},
        {"type": "compaction", "content": None},
    ],
    ids=lambda block: str(block)[:50],
)
def test_what_only_another_service_can_read_is_left_behind(block: dict[str, Any]) -> None:
    assert len(items(put(words("a")), said(block, words("b")), put(words("c")))) == 3


def test_a_compaction_stands_for_what_it_sums_up() -> None:
    found = items(put(words("a")), said({"type": "compaction", "content": "So far."}), put(words("c")))
    assert found[1]["content"] == [{"type": "output_text", "text": "So far."}]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("x", "messages[0]"),
        ({}, "messages[0].role"),
        ({"role": "tool", "content": "x"}, "messages[0].role"),
        ({"role": "user"}, "messages[0].content"),
        (put(), "messages[0].content"),
        ({"role": "user", "content": 7}, "messages[0].content"),
        (put("x"), "messages[0].content[0]"),
        (put({"text": "x"}), "messages[0].content[0].type"),
        (put({"type": "text"}), "messages[0].content[0].text"),
        (put({"type": "tool_use"}), "messages[0].content[0].type"),
        (put({"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
        (put(RESULT), "messages[0].content[0].tool_use_id"),
        (said({"type": "image"}), "messages[0].content[0].type"),
        (said({**USE, "id": ""}), "messages[0].content[0].id"),
        (said({**USE, "input": None}), "messages[0].content[0].input"),
        (said({**USE, "input": "{}"}), "messages[0].content[0].input"),
        (said(), "messages"),
        ({"role": "system", "content": [{"type": "image"}]}, "messages[0].content[0].type"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_named(message: Any, param: str) -> None:
    assert refusal(message).param == param


def test_no_messages_are_refused() -> None:
    assert refusal().code == "empty_array"


def test_an_answer_that_is_begun_cannot_be_continued_and_that_is_said() -> None:
    begun = request(messages=[put(words("a")), said(words("The answer is ("))])
    assert begun.asked["prefill"] == "prefill"
    assert "prefill" not in request(messages=[put(words("a")), said(USE)]).asked


def test_a_picture_of_the_model_goes_back_to_it_as_one() -> None:
    picture = "data:image/png;base64,iVBORw0KGgo="
    shown = words(f"Here: ![image]({picture})")
    found = items(put(words("Draw.")), said(shown, USE), put(RESULT), put(words("Make it blue.")))
    assert found[1]["content"] == [{"type": "output_text", "text": "Here: [image 1]"}]
    image = {"type": "input_image", "image_url": picture}
    assert found[-1]["content"] == [{"type": "input_text", "text": "Make it blue."}, image]
