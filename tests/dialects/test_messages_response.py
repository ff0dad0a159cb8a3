"""Canonical events → a Messages stream; streamed and whole answers agree."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import Message

from lib.canonical.events import Event
from lib.errors import GatewayError, UpstreamError
from tests.dialects.chat_streams import (
    added,
    call,
    created,
    done,
    ended,
    event,
    message,
    output_text,
    reasoning,
    response,
    text_deltas,
)
from tests.dialects.messages_streams import (
    GOOD_STREAMS,
    THINKING,
    accumulated,
    frames,
    recorded,
    rendered,
    renderer,
    shown,
)


@pytest.mark.parametrize("stops", [[], ["2. Buoy"], ["e"], ["never there", "it saves"]])
@pytest.mark.parametrize("thinking", [{}, THINKING, {"thinking": {"type": "adaptive", "display": "omitted"}}])
@pytest.mark.parametrize("name", GOOD_STREAMS)
def test_streamed_and_whole_answers_agree(name: str, thinking: dict[str, Any], stops: list[str]) -> None:
    events = recorded(name)
    body = {**thinking, "stop_sequences": stops}
    whole = renderer(**body).body(events[-1].fields["response"])
    assert accumulated(rendered(events, **body)) == whole
    Message.model_validate(whole, strict=True)


@pytest.mark.parametrize("name", GOOD_STREAMS)
def test_a_stream_has_one_beginning_and_one_end(name: str) -> None:
    kinds = [each["type"] for each in frames(rendered(recorded(name), **THINKING))]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert not {"message_start", "message_delta", "message_stop"}.intersection(kinds[1:-2])


@pytest.mark.parametrize("name", GOOD_STREAMS)
def test_events_behind_the_terminal_one_add_nothing(name: str) -> None:
    events = recorded(name)
    assert rendered([*events, *events, events[-1]]) == rendered(events)


@pytest.mark.parametrize("name", GOOD_STREAMS)
def test_the_terminal_event_alone_brings_everything(name: str) -> None:
    events = recorded(name)
    assert accumulated(rendered(events[-1:], **THINKING)) == accumulated(rendered(events, **THINKING))


def test_the_first_event_begins_the_message_with_an_estimate_of_its_input() -> None:
    (start,) = frames(renderer(stream=True).feed(created()))
    assert start["message"] == {
        "id": "msg_r1",
        "type": "message",
        "role": "assistant",
        "model": "claude-asked",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 11,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
            "output_tokens_details": {"thinking_tokens": 0},
        },
    }


def test_text_is_sent_as_it_comes() -> None:
    messages = renderer(stream=True)
    messages.feed(created())
    first, second, third = (messages.feed(each) for each in text_deltas("Hel", "", "lo [DONE]\n\u2028"))
    assert [each["type"] for each in frames(first)] == ["content_block_start", "content_block_delta"]
    assert second == b""
    assert frames(third) == [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo [DONE]\n\u2028"}}
    ]


def test_parallel_calls_that_interleave_come_one_after_the_other() -> None:
    first, second = call("c1", '{"a":1}'), call("c2", '{"b":2}')

    def piece(index: int, delta: str) -> Event:
        return event("response.function_call_arguments.delta", output_index=index, delta=delta)

    events = [
        created(),
        added(0, call("c1", "", status="in_progress")),
        added(1, call("c2", "", status="in_progress")),
        *[piece(0, '{"a"'), piece(1, '{"b"'), piece(0, ":1}"), piece(1, ":2}")],
        done(1, second),
        *text_deltas("late", at=(2, 0)),
        done(0, first),
        done(2, message(output_text("late"))),
        ended([first, second, message(output_text("late"))]),
    ]
    assert shown(events) == [
        {"type": "tool_use", "id": "c1", "name": "lookup", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2", "name": "lookup", "input": {"b": 2}},
        {"type": "text", "text": "late"},
    ]
    # The first call is sent while it is written.
    messages = renderer(stream=True)
    sent = [messages.feed(each) for each in events]
    assert b'\\"a\\"' in sent[3] and sent[4] == b"" and b":1}" in sent[5]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    for arguments in ("", "{}"):
        item = call("c1", arguments)
        assert shown([created(), added(0, item), done(0, item), ended([item])])[0]["input"] == {}
        assert b'"partial_json":"{}"' in rendered([created(), done(0, item), ended([item])])


@pytest.mark.parametrize("arguments", ['{"a":', "[]", '"a"', "nonsense"])
def test_a_finished_call_that_no_client_could_make_is_an_error(arguments: str) -> None:
    item = call("c1", arguments)
    messages = renderer(stream=True)
    messages.feed(created())
    with pytest.raises(UpstreamError, match="'lookup'") as caught:
        messages.feed(done(0, item))
    (failure,) = frames(messages.fail(caught.value))
    assert failure["error"]["type"] == "api_error"
    with pytest.raises(UpstreamError, match="no JSON object"):
        renderer().body(ended([item]).fields["response"])


def test_half_a_call_of_a_cut_answer_ends_the_message_and_is_left_out_of_a_whole_one() -> None:
    item = call("c1", '{"a":', status="incomplete")
    details = {"reason": "max_output_tokens"}
    terminal = ended([item], status="incomplete", incomplete_details=details)
    delta = event("response.function_call_arguments.delta", output_index=0, delta='{"a":')
    stream = rendered([created(), added(0, call("c1", "", status="in_progress")), delta, terminal])
    assert frames(stream)[-2]["delta"]["stop_reason"] == "max_tokens"
    assert frames(stream)[2]["delta"] == {"type": "input_json_delta", "partial_json": '{"a":'}
    whole = renderer().body(terminal.fields["response"])
    assert whole["content"] == [{"type": "text", "text": ""}]
    assert whole["stop_reason"] == "max_tokens"


def test_an_open_block_ends_when_something_else_begins() -> None:
    events = [
        created(),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="Hm."),
        *text_deltas("a", at=(1, 0)),
        *text_deltas("b", at=(1, 1)),
        added(2, call("c1", "")),
        ended(
            [
                {**reasoning("Hm."), "encrypted_content": "gAAA"},
                message(output_text("a"), output_text("b")),
                call("c1", "{}"),
            ]
        ),
    ]
    kinds = [block["type"] for block in shown(events, **THINKING)]
    assert kinds == ["thinking", "text", "text", "tool_use"]


def test_open_reasoning_is_thinking_too() -> None:
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    delta = event("response.reasoning_text.delta", output_index=0, content_index=0, delta="Hm.")
    whole = event("response.reasoning_text.done", output_index=0, content_index=0, text="Hm.")
    for events in ([delta, whole], [whole], []):
        (block,) = shown([created(), *events, done(0, item), ended([item])], **THINKING)
        assert block == {"type": "thinking", "thinking": "Hm.", "signature": "reasoning.v1:"}


def test_indices_may_be_missing() -> None:
    def bare(type: str, **members: Any) -> Event:
        return event(type, **members)

    item = call("c1", '{"a":1}')
    events = [
        created(),
        bare("response.output_item.added", item=message(id="msg_1")),
        bare("response.output_text.delta", delta="Hi", item_id="msg_1"),
        bare("response.output_item.done", item=message(output_text("Hi"), id="msg_1")),
        bare("response.output_item.added", item=call("c1", "")),
        bare("response.function_call_arguments.delta", item_id="fc_c1", delta='{"a":1}'),
        bare("response.output_item.done", item=item),
        ended([message(output_text("Hi"), id="msg_1"), item]),
    ]
    assert [block["type"] for block in shown(events)] == ["text", "tool_use"]


def test_items_that_have_no_ids_are_not_sent_twice() -> None:
    """The list at the end leaves the picture's index out of its own counting, and nothing has a name."""
    item = {name: value for name, value in call("c1", "{}").items() if name != "id"}
    said = {name: value for name, value in message(output_text("Hi")).items() if name != "id"}
    events = [created(), added(1, item), done(1, item), added(3, said), done(3, said), ended([item, said])]
    assert [block["type"] for block in shown(events)] == ["tool_use", "text"]


def test_an_answer_of_nothing_has_an_empty_text() -> None:
    assert shown([created(), ended([])]) == [{"type": "text", "text": ""}]
    assert renderer().body(ended([]).fields["response"])["content"] == [{"type": "text", "text": ""}]


@pytest.mark.parametrize("events", [[], [created()], [created(), *text_deltas("Hel", "lo")]])
def test_a_broken_stream_ends_with_an_error_and_never_well(events: list[Event]) -> None:
    messages = renderer(stream=True)
    stream = b"".join(map(messages.feed, events))
    stream += messages.fail(GatewayError("It broke.", status=503))
    last = frames(stream)[-1]
    assert last == {"type": "error", "error": {"type": "overloaded_error", "message": "It broke."}}
    assert b"message_stop" not in stream and b'stop_reason":"' not in stream
    assert messages.feed(ended([])) == b""


def test_silence_is_filled_with_pings() -> None:
    assert renderer().keep_alive == b'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.mark.parametrize(
    "broken",
    [
        event("response.output_text.delta", delta=1),
        event("response.output_text.delta", delta="a", output_index="x"),
        event("response.output_item.done", output_index="0", item=message()),
        event("response.output_item.done", output_index=0, item={"type": "message", "content": 7}),
        event("response.completed"),
        Event("response.output_text.delta", b'{"delta":"\xff"}'),
        Event("response.output_text.delta", b"{"),
    ],
    ids=lambda each: each.data.decode(errors="replace")[:60],
)
def test_events_of_the_wrong_shape_are_an_upstream_error(broken: Event) -> None:
    messages = renderer(stream=True)
    messages.feed(created())
    with pytest.raises(UpstreamError):
        messages.feed(broken)


def test_a_picture_is_a_text_block_in_markdown() -> None:
    picture = {"id": "ig_1", "type": "image_generation_call", "action": "generate", "result": "aGk="}
    failed = {"id": "ig_2", "type": "image_generation_call", "status": "failed"}
    first, last = message(output_text("one, tw")), message(output_text("o"), id="msg_2")
    output = [first, picture, failed, last]
    events = [created(), *text_deltas("one, t", "w"), *(done(index, item) for index, item in enumerate(output))]
    blocks = shown([*events, ended(output)], stop_sequences=["two"])
    assert [block["text"] for block in blocks] == ["one, tw", "![image](data:image/png;base64,aGk=)", "o"]
    assert blocks == renderer(stop_sequences=["two"]).body(response(output))["content"]


def test_no_picture_is_shown_behind_a_stop_sequence() -> None:
    picture = {"id": "ig_1", "type": "image_generation_call", "result": "aGk="}
    output = [message(output_text("one, two")), picture]
    events = [created(), *text_deltas("one, two"), done(1, picture), ended(output)]
    blocks = shown(events, stop_sequences=["two"])
    assert [block["text"] for block in blocks] == ["one, "]
    assert blocks == renderer(stop_sequences=["two"]).body(response(output))["content"]
