"""Ends an answer that has to stop in the middle, as an upstream does that has reached its limit of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

from lib.canonical.events import Collector, Event
from lib.canonical.request import Item

_PARTS = {"message": ("content", "content_index"), "reasoning": ("summary", "summary_index")}
_PART = {
    "output_text": ("output_text", "text", "content_part"),
    "refusal": ("refusal", "refusal", "content_part"),
    "summary_text": ("reasoning_summary_text", "text", "reasoning_summary_part"),
}
_TEXTS = {
    "function_call": ("function_call_arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input"),
}


Ended = Set[tuple[str, int, int]]
"""As `Collector.ended` has them."""


def cut(collector: Collector) -> list[Event]:
    """The events that close every open item and then the answer: `response.incomplete`, for the reason
    `max_output_tokens`, which is the nearest that clients know. `collector` has seen all events before."""
    open_items, ended = collector.unfinished(), collector.ended()
    events = [event for index in sorted(open_items) for event in _closing(index, open_items[index], ended)]
    for event in events:
        collector.feed(event)
    response = {
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": collector.output({}),
    }
    return [*events, Event.of({"type": "response.incomplete", "response": response})]


def _closing(index: int, item: Item, ended: Ended) -> Iterator[Event]:
    place: dict[str, Any] = {"output_index": index}
    if isinstance(item.get("id"), str):
        place["item_id"] = item["id"]
    kind = item["type"]
    if kind in _TEXTS:
        name, member = _TEXTS[kind]
        if (f"response.{name}.done", index, 0) not in ended:
            yield _event(f"{name}.done", {**place, member: item.get(member, "")})
    elif kind in _PARTS:
        member, within = _PARTS[kind]
        for number, part in enumerate(item.get(member) or ()):
            yield from _closing_part({**place, within: number}, part, (index, number), ended)
    yield _event("output_item.done", {"output_index": index, "item": item})


def _closing_part(at: dict[str, Any], part: Item, where: tuple[int, int], ended: Ended) -> Iterator[Event]:
    if part.get("type") not in _PART:
        return
    name, member, whole = _PART[part["type"]]
    if (f"response.{name}.done", *where) in ended:
        return
    told = {"logprobs": part["logprobs"]} if "logprobs" in part else {}
    yield _event(f"{name}.done", {**at, member: part.get(member, ""), **told})
    yield _event(f"{whole}.done", {**at, "part": part})


def _event(kind: str, fields: dict[str, Any]) -> Event:
    return Event.of({"type": f"response.{kind}", **fields})
