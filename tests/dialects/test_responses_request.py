from typing import Any, get_args

import pytest
from openai.types.responses import ResponseIncludable
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from lib.canonical.request import LOGPROBS, CanonicalRequest
from lib.dialects.fields import Treatment
from lib.dialects.responses_request import FIELDS, parse
from lib.errors import InvalidRequest

Fields = dict[str, Any]


def parsed(**body: Any) -> CanonicalRequest:
    return parse({"input": "hi", **body})


def refused(**body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse({name: value for name, value in {"input": "hi", **body}.items() if value != "absent"})
    return caught.value


def test_every_official_parameter_has_a_row() -> None:
    official = {*ResponseCreateParamsBase.__annotations__, "stream"}
    assert official - FIELDS.keys() == set()
    assert FIELDS.keys() - official == {"client_metadata", "messages"}


WRONG_TYPES: list[Any] = [True, 7, 0.5, "x\x00", [[]], [None], {"": None}, {"type": 3}]


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", WRONG_TYPES, ids=repr)
def test_wrong_value_is_refused_with_its_name_or_taken(name: str, value: Any) -> None:
    try:
        parse({"input": "hi", name: value})
    except InvalidRequest as error:
        assert error.param is not None
        assert error.param.startswith(name)


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "input"])
def test_null_is_the_same_as_absent(name: str) -> None:
    request = parse({"input": "hi", name: None})
    assert (request.asked, request.parameters) == ({}, {})


PASSED = {
    "access_programs": {"cyber": "standard"},
    "background_options": {"completion_window": "soonest"},
    "client_metadata": {"thread": "t"},
    "context_management": [{"type": "compaction"}],
    "image": {"context_compression": "auto"},
    "max_output_tokens": 5,
    "max_tool_calls": 5,
    "moderation": {"model": "m"},
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "store": True,
    "temperature": 0.5,
    "top_logprobs": 2,
    "top_p": 0.5,
    "truncation": "auto",
    "user": "u",
}


def test_the_list_of_passed_parameters_is_whole() -> None:
    assert PASSED.keys() == {name for name, row in FIELDS.items() if row.treatment is Treatment.PASSED}


@pytest.mark.parametrize(("name", "value"), PASSED.items())
def test_passed_parameter_goes_on_and_is_asked_for(name: str, value: Any) -> None:
    request = parsed(**{name: value})
    assert request.parameters == {name: value}
    assert request.asked == {name: name}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("temperature", 1), ("top_p", 1.0), ("store", False), ("truncation", "disabled"), ("metadata", {})],
        *[("top_logprobs", 0), ("parallel_tool_calls", True), ("tool_choice", "auto"), ("background", False)],
        *[("tools", []), ("include", []), ("instructions", ""), ("text", {"format": {"type": "text"}})],
        *[("stream", True), ("stream_options", {"include_obfuscation": False}), ("model", "m")],
    ],
)
def test_value_without_an_effect_is_not_asked_for(name: str, value: Any) -> None:
    assert parsed(**{name: value}).asked == {}


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("background", True, "answers at once"),
        ("conversation", "conv_1", "whole conversation"),
        ("conversation", {"id": "conv_1"}, "whole conversation"),
        ("previous_response_id", "resp_1", "whole conversation"),
        ("prompt", {"id": "pmpt_1"}, "Send the text"),
        ("messages", [{"role": "user", "content": "hi"}], "/v1/chat/completions"),
        ("instructions", [{"role": "user", "content": "hi"}], "'input'"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_hint(name: str, value: Any, hint: str) -> None:
    error = refused(**{name: value})
    assert (error.status, error.param) == (400, name)
    assert hint in error.message


def test_previous_response_has_the_code_that_clients_know() -> None:
    assert refused(previous_response_id="resp_1").code == "unsupported_parameter"


def test_items_of_the_past_stand_before_the_input() -> None:
    past = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "before"}]}]
    request = parse({"input": "now"}, past)
    assert [item["content"][0]["text"] for item in request.input] == ["before", "now"]
    assert request.affinity == parse({"input": "before"}).affinity


def test_chat_body_gets_its_hint_though_input_is_missing() -> None:
    assert refused(input="absent", messages=[]).param == "messages"


@pytest.mark.parametrize("value", ["absent", None, "", []])
def test_input_is_required(value: Any) -> None:
    assert refused(input=value).param == "input"


def test_unknown_parameters_are_named() -> None:
    assert parsed(reasoningEffort="low", stop=["x"]).asked == {"reasoningEffort": "reasoningEffort", "stop": "stop"}


@pytest.mark.parametrize(("model", "canonical"), [("m", "m"), ("", None), ("auto", None), (None, None)])
def test_model_is_left_to_the_gateway_unless_named(model: Any, canonical: Any) -> None:
    assert parsed(model=model).model == canonical


def test_typed_fields_arrive() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    shape = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    body: Fields = {
        "model": "m",
        "input": "hi",
        "instructions": "Be brief.",
        "stream": True,
        "tools": [tool],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "summary": None, "context": "all_turns"},
        "text": {"format": shape, "verbosity": "low"},
        "include": ["reasoning.encrypted_content", "reasoning.encrypted_content"],
        "service_tier": "priority",
        "prompt_cache_key": "key",
    }
    request = parse(body)
    assert request == CanonicalRequest(
        model="m",
        input=[{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        stream=True,
        instructions="Be brief.",
        tools=[tool],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        reasoning={"effort": "low", "context": "all_turns"},
        text={"format": shape, "verbosity": "low"},
        include=["reasoning.encrypted_content"],
        service_tier="priority",
        prompt_cache_key="key",
        asked={name: name for name in body if name not in ("model", "input", "stream")},
        body=body,
        affinity="key",
    )


def test_old_name_of_the_summary_is_understood() -> None:
    assert parsed(reasoning={"generate_summary": "auto"}).reasoning == {"summary": "auto"}
    assert parsed(reasoning={"generate_summary": "auto", "summary": "concise"}).reasoning == {"summary": "concise"}


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"])
def test_efforts(effort: str) -> None:
    assert parsed(reasoning={"effort": effort}).reasoning == {"effort": effort}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"summary": 1}}, "reasoning.summary"),
        ({"text": {"verbosity": "shouting"}}, "text.verbosity"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "", "schema": {}}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": []}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": 1}}}, "text.format.strict"),
        ({"include": ["everything"]}, "include[0]"),
        ({"stream_options": {"include_obfuscation": "no"}}, "stream_options.include_obfuscation"),
        ({"stream": "true"}, "stream"),
        ({"temperature": 3}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
    ],
)
def test_wrong_members_are_refused_by_name(body: Fields, param: str) -> None:
    assert refused(**body).param == param


def test_every_official_include_is_allowed() -> None:
    assert parsed(include=list(get_args(ResponseIncludable))).include == list(get_args(ResponseIncludable))


def test_log_probabilities_are_asked_for_by_a_name_of_their_own() -> None:
    assert parsed(include=[LOGPROBS]).asked == {LOGPROBS: "include"}
    assert parsed(include=[LOGPROBS, "web_search_call.results"]).asked == {LOGPROBS: "include", "include": "include"}


def test_stream_options_without_a_stream_change_nothing() -> None:
    assert parsed(stream_options={"include_obfuscation": False}).asked == {}


def test_other_stream_options_go_on() -> None:
    request = parsed(stream_options={"include_obfuscation": True, "reasoning_summary_delivery": "x"})
    assert request.parameters == {"stream_options": {"reasoning_summary_delivery": "x"}}
    assert request.asked == {"stream_options": "stream_options"}


def test_request_of_the_codex_cli_passes_untouched() -> None:
    items: list[Fields] = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin Patch"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        {"type": "local_shell_call", "call_id": "c2", "status": "completed", "action": {"type": "exec", "command": []}},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "done"}]},
        {"type": "compaction", "encrypted_content": "gBBB"},
    ]
    tools: list[Fields] = [
        {"type": "function", "name": "exec_command", "strict": False, "parameters": {"type": "object"}},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "s"}},
        {"type": "namespace", "name": "mcp__docs", "description": "d", "tools": [{"type": "function", "name": "read"}]},
        {"type": "web_search", "external_web_access": True},
        {"type": "local_shell"},
    ]
    request = parse(
        {
            "model": "gpt-demo",
            "input": items,
            "tools": tools,
            "tool_choice": "auto",
            "parallel_tool_calls": True,
            "reasoning": {"effort": "high", "summary": "auto"},
            "store": False,
            "stream": True,
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": "0199",
            "text": {"verbosity": "low"},
            "client_metadata": {"x-codex-installation-id": "i"},
        }
    )
    assert (request.input, request.tools, request.instructions) == (items, tools, None)
    assert request.parameters["client_metadata"] == {"x-codex-installation-id": "i"}
    assert "client_metadata" in request.asked
    assert "store" not in request.asked


# --- Affinity -------------------------------------------------------------------------------------------------------


def said(role: str, text: str) -> Fields:
    return {"role": role, "content": text}


def test_conversation_keeps_its_key_as_it_grows() -> None:
    first = [said("developer", "rules"), said("user", "hello")]
    later = [*first, said("assistant", "hi"), said("user", "again")]
    assert parsed(input=first).affinity == parsed(input=later).affinity
    assert parsed(input="hello").affinity == parsed(input=[said("user", "hello")]).affinity


def test_other_conversations_have_other_keys() -> None:
    keys = {
        parsed(input="a").affinity,
        parsed(input="b").affinity,
        parsed(input="a", instructions="x").affinity,
        parsed(input=[said("developer", "x"), said("user", "a")]).affinity,
        parsed(
            input=[{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.org/a.png"}]}]
        ).affinity,
        parsed(
            input=[{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.org/b.png"}]}]
        ).affinity,
    }
    assert len(keys) == 6


def test_callers_own_keys_come_first() -> None:
    assert parsed(prompt_cache_key="key", user="u").affinity == "key"
    assert parsed(prompt_cache_key="", user="u").affinity == "u"
