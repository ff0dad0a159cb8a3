"""Canonical events → chat chunks; streamed and whole answers agree."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from lib import sse
from lib.canonical.events import Event
from lib.errors import GatewayError, UpstreamError, Verdict
from tests.dialects.chat_streams import (
    added,
    call,
    chunks,
    created,
    deltas,
    done,
    ended,
    event,
    finish,
    joined,
    message,
    output_text,
    reasoning,
    recorded,
    rendered,
    renderer,
    text_deltas,
)

GOOD_STREAMS = [
    "text",
    "reasoning",
    "function_call",
    "parallel_calls",
    "custom_tool_call",
    "refusal",
    "incomplete",
    "incomplete_content_filter",
    "empty_completed_output",
    "web_search",
    "image",
]
INCLUDE_USAGE = {"stream_options": {"include_usage": True}}
CITATION = {"type": "url_citation", "start_index": 1, "end_index": 3, "title": "T", "url": "https://example.org/"}


def cited(start: int, end: int) -> dict[str, Any]:
    members = {"start_index": start, "end_index": end, "title": "T", "url": "https://example.org/"}
    return {"type": "url_citation", "url_citation": members}


def summary_deltas(*deltas: tuple[int, str]) -> list[Event]:
    kind = "response.reasoning_summary_text.delta"
    return [event(kind, output_index=0, summary_index=index, delta=text) for index, text in deltas]


# --- Whole streams ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOOD_STREAMS)
def test_streamed_and_whole_answers_agree(name: str) -> None:
    events = recorded(name)
    whole = renderer().body(events[-1].fields["response"])
    choice = whole["choices"][0]
    stream = rendered(events, **INCLUDE_USAGE)
    assert joined(stream) == choice["message"]
    first, *_, last = chunks(stream)
    assert last["usage"] == whole["usage"]
    assert [first[name] for name in ("id", "created", "model")] == [whole[name] for name in ("id", "created", "model")]
    assert [each["choices"][0]["finish_reason"] for each in chunks(stream)[-2:-1]] == [choice["finish_reason"]]


@pytest.mark.parametrize("name", GOOD_STREAMS)
def test_official_models_take_every_chunk_and_the_whole_answer(name: str) -> None:
    events = recorded(name)
    for each in chunks(rendered(events, **INCLUDE_USAGE)):
        ChatCompletionChunk.model_validate(without_custom_calls(each), strict=True)
    whole = renderer().body(events[-1].fields["response"])
    assert ChatCompletion.model_validate(whole, strict=True).choices[0].message.role == "assistant"


def without_custom_calls(chunk: dict[str, Any]) -> dict[str, Any]:
    """The official chunk model knows function calls only."""
    for choice in chunk["choices"]:
        calls = choice["delta"].get("tool_calls", [])
        choice["delta"]["tool_calls"] = [each for each in calls if "custom" not in each]
    return chunk


@pytest.mark.parametrize("name", GOOD_STREAMS)
def test_chunks_keep_the_rules_of_the_format(name: str) -> None:
    found = chunks(rendered(recorded(name)))
    assert len({(each["id"], each["created"], each["model"]) for each in found}) == 1
    assert found[0]["id"] == "chatcmpl-r1"
    choices = [choice for each in found for choice in each["choices"]]
    assert len(choices) == len(found)
    assert [("role" in choice["delta"]) for choice in choices] == [True] + [False] * (len(choices) - 1)
    assert [choice["finish_reason"] is None for choice in choices] == [True] * (len(choices) - 1) + [False]
    assert all(len(choice["delta"].get("tool_calls", [])) <= 1 for choice in choices)
    assert not any("usage" in each for each in found)


@pytest.mark.parametrize("name", GOOD_STREAMS)
def test_events_behind_the_terminal_one_add_nothing(name: str) -> None:
    events = recorded(name)
    assert rendered([*events, *events, events[-1]]) == rendered(events)


@pytest.mark.parametrize("name", GOOD_STREAMS)
def test_answer_is_complete_however_little_was_streamed(name: str) -> None:
    """No deltas, only finished items, or only the terminal event: the message is the same."""
    events = recorded(name)
    expected = sorted_calls(joined(rendered(events)))
    without_deltas = [each for each in events if not each.type.endswith(".delta")]
    items = [each for each in events if each.type == "response.output_item.done"]
    for fewer in (without_deltas, [*items, events[-1]], [events[-1]]):
        assert sorted_calls(joined(rendered(fewer))) == expected


def sorted_calls(message: dict[str, Any]) -> dict[str, Any]:
    """Without announcements, calls come in the order in which they were finished."""
    message.get("tool_calls", []).sort(key=lambda each: each["id"])
    return message


# --- Text -------------------------------------------------------------------------------------------------------------


def test_text_is_kept_byte_for_byte() -> None:
    pieces = [
        " ",
        "\n\n",
        "\t",
        "[DONE]",
        "data: x\n\ndata: [DONE]\n\n",
        "\u2028\u2029\x85",
        'exec_command("é")',
        "😀",
        "\x00",
    ]
    stream = rendered([created(), *text_deltas(*pieces), ended()])
    assert [delta["content"] for delta in deltas(stream)] == pieces
    assert stream.count(b"\n\n") == len(chunks(stream)) + 1


def test_text_chunk_has_the_shape_of_every_other_chunk() -> None:
    stream = rendered([created(), *text_deltas("a", "b"), ended()], **INCLUDE_USAGE)
    first, second = chunks(stream)[1:3]
    assert second == first | {"choices": [first["choices"][0] | {"delta": {"content": "b"}}]}
    assert list(second) == ["id", "object", "created", "model", "service_tier", "choices", "usage"]


def test_empty_delta_makes_no_chunk() -> None:
    assert deltas(rendered([created(), *text_deltas("", "a", ""), ended()])) == [{"content": "a"}]


def test_nothing_is_sent_before_there_is_output() -> None:
    chat = renderer(stream=True)
    preamble = [created(), event("response.in_progress", response={}), added(0, reasoning()), done(0, reasoning())]
    assert b"".join(map(chat.feed, preamble)) == b""


def test_answer_without_output_still_has_role_and_finish() -> None:
    stream = rendered([created(), ended()])
    assert (deltas(stream), finish(stream)) == ([], "stop")


def test_several_messages_are_joined_as_they_come() -> None:
    stream = rendered([created(), *text_deltas("a"), *text_deltas("b", at=(1, 0)), ended()])
    assert joined(stream)["content"] == "ab"


def test_model_and_time_fall_back_to_the_request_and_the_clock() -> None:
    found = chunks(rendered([*text_deltas("a"), ended()]))
    assert {(each["model"], each["created"]) for each in found} == {("asked-model", 1_700_000_000)}


def test_refusal_goes_to_its_own_member() -> None:
    pieces = [event("response.refusal.delta", output_index=0, content_index=0, delta=each) for each in ("I ", "can't.")]
    last = event("response.refusal.done", output_index=0, content_index=0, refusal="I can't.")
    stream = rendered([created(), *pieces, last, ended()])
    assert deltas(stream) == [{"refusal": "I "}, {"refusal": "can't."}]
    assert finish(stream) == "stop"


def test_citation_counts_from_the_beginning_of_the_whole_content() -> None:
    first, second = output_text("four", CITATION), output_text("text", CITATION)
    note = event("response.output_text.annotation.added", output_index=0, content_index=0, annotation=CITATION)
    output = [message(first), message(second, id="msg_2")]
    events = [*text_deltas("fo", "ur"), note, done(0, output[0]), *text_deltas("text", at=(1, 0)), done(1, output[1])]
    stream = rendered([created(), *events, ended(output)])
    assert joined(stream)["annotations"] == [cited(1, 3), cited(5, 7)]
    assert renderer().body(ended(output).fields["response"])["choices"][0]["message"] == joined(stream)


# --- Reasoning --------------------------------------------------------------------------------------------------------


def test_parts_of_reasoning_are_separated_by_a_blank_line() -> None:
    summary = summary_deltas((0, "**Pl"), (0, "an**"), (1, "Then"), (1, ""))
    stream = rendered([created(), *summary, done(0, reasoning("**Plan**", "Then")), ended()])
    assert [delta["reasoning_content"] for delta in deltas(stream)] == ["**Pl", "an**", "\n\nThen"]


def test_raw_reasoning_is_shown_the_same_way() -> None:
    raw = [event("response.reasoning_text.delta", output_index=0, content_index=0, delta=each) for each in ("a", " ")]
    again = event("response.reasoning_text.done", output_index=0, content_index=0, text="a ")
    assert joined(rendered([created(), *raw, again, ended()]))["reasoning_content"] == "a "


def test_blank_parts_of_reasoning_are_kept() -> None:
    stream = rendered([created(), *summary_deltas((0, "<!-- -->"), (1, " ")), ended()])
    assert joined(stream)["reasoning_content"] == "<!-- -->\n\n "


# --- Calls ------------------------------------------------------------------------------------------------------------


def arguments(index: int | None, delta: str, **members: Any) -> Event:
    where = {} if index is None else {"output_index": index}
    return event("response.function_call_arguments.delta", delta=delta, **where, **members)


def test_interleaved_calls_are_told_apart() -> None:
    first, second = call("call_a", '{"a":1}'), call("call_b", '{"b":2}')
    stream = rendered(
        [
            created(),
            added(1, first | {"arguments": ""}),
            added(2, second | {"arguments": ""}),
            arguments(1, '{"a"'),
            arguments(2, '{"b"'),
            arguments(1, ":1}"),
            arguments(2, ":2}"),
            done(2, second),
            done(1, first),
            ended([reasoning(), first, second]),
        ]
    )
    told = [delta["tool_calls"][0] for delta in deltas(stream)]
    assert told[0] == {"index": 0, "id": "call_a", "type": "function", "function": {"name": "lookup", "arguments": ""}}
    assert [each["index"] for each in told] == [0, 1, 0, 1, 0, 1]
    assert told[2] == {"index": 0, "function": {"arguments": '{"a"'}}
    assert [each["function"]["arguments"] for each in joined(stream)["tool_calls"]] == ['{"a":1}', '{"b":2}']
    assert finish(stream) == "tool_calls"


def test_calls_are_told_apart_by_item_id_where_the_index_is_missing() -> None:
    items = [call("call_a", ""), call("call_b", "")]
    opened = [event("response.output_item.added", item=item) for item in items]
    pieces = [arguments(None, each, item_id=f"fc_call_{each}") for each in "ba"]
    stream = rendered([created(), *opened, *pieces, ended()])
    assert [each["function"]["arguments"] for each in joined(stream)["tool_calls"]] == ["a", "b"]


def test_arguments_without_deltas_are_sent_once() -> None:
    item = call("call_a", '{"a":1}')
    whole = event("response.function_call_arguments.done", output_index=0, arguments='{"a":1}')
    stream = rendered([created(), added(0, item | {"arguments": ""}), whole, done(0, item), ended([item])])
    assert [delta["tool_calls"][0]["function"]["arguments"] for delta in deltas(stream)] == ["", '{"a":1}']


def test_call_that_was_never_announced_comes_in_one_chunk() -> None:
    item = call("call_a", '{"a":1}')
    stream = rendered([created(), arguments(0, '{"a"'), done(0, item), ended([item])])
    (delta,) = deltas(stream)
    assert delta["tool_calls"] == [
        {"index": 0, "id": "call_a", "type": "function", "function": {"name": "lookup", "arguments": '{"a":1}'}}
    ]


def test_call_without_arguments_has_an_empty_object() -> None:
    item = call("call_a", "")
    empty = event("response.function_call_arguments.done", output_index=0, arguments="")
    stream = rendered([created(), added(0, item), empty, done(0, item), ended([item])])
    assert joined(stream)["tool_calls"][0]["function"]["arguments"] == "{}"


def test_cut_call_is_not_completed() -> None:
    item = call("call_a", '{"a"', status="incomplete")
    details = {"reason": "max_output_tokens"}
    last = ended([item], status="incomplete", incomplete_details=details)
    stream = rendered([created(), added(0, item | {"arguments": ""}), arguments(0, '{"a"'), done(0, item), last])
    assert joined(stream)["tool_calls"][0]["function"]["arguments"] == '{"a"'
    assert finish(stream) == "length"
    bare = call("call_a", "", status="incomplete")
    last = ended([bare], status="incomplete", incomplete_details=details)
    stream = rendered([created(), added(0, bare), done(0, bare), last])
    assert joined(stream)["tool_calls"][0]["function"]["arguments"] == ""


def test_custom_call_streams_its_input() -> None:
    item = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_c", "name": "patch", "input": "a\nb"}
    pieces = [event("response.custom_tool_call_input.delta", output_index=0, delta=each) for each in ("a\n", "b")]
    stream = rendered([created(), added(0, item | {"input": ""}), *pieces, done(0, item), ended([item])])
    told = [delta["tool_calls"][0] for delta in deltas(stream)]
    assert told[0] == {"index": 0, "id": "call_c", "type": "custom", "custom": {"name": "patch", "input": ""}}
    assert told[1:] == [{"index": 0, "custom": {"input": "a\n"}}, {"index": 0, "custom": {"input": "b"}}]
    assert finish(stream) == "tool_calls"


def test_legacy_client_gets_one_function_call() -> None:
    items = [call("call_a", '{"a":1}'), call("call_b", "{}")]
    opened = [added(index, item | {"arguments": ""}) for index, item in enumerate(items)]
    events = [created(), *opened, arguments(0, '{"a":1}'), arguments(1, "{}"), ended(items)]
    body = {"functions": [{"name": "lookup"}]}
    stream = rendered(events, **body)
    assert deltas(stream) == [
        {"function_call": {"name": "lookup", "arguments": ""}},
        {"function_call": {"arguments": '{"a":1}'}},
    ]
    assert finish(stream) == "function_call"
    whole = renderer(**body).body(events[-1].fields["response"])["choices"][0]
    assert (whole["message"], whole["finish_reason"]) == (joined(stream), "function_call")


# --- The end ----------------------------------------------------------------------------------------------------------


def test_usage_chunk_comes_last_and_only_on_request() -> None:
    events = [created(), *text_deltas("a"), ended()]
    *others, last = chunks(rendered(events, **INCLUDE_USAGE))
    assert all(each["usage"] is None for each in others)
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (20, 12)
    assert not any("usage" in each for each in chunks(rendered(events, stream_options={"include_usage": False})))


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "content_filter"),
        ({"reason": "something_new"}, "length"),
        (None, "length"),
    ],
)
def test_incomplete_answer_says_why(details: Any, expected: str) -> None:
    last = ended(status="incomplete", incomplete_details=details)
    assert finish(rendered([created(), *text_deltas("a"), last])) == expected


def test_broken_stream_ends_in_an_error_and_never_in_a_finish_reason() -> None:
    chat = renderer(stream=True, **INCLUDE_USAGE)
    error = UpstreamError("The upstream stream broke off.", verdict=Verdict.SERVICE, code="upstream_truncated")
    stream = b"".join(map(chat.feed, [created(), *text_deltas("a")])) + chat.fail(error)
    *others, last = chunks(stream)
    assert last == error.envelope()
    assert all(each["choices"][0]["finish_reason"] is None for each in others)
    assert chat.feed(ended()) == b""


def test_failure_before_any_event_is_one_error_and_done() -> None:
    assert chunks(renderer(stream=True).fail(GatewayError("No."))) == [GatewayError("No.").envelope()]


def test_keep_alive_is_a_comment() -> None:
    assert renderer().keep_alive == sse.KEEP_ALIVE


# --- Damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("response.output_text.delta", b'{"delta":5}'),
        ("response.output_text.delta", b'{"delta":"a'),
        ("response.output_text.delta", b'{"delta":"\xff"}'),
        ("response.output_text.delta", b"[" * 100_000),
        ("response.output_text.done", b'{"text":{}}'),
        ("response.function_call_arguments.delta", b'{"delta":[]}'),
        ("response.output_item.added", b'{"item":{"type":"function_call","name":5}}'),
        ("response.output_item.done", b'{"output_index":"0","item":{"type":"message"}}'),
        ("response.created", b'{"response":[]}'),
        ("response.completed", b"{}"),
    ],
)
def test_event_that_breaks_the_protocol_is_the_upstreams_failure(type: str, data: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        renderer(stream=True).feed(Event(type, data))
    assert caught.value.code == "upstream_bad_response"


def test_events_that_a_chat_has_no_place_for_add_nothing() -> None:
    search = {"id": "ws_1", "type": "web_search_call", "action": {"type": "search", "query": "q"}}
    failed = {"id": "ig_1", "type": "image_generation_call", "status": "failed", "result": None}
    events = [
        event("response.web_search_call.searching", output_index=0, item_id="ws_1"),
        event("response.something.new", anything=[1]),
        added(0, search),
        done(0, search),
        event("response.image_generation_call.partial_image", output_index=1, partial_image_b64="aGk="),
        done(1, failed),
    ]
    assert deltas(rendered([created(), *events, ended([search, failed])])) == []
