from __future__ import annotations

import msgspec
import pytest

from lib.dialects.forward_wires import CHAT, RESPONSES, SPEECH, TRANSCRIPT, Wire


@pytest.mark.parametrize(
    ("wire", "piece", "ends"),
    [
        (CHAT, b"data: [DONE]\n\n", True),
        (CHAT, b"data: 1\n\ndata:[DONE] \n\n\n", True),
        (CHAT, b'data: "data: [DONE]"\n\n', False),
        (CHAT, b"xdata: [DONE]\n\n", False),
        (CHAT, b"event: response.completed\ndata: {}\n\n", False),
        (RESPONSES, b"data: [DONE]\n\n", False),
        (RESPONSES, b'data: {"type":"response.output_text.delta","delta":"response.completed"}\n\n', False),
        (RESPONSES, b'event: response.completed\ndata: {}\n\ndata: {"type":"x"}\n\n', False),
        (RESPONSES, b'id: 4\nevent: response.completed\ndata: {"a":1,\ndata: "type":"response.completed"}\n\n', True),
        (RESPONSES, b"data: 5\n\n", False),
        (SPEECH, b'data: {"type":"speech.audio.done"}\n\n', True),
        (SPEECH, b'data: {"type":"transcript.text.done"}\n\n', False),
        (TRANSCRIPT, b'data: {"type": "transcript.text.done","text":""}\n\n', True),
        (TRANSCRIPT, b"event: error\ndata: {}\n\n", True),
    ],
)
def test_a_stream_ends_with_its_own_last_event_alone(wire: Wire, piece: bytes, ends: bool) -> None:
    assert wire.ends(piece) is ends


def test_a_stream_that_has_to_stop_ends_as_one_that_is_too_long() -> None:
    first = b'data: {"id":"c1","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"delta":{}}]}\n\n'
    end = CHAT.cut(first, first, b"")
    assert end is not None and end.endswith(b"data: [DONE]\n\n")
    last = msgspec.json.decode(end.split(b"\n")[0].removeprefix(b"data: "))
    assert last == {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "m",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}],
    }
    older = CHAT.cut(b'data: {"object":"text_completion","choices":[]}\n\n', b"", b"")
    assert older is not None and b'"text":""' in older


@pytest.mark.parametrize("together", [True, False])
def test_a_chunk_that_says_nothing_of_itself_is_no_pattern_for_the_end(together: bool) -> None:
    first = b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[]}\n\n'
    second = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0}]}\n\n'
    end = CHAT.cut(first + second if together else first, second, b"")
    assert end is not None and end.startswith(
        b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m"'
    )


def test_every_choice_that_is_open_gets_its_end() -> None:
    first = b'data: {"object":"chat.completion.chunk","choices":[{"index":1,"delta":{"content":"a"}}]}\n\n'
    tail = first + b'data: {"choices":[{"index":0,"finish_reason":"stop"},{"index":2,"delta":{}}]}\n\n'
    end = CHAT.cut(first, tail, b"")
    assert end is not None
    last = msgspec.json.decode(end.split(b"\n")[0].removeprefix(b"data: "))
    assert [(each["index"], each["finish_reason"]) for each in last["choices"]] == [(1, "length"), (2, "length")]


def test_a_response_that_has_to_stop_is_incomplete() -> None:
    first = b'data: {"type":"response.created","response":{"id":"r","status":"in_progress"},"sequence_number":0}\n\n'
    end = RESPONSES.cut(first, first, b"")
    assert end is not None and end.startswith(b"event: response.incomplete\n")
    event = msgspec.json.decode(end.split(b"\n")[1].removeprefix(b"data: "))
    assert event["sequence_number"] == 1 and event["response"]["status"] == "incomplete"
    assert event["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize(("wire", "first"), [(CHAT, b"data: no json\n\n"), (CHAT, b""), (RESPONSES, b"data: {}\n\n")])
def test_what_did_not_say_what_it_is_has_no_such_end(wire: Wire, first: bytes) -> None:
    assert wire.cut(first, first, b"") is None and SPEECH.cut(first, first, b"") is None
