"""Ends an answer that has to stop in the middle, as an upstream does that has reached its limit of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lib.canonical.events import Collector, Event
from lib.canonical.request import Item

_PART = {"output_text": ("output_text", "text"), "refusal": ("refusal", "refusal")}
_TEXTS = {
    "function_call": ("function_call_arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input"),
}


def cut(collector: Collector) -> list[Event]:
    """The events that close every open item and then the answer: `response.incomplete`, for the reason
    `max_output_tokens`, which is the nearest that clients know. `collector` has seen all events before."""
    open_items = collector.unfinished()
    events = [event for index in sorted(open_items) for event in _closing(index, open_items[index])]
    for event in events:
        collector.feed(event)
    response = {
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": collector.output({}),
    }
    return [*events, Event.of({"type": "response.incomplete", "response": response})]


def _closing(index: int, item: Item) -> Iterator[Event]:
    place: dict[str, Any] = {"output_index": index}
    if isinstance(item.get("id"), str):
        place["item_id"] = item["id"]
    kind = item["type"]
    if kind == "message":
        for number, part in enumerate(item.get("content") or ()):
            if part.get("type") not in _PART:
                continue
            name, member = _PART[part["type"]]
            at = {**place, "content_index": number}
            told = {"logprobs": part["logprobs"]} if "logprobs" in part else {}
            yield _event(f"{name}.done", {**at, member: part.get(member, ""), **told})
            yield _event("content_part.done", {**at, "part": part})
    elif kind == "reasoning":
        for number, part in enumerate(item.get("summary") or ()):
            at = {**place, "summary_index": number}
            yield _event("reasoning_summary_text.done", {**at, "text": part.get("text", "")})
            yield _event("reasoning_summary_part.done", {**at, "part": part})
    elif kind in _TEXTS:
        name, member = _TEXTS[kind]
        yield _event(f"{name}.done", {**place, member: item.get(member, "")})
    yield _event("output_item.done", {"output_index": index, "item": item})


def _event(kind: str, fields: dict[str, Any]) -> Event:
    return Event.of({"type": f"response.{kind}", **fields})
