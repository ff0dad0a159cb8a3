"""Messages streams as a client sees them: typed events, and the message that the SDK's accumulator makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from lib import sse
from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.dialects.messages import MESSAGES
from lib.types import Renderer
from lib.upstreams.codex_events import CodexEvents
from lib.upstreams.tool_names import Names
from tests.dialects.chat_streams import STREAMS

THINKING = {"thinking": {"type": "adaptive"}}
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

_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def request(**body: Any) -> CanonicalRequest:
    fixed = {"model": "claude-asked", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello there"}]}
    return MESSAGES.parse(fixed | body)


def renderer(**body: Any) -> Renderer:
    return MESSAGES.renderer(request(**body), response_id="r1", now=1_700_000_000.9)


def recorded(name: str) -> list[Event]:
    """A recorded stream as the Codex upstream hands it on."""
    events = CodexEvents(Names([]), now=lambda: 0.0, add_windows=lambda windows: None)
    return events.take(sse.Decoder(1 << 26).feed((STREAMS / f"{name}.sse").read_bytes()))


def rendered(events: Iterable[Event], **body: Any) -> bytes:
    messages = renderer(stream=True, **body)
    return b"".join(messages.feed(each) for each in events) + messages.finish()


def frames(stream: bytes) -> list[dict[str, Any]]:
    """The JSON of each frame; the frame's name is its type."""
    found = []
    for name, data in sse.Decoder(1 << 26).feed(stream):
        decoded = msgspec.json.decode(data)
        assert decoded["type"] == name.decode()
        found.append(decoded)
    return found


def accumulated(stream: bytes) -> dict[str, Any]:
    """What the official accumulator makes of a stream whose every event passes the official model, strictly. Blocks
    stand one after the other, numbered from 0 without gaps."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    place, is_open = -1, False
    for each in frames(stream):
        kind = each["type"]
        if kind == "content_block_start":
            assert not is_open
            place, is_open = place + 1, True
        if kind.startswith("content_block_"):
            assert is_open and each["index"] == place
        if kind == "content_block_stop":
            is_open = False
        event = _EVENT.validate_python(each, strict=True)
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    assert not is_open and kind == "message_stop"
    whole: dict[str, Any] = snapshot.to_dict()
    return whole


def shown(events: Iterable[Event], **body: Any) -> list[dict[str, Any]]:
    """The content blocks of a streamed answer."""
    content: list[dict[str, Any]] = accumulated(rendered(events, **body))["content"]
    return content
