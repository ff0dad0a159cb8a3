"""Chat Completions requests: the table of fields, and the canonical request that comes of a body."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from lib.canonical.hosted import FLAGS
from lib.canonical.request import LOGPROBS, CanonicalRequest
from lib.dialects.chat import CHAT
from lib.dialects.chat_request import FIELDS
from lib.dialects.fields import Field, Treatment
from lib.errors import InvalidRequest
from lib.values import replace

TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}
FUNCTION = {"name": "lookup"}
MESSAGES = [{"role": "user", "content": "hi"}]

SAMPLES: dict[str, Any] = {
    "messages": MESSAGES,
    "model": "gpt-5.5",
    "audio": {"voice": "alloy", "format": "mp3"},
    "frequency_penalty": 0.5,
    "function_call": {"name": "lookup"},
    "functions": [FUNCTION],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 64,
    "max_tokens": 64,
    "metadata": {"a": "b"},
    "modalities": ["text", "audio"],
    "moderation": {"model": "omni-moderation-latest"},
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": -1,
    "prompt_cache_key": "key-1",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "high",
    "response_format": {"type": "json_object"},
    "safety_identifier": "s-1",
    "seed": 7,
    "service_tier": "priority",
    "stop": ["END"],
    "store": True,
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.2,
    "tool_choice": "required",
    "tools": [TOOL],
    "top_logprobs": 3,
    "top_p": 0.5,
    "user": "u-1",
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
    **dict.fromkeys(FLAGS, True),
}
"""A value with an effect for every field."""

NEEDS: dict[str, dict[str, Any]] = {
    "function_call": {"functions": [FUNCTION]},
    "parallel_tool_calls": {"tools": [TOOL]},
    "stream_options": {"stream": True},
    "tool_choice": {"tools": [TOOL]},
    "top_logprobs": {"logprobs": True},
}


def parsed(**body: Any) -> CanonicalRequest:
    return CHAT.parse({"messages": MESSAGES} | body)


def refusal(**body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parsed(**body)
    assert caught.value.status == 400
    return caught.value


def of_treatment(*treatments: Treatment) -> list[Field]:
    return [row for row in FIELDS.values() if row.treatment in treatments]


def test_table_has_every_field_of_the_official_client() -> None:
    official = set(CompletionCreateParamsBase.__annotations__) | {"stream"}
    assert official <= set(FIELDS)
    assert set(SAMPLES) == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_field_of_a_wrong_type_is_refused_by_name(name: str) -> None:
    wrong: Any
    for wrong in (1.5, True, "x\n", [1], {"a": []}, 10**400, [], {}):
        if type(wrong) in FIELDS[name].check.types or name == "stream_options":
            continue
        error = refusal(**{name: wrong})
        assert error.param is not None and error.param.startswith(name)
        assert name in error.message


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "messages"])
def test_null_field_is_the_same_as_an_absent_one(name: str) -> None:
    assert replace(parsed(**{name: None}), body={}) == replace(parsed(), body={})


@pytest.mark.parametrize("row", of_treatment(Treatment.PASSED), ids=lambda row: row.name)
def test_passed_field_is_asked_for_and_handed_on(row: Field) -> None:
    request = parsed(**NEEDS.get(row.name, {}), **{row.name: SAMPLES[row.name]})
    assert request.asked.pop(row.canonical or "") == row.name
    assert request.asked.keys() == NEEDS.get(row.name, {}).keys()
    assert request.parameters == {row.canonical: SAMPLES[row.name]}


@pytest.mark.parametrize("row", of_treatment(Treatment.HONOURED, Treatment.EMULATED), ids=lambda row: row.name)
def test_honoured_field_is_asked_for_if_an_upstream_has_to_take_part(row: Field) -> None:
    request = parsed(**NEEDS.get(row.name, {}), **{row.name: SAMPLES[row.name]})
    if row.name == "service_tier":
        assert request.asked == {"service_tier": "service_tier"}
    elif row.name == "logprobs":
        assert (request.asked, request.include) == ({"logprobs": "logprobs"}, [LOGPROBS])
    elif row.target is not None:
        assert row.name in request.asked[row.target]
        assert getattr(request, row.target) not in (None, [])
    else:
        assert request.asked == {}
    # The gateway serves `stop`; an upstream that knows it gets it all the same.
    assert request.parameters == ({"stop": ["END"]} if row.name == "stop" else {})


@pytest.mark.parametrize("row", of_treatment(Treatment.REFUSED), ids=lambda row: row.name)
def test_refused_field_says_why(row: Field) -> None:
    error = refusal(**{row.name: SAMPLES[row.name]})
    assert (error.param, row.reason in error.message) == (row.name, True)
    assert error.code == ("unsupported_value" if row.neutral else "unsupported_parameter")


@pytest.mark.parametrize(("row", "value"), [(row, value) for row in FIELDS.values() for value in row.neutral])
def test_neutral_value_is_not_asked_for(row: Field, value: Any) -> None:
    assert parsed(**{row.name: value}).asked == {}


def test_unknown_and_camel_case_fields_are_named() -> None:
    assert parsed(topK=4, reasoningEffort="low").asked == {"topK": "topK", "reasoningEffort": "reasoningEffort"}
    assert parsed(reasoning={"effort": "low"}).asked == {"unknown.reasoning": "reasoning"}


@pytest.mark.parametrize("n", [-1, 0, 129, 2.0, "2"])
def test_number_of_choices_out_of_bounds_is_refused(n: Any) -> None:
    assert refusal(n=n).param == "n"


def test_stream_as_a_string_is_refused() -> None:
    error = refusal(stream="true")
    assert (error.param, error.code) == ("stream", "invalid_type")
    assert "expected a boolean, but got a string" in error.message


def test_responses_body_is_shown_the_way() -> None:
    with pytest.raises(InvalidRequest, match="POST /v1/responses") as caught:
        CHAT.parse({"model": "gpt-5.5", "input": "hi"})
    assert caught.value.param == "messages"


@pytest.mark.parametrize("body", [{}, {"messages": None}, {"messages": []}])
def test_body_without_messages_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CHAT.parse(body)
    assert caught.value.param == "messages"


def test_most_likely_tokens_are_of_no_use_without_log_probabilities() -> None:
    error = refusal(top_logprobs=3)
    assert (error.param, "'logprobs'" in error.message) == ("top_logprobs", True)
    assert parsed(top_logprobs=0, logprobs=False).include == []


@pytest.mark.parametrize("stop", [["x" * 1025], "x" * 1025, ["a"] * 5, [1]])
def test_stop_sequences_are_few_and_short(stop: Any) -> None:
    assert refusal(stop=stop).param == "stop"


def test_newer_name_of_the_token_cap_wins() -> None:
    request = parsed(max_completion_tokens=5, max_tokens=9)
    assert request.parameters == {"max_output_tokens": 5}
    assert request.asked == {"max_output_tokens": "max_completion_tokens, max_tokens"}


@pytest.mark.parametrize(
    ("effort", "reasoning"),
    [
        (None, {"summary": "auto"}),
        ("none", {"effort": "none"}),
        ("minimal", {"effort": "minimal", "summary": "auto"}),
        ("ultra", {"effort": "ultra", "summary": "auto"}),
    ],
)
def test_summaries_are_asked_for_whenever_the_model_may_reason(effort: str | None, reasoning: dict[str, str]) -> None:
    assert parsed(reasoning_effort=effort).reasoning == reasoning


def test_json_schema_is_flattened() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    request = parsed(
        response_format={"type": "json_schema", "json_schema": {"schema": schema, "strict": True, "description": "d"}},
        verbosity="low",
    )
    assert request.text == {
        "format": {"type": "json_schema", "name": "response", "schema": schema, "description": "d", "strict": True},
        "verbosity": "low",
    }
    assert request.asked == {"text": "response_format, verbosity"}


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({}, "response_format.type"),
        ({"type": "xml"}, "response_format.type"),
        ({"type": []}, "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": []}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"schema": "a"}}, "response_format.json_schema.schema"),
        ({"type": "json_schema", "json_schema": {"schema": {}, "name": ""}}, "response_format.json_schema.name"),
        ({"type": "json_schema", "json_schema": {"schema": {}, "strict": 1}}, "response_format.json_schema.strict"),
    ],
)
def test_broken_response_format_is_refused(wanted: dict[str, Any], param: str) -> None:
    assert refusal(response_format=wanted).param == param


def test_stream_options_are_checked_and_padding_is_not_promised() -> None:
    assert refusal(stream=True, stream_options={"include_usage": "yes"}).param == "stream_options.include_usage"
    asked = parsed(stream=True, stream_options={"include_obfuscation": True}).asked
    assert asked == {"stream_options.include_obfuscation": "stream_options.include_obfuscation"}


@pytest.mark.parametrize("stream", [None, False])
def test_stream_options_without_a_stream_are_refused(stream: bool | None) -> None:
    error = refusal(stream=stream, stream_options={"include_usage": True})
    assert error.message == "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    assert error.param == "stream_options"


def test_schema_may_be_left_out() -> None:
    request = parsed(response_format={"type": "json_schema", "json_schema": {"name": "a"}})
    assert request.text == {"format": {"type": "json_schema", "name": "a", "schema": {}}}


def test_unknown_members_are_named() -> None:
    assert parsed(stream=True, stream_options={"foo": 1, "bar": None}).asked == {
        "stream_options.foo": "stream_options.foo"
    }
    shape = {"type": "json_schema", "extra": 1, "json_schema": {"schema": {}, "bogus": 1}}
    assert set(parsed(response_format=shape).asked) == {
        "text",
        "response_format.extra",
        "response_format.json_schema.bogus",
    }


def test_name_of_a_participant_is_named_once() -> None:
    said = [{"role": "system", "name": "s", "content": "x"}, {"role": "user", "name": "bob", "content": "x"}]
    assert parsed(messages=[*said, *said]).asked == {"messages.name": "messages.name"}
    assert parsed(messages=[{"role": "user", "name": "", "content": "x"}]).asked == {}
    assert refusal(messages=[{"role": "user", "name": 5, "content": "x"}]).param == "messages[0].name"


def test_affinity_is_the_cache_key_then_the_user_then_the_beginning_of_the_conversation() -> None:
    assert parsed(prompt_cache_key="k", user="u").affinity == "k"
    assert parsed(user="u").affinity == "u"
    first = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    later = [*first, {"role": "assistant", "content": "hello"}, {"role": "user", "content": "more"}]
    assert parsed(messages=first, model="a").affinity == parsed(messages=later, model="b").affinity
    assert parsed(messages=first).affinity != parsed(messages=first[1:]).affinity
    assert len(parsed().affinity) == 32
    assert parsed(messages=first[:1]).affinity != parsed().affinity


def test_hundred_thousand_messages_are_parsed_in_a_moment() -> None:
    started = time.perf_counter()
    request = parsed(messages=MESSAGES * 100_000)
    assert time.perf_counter() - started < 3
    assert len(request.input) == 100_000


# --- Whatever JSON comes, the answer is a request or a 400 ------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
words = st.sampled_from(
    ["type", "role", "content", "text", "function", "custom", "name", "user", "assistant", "tool", "image_url", "url"]
)
json_values = st.recursive(
    scalars | words, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(), inner, max_size=4)
)

RICH: dict[str, Any] = SAMPLES | {
    "audio": None,
    "modalities": ["text"],
    "n": 1,
    "functions": None,
    "function_call": None,
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": True}},
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "lookup"}}]},
    },
    "tools": [
        TOOL,
        {"type": "custom", "custom": {"name": "patch", "format": {"type": "grammar", "grammar": {
            "syntax": "lark", "definition": "start: X"}}}},
        {"type": "web_search"},
    ],
    "web_search_options": {"user_location": {"type": "approximate", "approximate": {"city": "Oslo"}}},
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "a"}]},
        {"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "aaaa", "format": "wav"}},
            {"type": "file", "file": {"filename": "a", "file_data": "data:,"}},
        ]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": "no", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "lookup", "arguments": "{}"}},
            {"id": "b", "type": "custom", "custom": {"name": "patch", "input": "x"}},
        ]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "r"}]},
        {"role": "tool", "tool_call_id": "b", "content": "r"},
        {"role": "assistant", "function_call": {"name": "lookup", "arguments": "{}"}},
        {"role": "function", "name": "lookup", "content": "r"},
    ],
}  # fmt: skip


def paths_in(value: Any) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [()] + [(key, *path) for key, each in inner for path in paths_in(each)]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def parses_or_is_refused(body: dict[str, Any]) -> None:
    try:
        request = CHAT.parse(body)
    except InvalidRequest as error:
        assert error.status == 400 and error.message and "\n" not in error.message
    else:
        assert all(type(item["type"]) is str for item in request.input)


def test_rich_request_is_parsed() -> None:
    request = CHAT.parse(RICH)
    assert [item["type"] for item in request.input] == [
        "message", "message", "message", "function_call", "custom_tool_call", "function_call_output",
        "custom_tool_call_output", "function_call", "function_call_output",
    ]  # fmt: skip


@pytest.mark.parametrize("path", [path for path in paths_in(RICH) if path], ids=lambda path: ".".join(map(str, path)))
def test_wrong_type_at_any_depth_is_never_a_crash(path: tuple[Any, ...]) -> None:
    wrong: Any
    for wrong in (None, True, -1, 1.5, 10**400, "", "x", [], [[]], [None], {}, {"type": []}, {"type": {}, "url": 1}):
        parses_or_is_refused(replaced(RICH, path, wrong))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(paths_in(RICH)[1:]), json_values)
def test_any_json_at_any_depth_is_never_a_crash(path: tuple[Any, ...], value: Any) -> None:
    parses_or_is_refused(replaced(RICH, path, value))


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(), json_values, max_size=6))
def test_any_body_is_never_a_crash(body: dict[str, Any]) -> None:
    parses_or_is_refused(body)
