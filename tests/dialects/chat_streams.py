"""Canonical streams to render: composed here, or read from `tests/streams`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from lib import sse
from lib.canonical.events import COMPLETED, Collector, Event
from lib.canonical.request import CanonicalRequest
from lib.dialects.chat import CHAT
from lib.types import Renderer

STREAMS = Path(__file__).parent.parent / "streams"
USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 8},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 32,
}


def request(**body: Any) -> CanonicalRequest:
    return CHAT.parse({"model": "asked-model", "messages": [{"role": "user", "content": "Hello there"}]} | body)


def renderer(**body: Any) -> Renderer:
    return CHAT.renderer(request(**body), response_id="r1", now=1_700_000_000.9)


def response(output: list[Any] | None = None, **members: Any) -> dict[str, Any]:
    found = {"id": "resp_1", "created_at": 1_795_000_000, "model": "gpt-5.5", "status": "completed", "usage": USAGE}
    return found | {"output": output or []} | members


def event(type: str, **members: Any) -> Event:
    """One event as it comes off the wire: not decoded yet."""
    return Event(type, msgspec.json.encode({"type": type} | members))


def created() -> Event:
    return event("response.created", response=response(status="in_progress", usage=None, service_tier="auto"))


def ended(output: list[Any] | None = None, *, status: str = "completed", **members: Any) -> Event:
    return event(f"response.{status}", response=response(output, status=status, **members))


def text_deltas(*deltas: str, at: tuple[int, int] = (0, 0)) -> list[Event]:
    return [event("response.output_text.delta", output_index=at[0], content_index=at[1], delta=each) for each in deltas]


def message(*parts: dict[str, Any], id: str = "msg_1") -> dict[str, Any]:
    return {"id": id, "type": "message", "role": "assistant", "status": "completed", "content": list(parts)}


def output_text(text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": list(annotations)}


def call(call_id: str, arguments: str, *, name: str = "lookup", status: str = "completed") -> dict[str, Any]:
    return {
        "id": f"fc_{call_id}",
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def reasoning(*texts: str) -> dict[str, Any]:
    return {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": text} for text in texts]}


def added(index: int, item: dict[str, Any]) -> Event:
    return event("response.output_item.added", output_index=index, item=item)


def done(index: int, item: dict[str, Any]) -> Event:
    return event("response.output_item.done", output_index=index, item=item)


def recorded(name: str) -> list[Event]:
    """The public events of a recorded stream, the last one with its complete output."""
    collector = Collector()
    events = []
    for kind, data in sse.Decoder(1 << 26).feed((STREAMS / f"{name}.sse").read_bytes()):
        if not kind.startswith(b"response."):
            continue
        found = Event(kind.decode(), data)
        collector.feed(found)
        if found.type in COMPLETED:
            whole = found.fields["response"]
            found = Event.of({**found.fields, "response": {**whole, "output": collector.output(whole)}})
        events.append(found)
    return events


def rendered(events: Iterable[Event], **body: Any) -> bytes:
    chat = renderer(stream=True, **body)
    return b"".join(chat.feed(each) for each in events) + chat.finish()


def chunks(stream: bytes) -> list[Any]:
    """The JSON of each frame, without the `[DONE]` that has to end them."""
    *frames, last = sse.Decoder(1 << 26).feed(stream)
    assert last == (b"", b"[DONE]")
    assert all(kind == b"" for kind, _ in frames)
    return [msgspec.json.decode(data) for _, data in frames]


def deltas(stream: bytes) -> list[dict[str, Any]]:
    """The deltas behind the one that tells the role, without the empty one of the last chunk."""
    first, *others = [choice for each in chunks(stream) for choice in each["choices"]]
    assert first["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert others[-1]["delta"] == {}
    return [choice["delta"] for choice in others[:-1]]


def finish(stream: bytes) -> str | None:
    """The one finish reason of a stream, None if it has none."""
    reasons = [choice["finish_reason"] for each in chunks(stream) for choice in each["choices"]]
    assert not any(reasons[:-1])
    last: str | None = reasons[-1]
    return last


def joined(stream: bytes) -> dict[str, Any]:
    """A client's view of a stream: the message that its deltas add up to."""
    found: dict[str, Any] = {"role": "assistant", "content": "", "refusal": "", "annotations": []}
    calls: dict[int, dict[str, Any]] = {}
    for delta in deltas(stream):
        for name in ("content", "refusal", "reasoning_content"):
            if name in delta:
                found[name] = found.get(name, "") + delta[name]
        found["annotations"] += delta.get("annotations", [])
        if "function_call" in delta:
            _add(found.setdefault("function_call", {}), delta["function_call"])
        for piece in delta.get("tool_calls", []):
            _add(calls.setdefault(piece.pop("index"), {}), piece)
    if calls:
        found["tool_calls"] = [calls[index] for index in range(len(calls))]
    if not found["content"] and ("tool_calls" in found or "function_call" in found or found["refusal"]):
        found["content"] = None
    return found | {"refusal": found["refusal"] or None}


def _add(whole: dict[str, Any], piece: dict[str, Any]) -> None:
    for name, value in piece.items():
        if isinstance(value, dict):
            _add(whole.setdefault(name, {}), value)
        elif name in ("id", "type", "name"):
            assert name not in whole, f"{name} told twice"
            whole[name] = value
        else:
            whole[name] = whole.get(name, "") + value
