"""Bodies that are forwarded unread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from lib.canonical.hosted import FLAGS
from lib.dialects.forward import ENDPOINTS, UnreadJson, affinity_of_body, forwards, is_plain, unread_form, unread_json
from lib.dialects.forward_form import Form, FormPart, Span
from lib.errors import InvalidRequest, NotAllowed

SPEECH = ENDPOINTS["/audio/speech"]
TRANSCRIPTIONS = ENDPOINTS["/audio/transcriptions"]
CHAT_BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def form(*parts: tuple[str, str | None, bytes]) -> Form:
    return Form(
        b"raw",
        "multipart/form-data; boundary=b",
        tuple(FormPart(name, filename, "", data, Span(0, 0, 0)) for name, filename, data in parts),
    )


def refused(endpoint: str, body: Mapping[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        unread_json(ENDPOINTS[endpoint], body, b"")
    return caught.value


def test_a_body_goes_as_it_came_when_the_models_name_stays() -> None:
    raw = b'{ "input" : "Hi\\u00e9", "speed":1.50, "model" : "tts-1" }'
    unread = unread_json(SPEECH, msgspec.json.decode(raw), raw)

    for model in ("tts-1", None):
        request = unread.forwarded(SPEECH.path, model)
        assert request.content is raw
        assert (request.path, request.content_type, request.stream) == ("/audio/speech", "application/json", False)


def test_another_model_replaces_the_name_and_nothing_else() -> None:
    raw = b'{"a":1.50,"model": "x/m","b":[ 1e400, 123456789012345678901234567890, "\\u00e9"],"input":""}'
    unread = UnreadJson({"model": "x/m"}, raw)

    assert unread.forwarded("/x", 'm"\n').content == (
        b'{"a":1.50,"model":"m\\"\\n","b":[ 1e400, 123456789012345678901234567890, "\\u00e9"],"input":""}'
    )


def test_where_one_model_alone_is_allowed_the_body_names_one_alone() -> None:
    raw = b'{"model":"dear","input":"Hi","model":"cheap"}'
    unread = UnreadJson(msgspec.json.decode(raw), raw)

    assert unread.model == "cheap"
    assert unread.forwarded("/x", "cheap", sole=True).content == b'{"model":"cheap","input":"Hi"}'


@pytest.mark.parametrize("name", ["models", "Model", "MODELS"])
def test_where_one_model_alone_is_allowed_no_other_member_may_name_one(name: str) -> None:
    """Servers in Go take `Model` for `model`, the last one of them."""
    raw = b'{"model":"cheap","%b":"dear"}' % name.encode()
    unread = UnreadJson(msgspec.json.decode(raw), raw)
    with pytest.raises(NotAllowed) as caught:
        unread.forwarded("/x", "cheap", sole=True)
    assert caught.value.param == name
    assert unread.forwarded("/x", "cheap").content == raw


def test_a_missing_model_is_added_when_the_route_has_one() -> None:
    raw = b'{"input":"Hi"}'
    unread = unread_json(ENDPOINTS["/moderations"], msgspec.json.decode(raw), raw)

    assert unread.model is None
    assert unread.forwarded("/moderations", None).content == raw
    assert msgspec.json.decode(unread.forwarded("/moderations", "m").content) == {"input": "Hi", "model": "m"}


@pytest.mark.parametrize(
    ("endpoint", "body", "param", "code"),
    [
        ("/audio/speech", {"input": "Hi"}, "model", "missing_required_parameter"),
        ("/audio/speech", {"input": "Hi", "model": ["m"]}, "model", "invalid_type"),
        ("/audio/speech", {"model": "m"}, "input", "missing_required_parameter"),
        ("/audio/speech", {"model": "m", "input": ["Hi"]}, "input", "invalid_type"),
        ("/embeddings", {"model": "m", "input": 5}, "input", "invalid_type"),
        ("/embeddings", {"model": "m", "input": None}, "input", "missing_required_parameter"),
        ("/moderations", {}, "input", "missing_required_parameter"),
        ("/completions", {"prompt": "x"}, "model", "missing_required_parameter"),
    ],
)
def test_what_makes_a_request_must_be_there(endpoint: str, body: dict[str, Any], param: str, code: str) -> None:
    error = refused(endpoint, body)

    assert (error.param, error.code, error.status) == (param, code, 400)


def test_a_stream_is_known_by_the_members_that_ask_for_it() -> None:
    assert UnreadJson({"stream": True}, b"").stream
    assert UnreadJson({"stream_format": "sse"}, b"").stream
    assert not UnreadJson({"stream": "true"}, b"").stream
    file = ("file", "a.wav", b"RIFF")
    assert unread_form(TRANSCRIPTIONS, form(file, ("model", None, b"m"), ("stream", None, b"True"))).stream
    assert not unread_form(TRANSCRIPTIONS, form(file, ("model", None, b"m"), ("stream", None, b"false"))).stream


@pytest.mark.parametrize(
    ("parts", "param", "code"),
    [
        ([("model", None, b"m")], "file", "missing_required_parameter"),
        ([("model", None, b"m"), ("file", None, b"x")], "file", "invalid_form"),
        ([("file", "a", b"x")], "model", "missing_required_parameter"),
        ([("file", "a", b"x"), ("model", None, b"")], "model", "missing_required_parameter"),
        ([("file", "a", b"x"), ("model", None, b"m"), ("model", None, b"n")], "model", "invalid_form"),
        ([("file", "a", b"x"), ("model", None, b"\xff")], "model", "invalid_form"),
    ],
)
def test_what_makes_a_form_must_be_there_once(
    parts: list[tuple[str, str | None, bytes]], param: str, code: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        unread_form(TRANSCRIPTIONS, form(*parts))

    assert (caught.value.param, caught.value.code, caught.value.status) == (param, code, 400)


@pytest.mark.parametrize(
    ("dialect", "more", "is_forwarded"),
    [
        ("chat", {}, True),
        ("chat", {"model": None, "stream": True, "n": 3, "unheard_of": {}}, True),
        ("chat", {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom"}]}, True),
        ("chat", {"tools": [{"type": "web_search"}]}, False),
        ("chat", {"tools": [{"type": "image_generation"}]}, False),
        ("chat", {"tools": "all"}, False),
        ("chat", {"tools": [7]}, False),
        *(("chat", {flag: value}, False) for flag in sorted(FLAGS) for value in (True, False)),
        ("chat", {"messages": []}, False),
        ("chat", {"messages": "Hi"}, False),
        ("chat", {"model": 5}, False),
        ("chat", {"stream": "true"}, False),
        ("responses", {"input": "Hi"}, True),
        ("responses", {"input": [], "tools": [{"type": "web_search"}, {"type": "image_generation"}]}, True),
        ("responses", {"input": "Hi", "background": True}, False),
        ("responses", {"input": "Hi", "function_web_search": True}, False),
        ("responses", {}, False),
        ("messages", {}, False),
    ],
)
def test_a_body_is_forwarded_when_the_gateway_has_nothing_to_do_with_it(
    dialect: str, more: dict[str, Any], is_forwarded: bool
) -> None:
    assert forwards(dialect, CHAT_BODY | more) is is_forwarded


def test_the_conversation_key_is_what_the_caller_names_first() -> None:
    body = {**CHAT_BODY, "user": "u", "prompt_cache_key": "k"}

    assert affinity_of_body(body, "s") == "k"
    assert affinity_of_body(CHAT_BODY | {"user": "u"}, "s") == "s"
    assert affinity_of_body(CHAT_BODY | {"user": "u"}) == "u"


def test_later_turns_keep_the_conversation_key_and_other_conversations_have_another() -> None:
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ]
    first = affinity_of_body({"messages": turns})

    assert affinity_of_body({"messages": [*turns, {"role": "assistant", "content": "a"}, turns[1]]}) == first
    assert affinity_of_body({"messages": [turns[0], {"role": "user", "content": "Ho"}]}) != first
    assert affinity_of_body({"input": "Hi"}) == affinity_of_body({"input": [{"role": "user", "content": "Hi"}]})


@pytest.mark.parametrize(
    "odd", [None, 5, "x", [], [[1, 2]], [None], {"a": 1}, [{"role": 1, "content": [[5]]}], "\ud800"]
)
def test_the_conversation_key_of_any_body_is_a_hash(odd: Any) -> None:
    assert all(len(affinity_of_body({name: odd})) == 32 for name in ("messages", "input", "prompt", "instructions"))


TOOL = {"type": "function", "function": {"name": "dive"}}
ASKED = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("more", "plain"),
    [
        ({}, True),
        ({"tools": None, "tool_choice": None, "response_format": None}, True),
        ({"temperature": 0.5, "stop": ["x"], "response_format": {"type": "text"}}, True),
        ({"tools": [TOOL]}, False),
        ({"tools": []}, False),
        ({"tool_choice": "none"}, False),
        ({"parallel_tool_calls": False}, False),
        ({"functions": [{"name": "dive"}]}, False),
        ({"function_call": "auto"}, False),
        ({"web_search_options": {}}, False),
        ({"response_format": {"type": "json_object"}}, False),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, False),
        ({"response_format": 5}, False),
        ({"messages": [ASKED, {"role": "assistant", "content": "Hi", "tool_calls": None}, ASKED]}, True),
        ({"messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": [{}]}]}, False),
        ({"messages": [ASKED, {"role": "assistant", "function_call": {"name": "dive"}}]}, False),
        ({"messages": [ASKED, {"role": "tool", "tool_call_id": "c", "content": "7"}]}, False),
        ({"messages": [ASKED, {"role": "function", "name": "dive", "content": "7"}]}, False),
        ({"messages": [ASKED, "Hi"]}, False),
        ({"messages": [ASKED, {"role": ["tool"]}]}, True),
    ],
)
def test_a_plain_chat_has_nothing_of_tools_in_it(more: dict[str, Any], plain: bool) -> None:
    assert is_plain("chat", {"messages": [ASKED]} | more) is plain


@pytest.mark.parametrize(
    ("more", "plain"),
    [
        ({}, True),
        ({"input": [ASKED, {"type": "message", **ASKED}, {"type": "reasoning", "summary": []}]}, True),
        ({"text": {"verbosity": "low"}}, True),
        ({"text": {"format": {"type": "text"}}}, True),
        ({"text": {"format": {"type": "json_object"}}}, False),
        ({"text": "low"}, False),
        ({"tools": [{"type": "web_search"}]}, False),
        ({"tool_choice": "auto"}, False),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, False),
        ({"input": [{"type": "custom_tool_call_output", "call_id": "c"}]}, False),
        ({"input": [{"type": "item_reference", "id": "i"}]}, False),
        ({"input": ["Hi"]}, False),
    ],
)
def test_a_plain_response_has_nothing_of_tools_in_it(more: dict[str, Any], plain: bool) -> None:
    assert is_plain("responses", {"input": "Hi"} | more) is plain
