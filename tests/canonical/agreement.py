"""What every stream of canonical events keeps, whoever made it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from lib.canonical.events import Event

_ADAPTER: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_TEXTS = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_summary_text": "text",
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}
"""Event name without its half → the member of `.done` that holds the whole text."""
_PARTS = {"content_index": "content", "summary_index": "summary"}

Fields = Mapping[str, Any]


def assert_agreement(events: Sequence[Event]) -> None:
    """For a whole stream: items, parts and texts begin, grow and end at one place and under one id, the joined deltas
    are the finished text, and that text stands in the finished item and in the terminal response."""
    fields = [event.fields for event in events]
    assert [each["sequence_number"] for each in fields] == list(range(len(fields)))
    by_item: dict[int, list[Fields]] = defaultdict(list)
    for each in fields:
        if "output_index" in each:
            by_item[each["output_index"]].append(each)
    assert list(by_item) == list(range(len(by_item))), "items are announced in order, without gaps"
    done = [_assert_item(each) for each in by_item.values()]
    assert done == fields[-1]["response"]["output"]


def accumulated(events: Sequence[Event]) -> list[Any]:
    """The output items as the official SDK's accumulator has put them together when the stream ends; it raises where
    the events do not fit each other."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in events:
        state.handle_event(_ADAPTER.validate_json(event.data))
    snapshot: Any = vars(state)["_ResponseStreamState__current_snapshot"]
    return list(snapshot.output)


def _assert_item(events: Sequence[Fields]) -> Fields:
    first, *inner, last = events
    assert first["type"] == "response.output_item.added"
    assert last["type"] == "response.output_item.done"
    assert first["item"]["id"] == last["item"]["id"]
    assert {each["item_id"] for each in inner} <= {first["item"]["id"]}
    parts: dict[tuple[str, int], list[Fields]] = defaultdict(list)
    for each in inner:
        for place in _PARTS.keys() & each.keys():
            parts[place, each[place]].append(each)
    for (place, index), belonging in parts.items():
        _assert_part(belonging, last["item"][_PARTS[place]][index])
    for name in {each["type"].rpartition(".")[0] for each in inner} & {
        "response.function_call_arguments",
        "response.custom_tool_call_input",
    }:
        assert _joined(name, inner) == last["item"][_TEXTS[name]]
    assert len(parts) == len(last["item"].get("content", last["item"].get("summary", ())))
    finished: Fields = last["item"]
    return finished


def _assert_part(events: Sequence[Fields], finished: Fields) -> None:
    first, *inner, last = events
    assert first["type"].endswith("part.added")
    assert last["type"].endswith("part.done")
    assert first["part"]["type"] == last["part"]["type"]
    assert last["part"] == finished
    [name] = {each["type"].rpartition(".")[0] for each in inner}
    assert _joined(name, inner) == finished[_TEXTS[name]]


def _joined(name: str, events: Sequence[Fields]) -> str:
    """The text of the deltas, which the one `.done` behind them repeats."""
    *deltas, done = events
    assert {each["type"] for each in deltas} <= {f"{name}.delta"}
    assert done["type"] == f"{name}.done"
    text = "".join(each["delta"] for each in deltas)
    assert done[_TEXTS[name]] == text
    return text
