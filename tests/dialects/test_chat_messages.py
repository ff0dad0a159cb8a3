"""Chat histories → canonical items."""

from __future__ import annotations

from typing import Any

import pytest

from lib.canonical.request import Item
from lib.dialects import chat_messages
from lib.errors import InvalidRequest

Message = dict[str, Any]


def parse_messages(messages: list[Any]) -> list[Item]:
    return chat_messages.parse_messages(messages, {})


def user(text: str = "hi") -> Message:
    return {"role": "user", "content": text}


def call(id: str = "call_1", name: str = "lookup", arguments: str = "{}") -> Message:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(*calls: Message, **members: Any) -> Message:
    return {"role": "assistant", "tool_calls": list(calls)} | members


def tool(id: str = "call_1", content: Any = "42") -> Message:
    return {"role": "tool", "tool_call_id": id, "content": content}


def refusal(*messages: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_messages(list(messages))
    return caught.value


def message(role: str, *parts: Item) -> Item:
    return {"type": "message", "role": role, "content": list(parts)}


def test_roles_stay_in_place() -> None:
    roles = ["system", "user", "developer", "user", "system"]
    items = parse_messages([{"role": role, "content": role} for role in roles])
    assert items == [message(role, {"type": "input_text", "text": role}) for role in roles]


def test_calls_follow_the_text_and_outputs_follow_their_order_of_arrival() -> None:
    items = parse_messages(
        [
            user(),
            assistant(call("a", arguments='{"n": 1.0}'), call("b"), content="Let me see."),
            tool("b", "second"),
            tool("a", "first"),
        ]
    )
    assert items[1:] == [
        message("assistant", {"type": "output_text", "text": "Let me see."}),
        {"type": "function_call", "call_id": "a", "name": "lookup", "arguments": '{"n": 1.0}'},
        {"type": "function_call", "call_id": "b", "name": "lookup", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "b", "output": "second"},
        {"type": "function_call_output", "call_id": "a", "output": "first"},
    ]


@pytest.mark.parametrize("members", [{"content": None}, {"content": ""}, {"content": []}, {}])
def test_assistant_message_with_nothing_but_calls_leaves_no_message(members: Message) -> None:
    items = parse_messages([user(), assistant(call(), **members)])
    assert [item["type"] for item in items] == ["message", "function_call"]


def test_members_of_other_services_are_left_behind() -> None:
    extra = {"name": "ann", "cache_control": {"type": "ephemeral"}, "reasoning_content": "hm", "reasoning_details": []}
    thinking = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"}]
    items = parse_messages([user() | extra, {"role": "assistant", "content": thinking} | extra])
    assert items == [
        message("user", {"type": "input_text", "text": "hi"}),
        message("assistant", {"type": "output_text", "text": "yes"}),
    ]


def test_refusal_of_the_model_is_a_part() -> None:
    items = parse_messages([user(), {"role": "assistant", "content": None, "refusal": "I can't."}])
    assert items[1] == message("assistant", {"type": "refusal", "refusal": "I can't."})


def test_custom_call_has_a_custom_output() -> None:
    patch = {"id": "c", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    items = parse_messages([user(), assistant(patch), tool("c", "done")])
    assert items[1:] == [
        {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
    ]


def test_images_in_tool_results_are_kept() -> None:
    content = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    items = parse_messages([user(), assistant(call()), tool(content=content)])
    assert items[-1]["output"] == [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "https://example.org/a.png"},
    ]


@pytest.mark.parametrize("content", [None, "", []])
def test_tool_that_returned_nothing_has_an_empty_output(content: Any) -> None:
    assert parse_messages([user(), assistant(call()), tool(content=content)])[-1]["output"] == ""


def test_same_id_twice_is_answered_in_order() -> None:
    patch = {"id": "x", "type": "custom", "custom": {"name": "patch", "input": ""}}
    items = parse_messages([user(), assistant(call("x"), patch), tool("x", "1"), tool("x", "2"), tool("x", "3")])
    assert [(item["type"], item["output"]) for item in items[3:]] == [
        ("function_call_output", "1"),
        ("custom_tool_call_output", "2"),
        ("custom_tool_call_output", "3"),
    ]


def test_tool_message_without_its_call_is_refused_with_the_id() -> None:
    error = refusal(user(), tool("call_9"))
    assert error.param == "messages[1].tool_call_id"
    assert "'call_9'" in error.message
    assert refusal(user(), tool("a"), assistant(call("a"))).param == "messages[1].tool_call_id"


@pytest.mark.parametrize("id", [None, "", 5, []])
def test_tool_message_without_an_id_is_refused(id: Any) -> None:
    assert refusal(user(), assistant(call()), {"role": "tool", "tool_call_id": id, "content": "x"}).param == (
        "messages[2].tool_call_id"
    )


def test_legacy_functions_are_matched_by_name() -> None:
    def legacy(name: str) -> Message:
        return {"role": "assistant", "content": None, "function_call": {"name": name, "arguments": "{}"}}

    def result(name: str, content: str) -> Message:
        return {"role": "function", "name": name, "content": content}

    items = parse_messages([user(), legacy("a"), legacy("b"), result("a", "A"), result("b", "B")])
    ids = [item["call_id"] for item in items[1:]]
    assert ids == ["call_legacy_1", "call_legacy_2", "call_legacy_1", "call_legacy_2"]
    assert [item["output"] for item in items[3:]] == ["A", "B"]
    assert refusal(user(), legacy("a"), result("a", "A"), result("a", "again")).param == "messages[3].name"
    assert refusal(user(), result("a", "A")).param == "messages[1].name"


@pytest.mark.parametrize(
    ("broken", "param"),
    [
        ("hi", "messages[1]"),
        (None, "messages[1]"),
        ([], "messages[1]"),
        ({}, "messages[1].role"),
        ({"role": "wizard", "content": "x"}, "messages[1].role"),
        ({"role": ["user"], "content": "x"}, "messages[1].role"),
        ({"role": "user"}, "messages[1].content"),
        ({"role": "user", "content": None}, "messages[1].content"),
        ({"role": "user", "content": []}, "messages[1].content"),
        ({"role": "user", "content": [[]]}, "messages[1].content[0]"),
        ({"role": "user", "content": ["hi"]}, "messages[1].content[0]"),
        ({"role": "assistant", "content": 5}, "messages[1].content"),
        ({"role": "assistant", "refusal": 5}, "messages[1].refusal"),
        ({"role": "assistant", "audio": {"id": "a"}}, "messages[1].audio"),
        ({"role": "assistant", "tool_calls": {}}, "messages[1].tool_calls"),
        (assistant("x"), "messages[1].tool_calls[0]"),  # type: ignore[arg-type]
        (assistant({"id": "a", "type": "magic"}), "messages[1].tool_calls[0].type"),
        (assistant({"id": "a", "type": []}), "messages[1].tool_calls[0].type"),
        (assistant(call("")), "messages[1].tool_calls[0].id"),
        (assistant(call(5)), "messages[1].tool_calls[0].id"),  # type: ignore[arg-type]
        (assistant({"id": "a", "type": "function"}), "messages[1].tool_calls[0].function"),
        (assistant({"id": "a", "function": []}), "messages[1].tool_calls[0].function"),
        (assistant(call(name="")), "messages[1].tool_calls[0].function.name"),
        (assistant(call(arguments={})), "messages[1].tool_calls[0].function.arguments"),  # type: ignore[arg-type]
        (assistant(call(arguments=None)), "messages[1].tool_calls[0].function.arguments"),  # type: ignore[arg-type]
        ({"role": "assistant", "function_call": "x"}, "messages[1].function_call"),
        ({"role": "assistant", "function_call": {}}, "messages[1].function_call.name"),
        ({"role": "function", "content": "x"}, "messages[1].name"),
    ],
)
def test_broken_message_is_refused_by_its_place(broken: Any, param: str) -> None:
    assert refusal(user(), broken).param == param


def test_history_without_any_content_is_refused() -> None:
    assert refusal({"role": "assistant", "content": ""}).param == "messages"


def test_many_legacy_calls_are_matched_in_linear_time() -> None:
    ask = [
        {"role": "assistant", "function_call": {"name": name, "arguments": ""}} for name in "ab" for _ in range(20_000)
    ]
    answer = [{"role": "function", "name": "a", "content": ""}] * 20_000
    assert len(parse_messages(ask + answer)) == 60_000


PICTURE = "data:image/png;base64,iVBORw0KGgo="
SHOWN = f"![image]({PICTURE})"


@pytest.mark.parametrize("content", [f"Here:\n\n{SHOWN}", [{"type": "text", "text": f"Here:\n\n{SHOWN}"}]])
def test_picture_of_the_model_goes_back_to_it_as_one(content: Any) -> None:
    items = parse_messages([user("Draw."), assistant(content=content), user("Make it blue.")])
    assert items[1] == message("assistant", {"type": "output_text", "text": "Here:\n\n[image 1]"})
    image = {"type": "input_image", "image_url": PICTURE}
    assert items[2] == message("user", {"type": "input_text", "text": "Make it blue."}, image)


def test_picture_waits_for_the_next_message_of_the_user() -> None:
    system = {"role": "system", "content": "Be brief."}
    items = parse_messages([user(), assistant(call(), content=SHOWN), tool(), system, user(), user("b")])
    assert [len(item["content"]) for item in items if item["type"] == "message"] == [1, 1, 1, 2, 1]
    assert items[-2]["content"][1]["image_url"] == PICTURE
    assert len(parse_messages([user(), assistant(content=SHOWN)])) == 2


def test_text_of_the_user_keeps_what_looks_like_a_picture() -> None:
    assert parse_messages([user(SHOWN)]) == [message("user", {"type": "input_text", "text": SHOWN})]
