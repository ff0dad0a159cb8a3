"""Whole answers as streams, read back by the readers of streams."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lib import sse
from lib.canonical.events import Collector, Event
from lib.upstreams.openai_whole import as_stream

CHAT, RESPONSES, COMPLETIONS = "/chat/completions", "/responses", "/completions"
CALL = {"id": "call_1", "type": "function", "function": {"name": "dive", "arguments": '{"depth":7}'}}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


def frames(path: str, whole: Any, *, with_usage: bool = False) -> list[dict[str, Any]]:
    stream = as_stream(path, whole, with_usage=with_usage)
    assert stream is not None
    found = [data for _, data in sse.Decoder(1 << 20).feed(stream)]
    if path != RESPONSES:
        assert found.pop() == b"[DONE]"
    return [msgspec.json.decode(data) for data in found]


def test_a_chat_becomes_chunks_with_all_that_it_said() -> None:
    logprobs = {"content": [{"token": "Hi"}]}
    whole = {
        **{"id": "c", "object": "chat.completion", "created": 1, "model": "m", "x_vendor": 1, "usage": USAGE},
        "choices": [
            {"message": {"role": "assistant", "content": "Hi"}, "logprobs": logprobs, "finish_reason": "length"},
            {"index": 1, "message": {"role": "assistant", "tool_calls": [CALL, CALL]}, "finish_reason": "tool_calls"},
        ],
    }
    said, *called, ended = frames(CHAT, whole)
    shared = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "x_vendor": 1}
    assert said == {
        **shared,
        "choices": [
            {
                **{"index": 0, "logprobs": logprobs, "finish_reason": None},
                "delta": {"role": "assistant", "content": "Hi"},
            },
            {"index": 1, "finish_reason": None, "delta": {"role": "assistant"}},
        ],
    }
    assert called == [
        {**shared, "choices": [{"index": 1, "finish_reason": None, "delta": {"tool_calls": [{"index": at, **CALL}]}}]}
        for at in range(2)
    ]
    ends = [
        {"index": 0, "finish_reason": "length", "delta": {}},
        {"index": 1, "finish_reason": "tool_calls", "delta": {}},
    ]
    assert ended == {**shared, "choices": ends}


def test_usage_is_a_chunk_of_its_own_for_those_who_asked_for_it() -> None:
    whole = {"error": None, "choices": [{"message": {"content": "Hi"}}], "usage": USAGE}
    *chunks, last = frames(CHAT, whole, with_usage=True)
    assert [(len(chunk["choices"]), chunk["usage"]) for chunk in chunks] == [(1, None), (1, None)]
    assert last == {"object": "chat.completion.chunk", "choices": [], "usage": USAGE}
    assert all("usage" not in chunk for chunk in frames(CHAT, whole))


def test_an_older_completion_becomes_chunks_of_its_own_kind() -> None:
    whole = {"object": "text_completion", "choices": [{"index": 0, "text": "Hi", "finish_reason": None}]}
    assert frames(COMPLETIONS, whole) == [
        {"object": "text_completion", "choices": [{"index": 0, "text": "Hi", "finish_reason": None}]},
        {"object": "text_completion", "choices": [{"index": 0, "finish_reason": "stop", "text": ""}]},
    ]


def test_a_response_becomes_events_that_make_the_same_output() -> None:
    text = {"type": "output_text", "text": "Hi", "annotations": [{"type": "url_citation"}], "logprobs": []}
    message = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [text]}
    refusal = {**message, "id": "m2", "content": [{"type": "refusal", "refusal": "No."}]}
    call = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "dive", "arguments": "{}"}
    output = [{"type": "reasoning", "id": "r1", "summary": []}, message, refusal, call, {"type": "image", "id": "i"}]
    whole = {"id": "resp_1", "status": "completed", "error": None, "output": output, "usage": {"input_tokens": 3}}
    events = frames(RESPONSES, whole)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[0]["response"] == {**whole, "status": "in_progress", "output": [], "usage": None}
    assert events[-1] == {"type": "response.completed", "response": whole, "sequence_number": len(events) - 1}
    deltas = [event["delta"] for event in events if event["type"].endswith(".delta")]
    assert deltas == ["Hi", "No.", "{}"]
    collector = Collector()
    for event in events[:-1]:
        if event["type"] != "response.output_item.done":
            collector.feed(Event.of(event))
    assert [item.get("content") for item in collector.output({})][1:3] == [
        [{**text, "annotations": []}],
        refusal["content"],
    ]


def test_an_incomplete_response_stays_incomplete() -> None:
    details = {"reason": "max_output_tokens"}
    last = frames(RESPONSES, {"status": "incomplete", "incomplete_details": details, "output": []})[-1]
    assert (last["type"], last["response"]["incomplete_details"]) == ("response.incomplete", details)
    assert frames(RESPONSES, {"output": []})[-1]["response"]["status"] == "completed"


ODD: list[Any] = [None, [], "Hi", {}, {"text": "Hi"}]
ODD_STATUSES: list[Any] = ["failed", "queued", "in_progress", {"status": "completed"}]
ODD_CHOICES: list[Any] = [None, [], [5], [{}], [{"message": "Hi"}], [{"message": {}}, 5]]


@pytest.mark.parametrize(
    ("path", "whole"),
    [
        *((path, odd) for path in (CHAT, RESPONSES, COMPLETIONS) for odd in ODD),
        *((CHAT, {"choices": odd}) for odd in ODD_CHOICES),
        (CHAT, {"output": []}),
        (RESPONSES, {"choices": [{"message": {}}]}),
        *((RESPONSES, {"output": [], "status": status}) for status in ODD_STATUSES),
    ],
)
def test_what_is_no_whole_answer_of_the_endpoint_is_none(path: str, whole: Any) -> None:
    assert as_stream(path, whole) is None


@pytest.mark.parametrize("item", [5, {}, {"type": "message"}, {"type": "message", "content": [5, {}, {"type": "x"}]}])
def test_odd_items_break_nothing(item: Any) -> None:
    assert frames(RESPONSES, {"output": [item]})[-1]["response"]["output"] == [item]
