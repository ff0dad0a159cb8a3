"""A whole answer → the stream that says the same, for callers who asked a server for a stream that cannot; no IO.

Nothing is lost: what a chunk or an event has a place for stands there as it came. A chunk has one call at most, because
some clients read no other, and usage is a chunk of its own for those who asked for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from lib import sse

_PARTS = {"output_text": "text", "refusal": "refusal"}
_CALLS = {
    "function_call": ("function_call_arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input"),
}


def as_stream(path: str, whole: Any, *, with_usage: bool = False) -> bytes | None:
    """All events. path: the endpoint's, as in `Forwarded.path`. with_usage: whether a stream of chunks was asked to
    count. None for what is no whole answer of this endpoint."""
    if not isinstance(whole, dict):
        return None
    if path == "/responses":
        return _response(whole)
    choices = whole.get("choices")
    if not isinstance(choices, list) or not choices:
        return None
    split = [_split(choice) for choice in choices]
    if None in split:
        return None
    said, called, ended = zip(*(parts for parts in split if parts is not None), strict=True)
    told = [said, *([call] for calls in called for call in calls), ended]
    shared = {name: value for name, value in whole.items() if name not in ("choices", "usage", "error")}
    if path == "/chat/completions":
        shared["object"] = "chat.completion.chunk"
    if with_usage:
        shared["usage"] = None
    chunks = [{**shared, "choices": each} for each in told]
    if with_usage and whole.get("usage"):
        chunks.append({**shared, "choices": [], "usage": whole["usage"]})
    return b"".join(sse.encode(msgspec.json.encode(chunk)) for chunk in chunks) + sse.DONE


def _split(choice: Any) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]] | None:
    """What a choice says, its calls, and how it ends: some clients take a chunk with a reason for an empty one."""
    if not isinstance(choice, dict):
        return None
    ended = {"index": choice.get("index", 0), "finish_reason": choice.get("finish_reason") or "stop"}
    said = {**choice, "index": ended["index"], "finish_reason": None}
    if isinstance(choice.get("text"), str):
        return said, [], {**ended, "text": ""}
    message = said.pop("message", None)
    if not isinstance(message, dict):
        return None
    said["delta"] = message
    calls: list[dict[str, Any]] = []
    if isinstance(message.get("tool_calls"), list):
        calls = [{**call, "index": at} for at, call in enumerate(message["tool_calls"]) if isinstance(call, dict)]
        said["delta"] = {name: value for name, value in message.items() if name != "tool_calls"}
    place = {"index": ended["index"], "finish_reason": None}
    return said, [{**place, "delta": {"tool_calls": [call]}} for call in calls], {**ended, "delta": {}}


def _response(whole: Mapping[str, Any]) -> bytes | None:
    output, end = whole.get("output"), whole.get("status") or "completed"
    if not isinstance(output, list) or end not in ("completed", "incomplete"):
        return None  # any other status is that of no answer yet, or no good one
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    events = [_event(kind, response=begun) for kind in ("created", "in_progress")]
    for index, item in enumerate(output):
        if isinstance(item, dict):
            events += _of_item(index, item)
    events.append(_event(end, response={**whole, "status": end}))
    numbered = ({**event, "sequence_number": number} for number, event in enumerate(events))
    return b"".join(sse.encode(msgspec.json.encode(event), event["type"]) for event in numbered)


def _of_item(index: int, item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Clients put texts together from deltas. Items without any come as they are."""
    place = {"output_index": index, "item_id": item.get("id")}
    begun = {**item}
    inner: list[dict[str, Any]] = []
    name, member = _CALLS.get(str(item.get("type")), ("", "content"))
    text = item.get(member)
    if name and isinstance(text, str):
        begun |= {"status": "in_progress", member: ""}
        inner = [_event(f"{name}.delta", **place, delta=text), _event(f"{name}.done", **place, **{member: text})]
    elif item.get("type") == "message" and isinstance(text, list):
        begun |= {"status": "in_progress", member: []}
        inner = [event for at, part in enumerate(text) for event in _of_part({**place, "content_index": at}, part)]
    yield _event("output_item.added", output_index=index, item=begun)
    yield from inner
    yield _event("output_item.done", output_index=index, item=item)


def _of_part(place: Mapping[str, Any], part: Any) -> Iterator[dict[str, Any]]:
    kind = part.get("type") if isinstance(part, dict) else None
    member = _PARTS.get(str(kind))
    if member is None:
        return
    text = part.get(member) or ""
    more = {"logprobs": part.get("logprobs") or []} if member == "text" else {}
    yield _event("content_part.added", **place, part={**part, member: ""})
    yield _event(f"{kind}.delta", **place, delta=text, **more)
    yield _event(f"{kind}.done", **place, **{member: text}, **more)
    yield _event("content_part.done", **place, part=part)


def _event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}
