"""The end of a Responses stream that is cut short."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lib import sse
from lib.dialects.forward_cut import cut_short
from lib.dialects.forward_tail import frames_in

STREAMS = Path(__file__).parents[1] / "streams"
RESPONSE = {"id": "resp_1", "status": "in_progress", "output": [], "metadata": {"a": "b"}}


def end_of(seen: bytes, number: int = 7) -> list[dict[str, Any]]:
    events = [msgspec.json.decode(data) for data in frames_in(cut_short(RESPONSE, seen, number))]
    assert [event["sequence_number"] for event in events] == list(range(number, number + len(events)))
    assert events[-1]["type"] == "response.incomplete"
    return events


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(sse.encode(msgspec.json.encode(event)) for event in events)


def test_the_open_text_is_closed_and_all_items_are_in_the_end() -> None:
    reasoning = {"type": "reasoning", "id": "r1", "summary": []}
    message = {"type": "message", "id": "m1", "role": "assistant", "status": "in_progress", "content": []}
    place = {"output_index": 1, "item_id": "m1", "content_index": 0}
    seen = stream(
        {"type": "response.created", "response": RESPONSE},
        {"type": "response.output_item.done", "output_index": 0, "item": reasoning},
        {"type": "response.output_item.added", "output_index": 1, "item": message},
        {"type": "response.output_text.delta", **place, "delta": "Hello "},
        {"type": "response.output_text.delta", **place, "delta": "you"},
    )
    done, part, item, incomplete = end_of(seen)
    text = {"type": "output_text", "text": "Hello you", "annotations": [], "logprobs": []}
    said = {**message, "status": "incomplete", "content": [text]}
    assert done == {
        **{"type": "response.output_text.done", "sequence_number": 7, "text": "Hello you", "logprobs": []},
        **place,
    }
    assert (part["type"], part["part"]) == ("response.content_part.done", text)
    assert (item["type"], item["item"]) == ("response.output_item.done", said)
    assert incomplete["response"] == {
        **RESPONSE,
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [reasoning, said],
    }


def test_the_tokens_of_an_open_text_are_in_its_end() -> None:
    message = {"type": "message", "id": "m1", "role": "assistant", "status": "in_progress", "content": []}
    token = {"token": "Hi", "logprob": -1.0, "top_logprobs": []}
    place = {"output_index": 0, "item_id": "m1", "content_index": 0}
    done, part, *_ = end_of(
        stream(
            {"type": "response.output_item.added", "output_index": 0, "item": message},
            {"type": "response.output_text.delta", **place, "delta": "Hi", "logprobs": [token]},
        )
    )
    assert done["logprobs"] == part["part"]["logprobs"] == [token]


@pytest.mark.parametrize("name", ["text", "function_call", "parallel_calls", "reasoning", "web_search", "image"])
def test_a_stream_may_be_cut_behind_any_event(name: str) -> None:
    whole = (STREAMS / f"{name}.sse").read_bytes()
    for found in re.finditer(rb"\n\n", whole):
        end_of(whole[: found.end()])


def test_what_is_not_known_any_more_is_left_out() -> None:
    (incomplete,) = end_of(b"")
    assert (incomplete["response"]["output"], incomplete["response"]["id"]) == ([], "resp_1")


@pytest.mark.parametrize(
    "seen",
    [
        b"data: [DONE]\n\ndata: nonsense\n\ndata: [5]\n\n: comment\n\n",
        stream({"type": "response.output_item.added", "output_index": 0, "item": {"id": "x"}}),
        stream({"type": "response.output_item.added", "output_index": 0, "item": "message"}),
        stream({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": 5}}),
        stream({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": [5]}}),
        stream({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{"}),
    ],
)
def test_odd_events_do_not_keep_a_stream_from_its_end(seen: bytes) -> None:
    (incomplete,) = end_of(seen)
    assert incomplete["response"]["output"] == []
