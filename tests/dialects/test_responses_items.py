from typing import Any

import pytest

from lib.dialects import responses_items
from lib.errors import InvalidRequest

Fields = dict[str, Any]

PICTURE = "data:image/png;base64,iVBORw0KGgo="


def parse_input(value: str | list[Any]) -> list[Fields]:
    return responses_items.parse_input(value, {})


def message(role: str, *parts: Fields, **more: Any) -> Fields:
    return {"type": "message", "role": role, "content": list(parts), **more}


def text(kind: str, value: str = "a") -> Fields:
    return {"type": kind, "text": value}


def refused(item: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_input([item])
    return caught.value


def test_string_is_one_message_of_the_user() -> None:
    assert parse_input("a") == [message("user", text("input_text"))]


def test_an_output_may_answer_a_call_that_was_made_before() -> None:
    output = {"type": "function_call_output", "call_id": "c1", "output": "ok"}
    past = [{"type": "function_call", "call_id": "c1"}, message("user", id="m1")]
    assert responses_items.parse_input([output], {}, past) == [output]
    with pytest.raises(InvalidRequest):
        responses_items.parse_input([output], {}, [{"type": "custom_tool_call_output", "call_id": "c1"}])


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
def test_easy_message_gets_its_type_and_parts(role: str) -> None:
    kind = "output_text" if role == "assistant" else "input_text"
    assert parse_input([{"role": role, "content": "a"}]) == [message(role, text(kind))]


@pytest.mark.parametrize(
    ("role", "sent", "canonical"),
    [
        ("assistant", text("input_text"), text("output_text")),
        ("assistant", text("text"), text("output_text")),
        ("assistant", {**text("output_text"), "annotations": []}, {**text("output_text"), "annotations": []}),
        ("assistant", {"type": "refusal", "refusal": "no"}, {"type": "refusal", "refusal": "no"}),
        ("user", {**text("output_text"), "annotations": [], "logprobs": []}, text("input_text")),
        ("user", text("text"), text("input_text")),
        ("user", {"type": "input_image", "image_url": PICTURE, "detail": "low"}, None),
        ("user", {"type": "input_image", "file_id": "file_1"}, None),
        (
            "user",
            {"type": "image_url", "image_url": {"url": PICTURE, "detail": "high"}},
            {"type": "input_image", "image_url": PICTURE, "detail": "high"},
        ),
        ("user", {"type": "image_url", "image_url": PICTURE}, {"type": "input_image", "image_url": PICTURE}),
        ("user", {"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}, None),
        ("user", {"type": "input_file", "file_url": "https://example.org/a.pdf"}, None),
        (
            "user",
            {"type": "file", "file": {"file_data": "aGk=", "filename": "a"}},
            {"type": "input_file", "file_data": "aGk=", "filename": "a"},
        ),
        ("user", {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}, None),
    ],
)
def test_parts_become_canonical(role: str, sent: Fields, canonical: Fields | None) -> None:
    assert parse_input([message(role, sent)]) == [message(role, canonical or sent)]


def test_members_of_a_message_are_kept() -> None:
    item = message("assistant", text("output_text"), id="msg_1", phase="final_answer", status="completed")
    assert parse_input([item]) == [item]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}},
        {"type": "image_generation_call", "id": "ig_1", "result": "aGk="},
        {"type": "compaction", "encrypted_content": "gAAA"},
        {"type": "something_new", "anything": [1]},
        {"type": "computer_call", "id": "cu_1", "call_id": "c", "action": {"type": "click"}, "status": None},
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "", "outcome": {"type": "timeout"}}]},
        {"type": "mcp_call", "id": "mcp_1", "server_label": "a", "name": "f", "arguments": "{}", "output": None},
        {"type": "code_interpreter_call", "id": "ci_1", "code": "1", "outputs": None},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": None, "status": None},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "a"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "namespace": "mcp__docs", "id": None},
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "", "namespace": "a", "created_by": "b"},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "", "status": "completed"},
    ],
)
def test_items_stay_as_they_are(item: Fields) -> None:
    assert parse_input([item]) == [item]


def test_references_to_reasoning_are_left_out_and_named() -> None:
    thought = {"type": "item_reference", "id": "rs_1"}
    asked: dict[str, str] = {}
    items = [message("user", text("input_text")), thought, {"id": "rs_2"}, CALL]
    assert responses_items.parse_input(items, asked) == [items[0], CALL]
    assert asked == {"item_reference": "item_reference"}


def test_the_callers_items_are_not_changed() -> None:
    item = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}
    parse_input([item])
    assert item == {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ("hi", "input[0]"),
        (None, "input[0]"),
        ({}, "input[0].type"),
        ({"type": 1}, "input[0].type"),
        ({"role": "user"}, "input[0].content"),
        ({"role": "user", "content": []}, "input[0].content"),
        ({"role": "user", "content": 1}, "input[0].content"),
        ({"role": "user", "content": [["a"]]}, "input[0].content[0]"),
        ({"role": "user", "content": [{}]}, "input[0].content[0].type"),
        ({"role": "user", "content": [{"type": "video"}]}, "input[0].content[0].type"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "input[0].content[0].text"),
        ({"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}, "input[0].content[0].type"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[0].content[0].image_url"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": 1}]}, "input[0].content[0].file_id"),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "file:///etc/passwd"}]},
            "input[0].content[0].image_url",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.1/"}}]},
            "input[0].content[0].image_url.url",
        ),
        (
            {"role": "user", "content": [{"type": "input_file", "file_url": "http://169.254.169.254/"}]},
            "input[0].content[0].file_url",
        ),
        ({"role": "user", "content": [{"type": "input_file"}]}, "input[0].content[0].file_data"),
        ({"role": "user", "content": [{"type": "file"}]}, "input[0].content[0].file"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "input[0].content[0].input_audio"),
        ({"role": "assistant", "content": [{"type": "input_image", "image_url": PICTURE}]}, "input[0].content[0].type"),
        ({"role": "robot", "content": "a"}, "input[0].role"),
        ({"role": "tool", "content": "a"}, "input[0].role"),
        ({"type": "message", "content": "a"}, "input[0].role"),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input[0].call_id"),
        ({"type": "function_call", "call_id": "c", "arguments": "{}"}, "input[0].name"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}, "input[0].arguments"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "f"}, "input[0].input"),
        ({"type": "function_call_output", "output": "a"}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "c"}, "input[0].output"),
        ({"type": "function_call_output", "call_id": "c", "output": [{"type": "?"}]}, "input[0].output[0].type"),
        ({"type": "function_call_output", "call_id": "c\n", "output": "a"}, "input[0].call_id"),
        ({"type": "item_reference", "id": "msg_1"}, "input[0]"),
        ({"type": "item_reference", "id": 5}, "input[0]"),
        ({"id": "msg_1"}, "input[0]"),
        ({"type": "item_reference", "id": "rs_1"}, "input"),
        ({"type": "local_shell_call_output", "call_id": []}, "input[0].call_id"),
        ({"type": "x_output", "call_id": {}}, "input[0].call_id"),
        ({"type": "x_call", "call_id": 5}, "input[0].call_id"),
        ({"type": "foo", "content": 5}, "input[0].content"),
        ({"type": "foo", "content": {"a": 1}}, "input[0].content"),
        ({"type": "foo", "output": True}, "input[0].output"),
    ],
)
def test_wrong_item_is_refused_by_its_place(item: Any, param: str) -> None:
    assert refused(item).param == param


def test_tool_role_is_told_what_to_send() -> None:
    assert "function_call_output" in refused({"role": "tool", "content": "a"}).message


def test_reference_is_told_what_to_send() -> None:
    assert "Send the item itself" in refused({"type": "item_reference", "id": "msg_1"}).message


CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "ok"}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("function_call_output", "function call"),
        ("custom_tool_call_output", "custom tool call"),
        ("local_shell_call_output", "local shell call"),
        ("tool_search_output", "tool search call"),
    ],
)
def test_output_without_its_call_is_refused(kind: str, words: str) -> None:
    error = refused({**OUTPUT, "type": kind})
    assert error.message == f"No tool call found for {words} output with call_id c1."
    assert error.param == "input"


def test_output_has_to_stand_after_its_call() -> None:
    assert parse_input([CALL, OUTPUT]) == [CALL, OUTPUT]
    with pytest.raises(InvalidRequest, match="No tool call found"):
        parse_input([OUTPUT, CALL])


def test_output_of_another_call_does_not_count_as_a_call() -> None:
    with pytest.raises(InvalidRequest, match="No tool call found"):
        parse_input([{"type": "shell_call_output", "call_id": "c1"}, OUTPUT])


def test_server_side_tool_search_needs_no_call_id() -> None:
    item: Fields = {"type": "tool_search_output", "call_id": None, "execution": "server", "tools": []}
    assert parse_input([item]) == [item]


def test_pictures_in_an_output_are_kept_and_checked() -> None:
    parts = [text("text"), {"type": "input_image", "image_url": PICTURE}]
    [_, output] = parse_input([CALL, {**OUTPUT, "output": parts}])
    assert output["output"] == [text("input_text"), parts[1]]
