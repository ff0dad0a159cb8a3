"""Input items → chat messages, which the API's rules take."""

from __future__ import annotations

from typing import Any

import pytest

from lib.errors import InvalidRequest
from lib.upstreams.openai_chat_messages import MAX_CALL_ID, shape_messages, short_call_id
from lib.upstreams.tool_names import Names
from tests.fakes.openai_rules import check_chat
from tests.upstreams.openai_asking import assistant, user


def shaped(*items: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    settings = {"is_openai": False, "replay_reasoning": False, **options}
    messages = shape_messages(None, list(items), Names(()), **settings)
    if not settings["replay_reasoning"]:
        check_chat({"model": "m", "messages": messages})
    return messages


def call(number: int, **members: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": "{}", **members}


def output(number: int, value: Any = "out") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": f"c{number}", "output": value}


def thought(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}


def outline(messages: list[dict[str, Any]]) -> list[str]:
    """One word for each message: its role, with the ids of its calls or of what it answers."""
    told = []
    for message in messages:
        ids = [each["id"] for each in message.get("tool_calls", ())] + [message.get("tool_call_id")]
        told.append(" ".join([message["role"], *(each for each in ids if each)]))
    return told


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([call(1), call(2), output(2), output(1)], ["assistant c1 c2", "tool c1", "tool c2"]),
        ([call(1), output(1), call(2), output(2)], ["assistant c1", "tool c1", "assistant c2", "tool c2"]),
        (
            [call(1), call(2), output(1), call(3), output(2), output(3)],
            ["assistant c1 c2", "tool c1", "tool c2", "assistant c3", "tool c3"],
        ),
        ([call(1), user("x"), output(1)], ["assistant c1", "tool c1", "user"]),
        ([assistant("a"), call(1), output(1)], ["assistant c1", "tool c1"]),
        ([call(1), assistant("a"), output(1)], ["assistant c1", "tool c1"]),
        ([assistant("a"), assistant("b")], ["assistant", "assistant"]),
        ([call(1), output(1), call(1), output(1)], ["assistant c1", "tool c1", "assistant c1", "tool c1"]),
        ([call(1), user("x")], ["assistant c1", "tool c1", "user"]),
        ([thought("t"), assistant("a"), call(1), output(1)], ["assistant c1", "tool c1"]),
        ([{"type": "web_search_call", "id": "w"}, assistant("a")], ["assistant"]),
    ],
)
def test_every_call_is_answered_behind_its_turn(items: list[dict[str, Any]], expected: list[str]) -> None:
    assert outline(shaped(*items)) == expected


def test_a_call_that_was_never_answered_says_so() -> None:
    assert shaped(call(1), user("x"))[1]["content"] == "aborted"


def test_an_id_that_was_given_twice_keeps_each_output_with_its_call() -> None:
    messages = shaped(call(1), output(1, "first"), call(1), output(1, "second"))
    assert [message["content"] for message in messages if message["role"] == "tool"] == ["first", "second"]


def test_a_custom_call_stands_as_a_function() -> None:
    custom = {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'a "b"\n'}
    messages = shaped(custom, {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"})
    assert messages[0]["tool_calls"][0]["function"] == {"name": "patch", "arguments": '{"input":"a \\"b\\"\\n"}'}


def test_pictures_of_an_output_follow_in_a_message_of_the_user() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
    messages = shaped(
        call(1), call(2), output(1, [{"type": "input_text", "text": "see"}, picture]), output(2, [picture])
    )
    assert outline(messages) == ["assistant c1 c2", "tool c1", "tool c2", "user"]
    assert messages[1]["content"] == "see"
    assert [part["type"] for part in messages[3]["content"]] == ["text", "image_url", "text", "image_url"]


@pytest.mark.parametrize(("is_openai", "role"), [(True, "developer"), (False, "system")])
def test_the_developer_speaks_as_the_system_where_that_role_is_unknown(is_openai: bool, role: str) -> None:
    message = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "x"}]}
    assert shaped(message, is_openai=is_openai) == [{"role": role, "content": "x"}]


@pytest.mark.parametrize("is_openai", [True, False])
def test_a_refusal_is_not_lost(is_openai: bool) -> None:
    refusal = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    [message] = shaped(refusal, is_openai=is_openai)
    assert message["refusal" if is_openai else "content"] == "No."


def test_thoughts_go_back_with_calls_alone_and_only_where_wanted() -> None:
    items = [thought("a"), assistant("x"), user("y"), thought("b"), assistant("z"), call(1), output(1)]
    messages = shaped(*items, replay_reasoning=True)
    assert [message.get("reasoning_content") for message in messages] == [None, None, "b", None]
    assert all("reasoning_content" not in message for message in shaped(*items))


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "compaction", "encrypted_content": "x"}, "input[0].type"),
        ({**user(""), "content": [{"type": "input_image", "file_id": "f"}]}, "input[0].content[0]"),
        (
            {**user(""), "content": [{"type": "input_file", "file_url": "https://a.b/c"}]},
            "input[0].content[0].file_url",
        ),
        ({**user(""), "content": [{"type": "input_hologram"}]}, "input[0].content[0]"),
    ],
)
def test_what_a_chat_has_no_place_for_is_refused_by_name(item: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        shaped(item)
    assert (caught.value.param, caught.value.code) == (param, "unsupported_value")


def test_long_call_ids_are_shortened_the_same_everywhere() -> None:
    assert short_call_id("x" * MAX_CALL_ID) == "x" * MAX_CALL_ID
    assert len(short_call_id("x" * 41)) <= MAX_CALL_ID
    messages = shaped(call(1, call_id="x" * 64), {**output(1), "call_id": "x" * 64})
    assert messages[0]["tool_calls"][0]["id"] == messages[1]["tool_call_id"] == short_call_id("x" * 64)
