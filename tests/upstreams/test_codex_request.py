"""The canonical request as the Codex backend takes it."""

from __future__ import annotations

from typing import Any

import pytest

from lib.canonical.request import LOGPROBS, CanonicalRequest, Item
from lib.errors import InvalidRequest
from lib.upstreams.codex_request import ACCEPTS, shape
from lib.upstreams.tool_names import Names, short_call_id
from lib.values import replace


def message(role: str, text: str, **more: Any) -> Item:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **more}


def request(*items: Item, **fields: Any) -> CanonicalRequest:
    return CanonicalRequest(model="gpt-5.5", input=list(items) or [message("user", "Hi")], affinity="k", **fields)


def body(*items: Item, **fields: Any) -> dict[str, Any]:
    return shape(request(*items, **fields)).body


def test_required_fields_have_their_one_legal_value() -> None:
    shaped = body()
    assert shaped["store"] is False and shaped["stream"] is True and shaped["instructions"] == ""
    assert shaped["include"] == ["reasoning.encrypted_content"]
    assert shaped["input"] == [message("user", "Hi")]
    assert not {"tools", "tool_choice", "parallel_tool_calls", "temperature"} & set(shaped)


def test_unknown_and_refused_parameters_never_travel() -> None:
    shaped = body(parameters={"temperature": 0, "max_output_tokens": 5, "user": "u"}, service_tier="flex")
    assert set(shaped) == {"model", "instructions", "input", "store", "stream", "include", "prompt_cache_key"}
    assert body(service_tier="fast")["service_tier"] == "priority"


def test_the_cache_key_is_the_callers_or_stable_for_the_conversation() -> None:
    assert body(prompt_cache_key="mine")["prompt_cache_key"] == "mine"
    assert body()["prompt_cache_key"] == body()["prompt_cache_key"]
    for strange in ("k" * 65, "two\nlines", "ключ"):
        assert len(body(prompt_cache_key=strange)["prompt_cache_key"]) == 32
    other = shape(replace(request(), affinity="other")).body
    assert body()["prompt_cache_key"] != other["prompt_cache_key"]


def test_leading_system_messages_become_instructions() -> None:
    shaped = body(message("system", "A"), message("developer", "B"), message("user", "Hi"), message("system", "C"),
                  instructions="I")  # fmt: skip
    assert shaped["instructions"] == "I\n\nA\n\nB"
    assert [item["role"] for item in shaped["input"]] == ["user", "developer"]


def test_an_input_of_system_messages_alone_stays_an_input() -> None:
    shaped = body(message("system", "A"))
    assert shaped["instructions"] == "" and shaped["input"] == [message("developer", "A")]


def test_json_object_keeps_the_word_in_the_input() -> None:
    text = {"format": {"type": "json_object"}}
    kept = body(message("system", "Answer in JSON"), message("user", "Hi"), text=text)
    assert [item["role"] for item in kept["input"]] == ["developer", "user"]
    hinted = body(message("user", "Hi"), text=text, instructions="Use JSON")
    assert hinted["input"][0]["content"][0]["text"] == "Reply in JSON."


def test_a_schema_is_lax_unless_asked() -> None:
    schema = {"type": "json_schema", "name": "r", "schema": {"type": "object"}}
    assert body(text={"format": schema})["text"]["format"]["strict"] is False
    assert body(text={"format": {**schema, "strict": None}})["text"]["format"]["strict"] is False
    assert body(text={"format": {**schema, "strict": True}})["text"]["format"]["strict"] is True


def test_items_lose_ids_and_unknown_keys() -> None:
    items = body(
        message("user", "Hi", id="msg_1", status="completed", name="bob"),
        message("assistant", "Yo", id="x", phase="commentary", reasoning_content="…"),
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "reasoning", "id": "rs_2", "summary": []},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "function_call_output", "id": "fco", "call_id": "c1", "output": "ok"},
    )["input"]
    assert [sorted(item) for item in items] == [
        ["content", "role", "type"],
        ["content", "phase", "role", "type"],
        ["encrypted_content", "summary", "type"],
        ["arguments", "call_id", "name", "type"],
        ["call_id", "output", "type"],
    ]


def test_what_only_codex_clients_send_passes_untouched() -> None:
    foreign: list[Item] = [
        {"type": "local_shell_call", "id": "lsh", "call_id": "c", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "compaction", "encrypted_content": "gAAA"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
    ]
    answer = {"type": "function_call_output", "call_id": "c", "output": "ok"}
    assert body(*foreign, answer)["input"] == [*foreign, answer]
    stray = {"type": "web_search_call", "action": {"type": "click"}}
    assert body(stray, message("user", "Hi"))["input"] == [message("user", "Hi")]


def test_a_call_without_output_is_answered_as_aborted() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    items = body(message("user", "Hi"), call, message("user", "never mind"))["input"]
    assert items[2] == {"type": "function_call_output", "call_id": "c1", "output": "aborted"}
    patch = {"type": "custom_tool_call", "call_id": "c2", "name": "f", "input": "x"}
    assert body(patch)["input"][1]["type"] == "custom_tool_call_output"


def test_audio_is_refused_by_name() -> None:
    part = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
    with pytest.raises(InvalidRequest) as caught:
        body({"type": "message", "role": "user", "content": [part]})
    assert caught.value.param == "input[0].content[0]"


def test_long_names_and_call_ids_are_mapped_on_both_sides() -> None:
    name, call_id = "mcp__server.tool/" + "x" * 80, "c" * 90
    shaped = shape(
        request(
            {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"},
            {"type": "function_call_output", "call_id": call_id, "output": "ok"},
            tools=[{"type": "function", "name": name, "parameters": None}],
            tool_choice={"type": "function", "name": name},
        )
    )
    call, output = shaped.body["input"]
    short = shaped.body["tools"][0]["name"]
    assert call["name"] == shaped.body["tool_choice"]["name"] == short and len(short) <= 64
    assert call["call_id"] == output["call_id"] == short_call_id(call_id) and len(output["call_id"]) <= 64
    assert shaped.names.restore(short) == name


def test_names_that_differ_late_stay_different() -> None:
    names = Names(["a" * 70 + "1", "a" * 70 + "2", "fine_name-1"])
    assert names.short("a" * 70 + "1") != names.short("a" * 70 + "2")
    assert names.short("fine_name-1") == "fine_name-1"


def test_tools_say_strict_and_have_parameters() -> None:
    tools = [
        {"type": "function", "name": "f"},
        {"type": "function", "name": "g", "strict": True, "parameters": {"a": 1}},
    ]
    shaped = body(tools=tools, tool_choice="auto", parallel_tool_calls=False)
    assert shaped["tools"][0] == {
        "type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False,
    }  # fmt: skip
    assert shaped["tools"][1]["strict"] is True
    assert shaped["parallel_tool_calls"] is False and shaped["tool_choice"] == "auto"


def test_web_search_has_one_name_and_unavailable_tools_are_refused() -> None:
    shaped = body(tools=[{"type": "web_search_preview_2025_03_11"}], tool_choice={"type": "web_search_preview"})
    assert shaped["tools"] == [{"type": "web_search"}] and shaped["tool_choice"] == {"type": "web_search"}
    with pytest.raises(InvalidRequest) as caught:
        body(tools=[{"type": "web_search"}, {"type": "code_interpreter", "container": {}}])
    assert caught.value.param == "tools[1].type"


def test_only_what_the_backend_can_include_is_asked_for() -> None:
    assert len(body(include=["web_search_call.action.sources"])["include"]) == 2
    with pytest.raises(InvalidRequest) as caught:
        body(include=["web_search_call.results"])
    assert caught.value.param == "include[0]"


def test_log_probabilities_are_included_for_those_who_speak_responses() -> None:
    assert body(include=[LOGPROBS], asked={LOGPROBS: "include"})["include"][0] == LOGPROBS
    assert body(include=[LOGPROBS], asked={"logprobs": "logprobs"})["include"] == ["reasoning.encrypted_content"]
    assert LOGPROBS in ACCEPTS and not {"logprobs", "top_logprobs", "stop"} & ACCEPTS


def test_allowed_tools_are_the_only_ones_offered() -> None:
    tools = [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}
    shaped = body(tools=tools, tool_choice=choice)
    assert [tool["name"] for tool in shaped["tools"]] == ["g"] and shaped["tool_choice"] == "required"


def test_tools_in_an_input_item_go_where_tools_belong() -> None:
    item = {
        "type": "additional_tools",
        "role": "developer",
        "tools": [
            {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]},
            {"type": "namespace", "name": "mcp", "tools": [{"type": "function", "name": "f"}]},
        ],
    }
    shaped = body(item, message("user", "Hi"), tool_choice="auto")
    assert shaped["input"] == [message("user", "Hi")] and shaped["tool_choice"] == "auto"
    assert shaped["tools"] == [{"type": "custom", "name": "exec"}, item["tools"][1]]


def test_each_call_needs_an_output_of_its_own() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "ok"}
    assert [item.get("output") for item in body(call, output, call)["input"]] == [None, "ok", None, "aborted"]


def test_a_flag_for_an_unavailable_tool_is_refused_by_its_name() -> None:
    tool, flag = {"type": "code_interpreter", "container": {"type": "auto"}}, "function_code_interpreter"
    with pytest.raises(InvalidRequest) as caught:
        body(message("user", "Hi"), tools=[tool], asked={"tools": flag})
    assert (caught.value.param, caught.value.code) == (flag, "unsupported_value")
    assert "'code_interpreter' is not available on the upstream 'codex'" in caught.value.message
