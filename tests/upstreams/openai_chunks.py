"""Reading chunks of a Chat Completions stream in tests, without a socket."""

from __future__ import annotations

from typing import Any

import msgspec

from lib.canonical.events import Event
from lib.upstreams.openai_chat_events import ChatEvents
from lib.upstreams.openai_chat_tools import shape_tools
from tests.canonical.agreement import accumulated, assert_agreement
from tests.upstreams.openai_asking import request


def reader(**fields: Any) -> ChatEvents:
    asked = request(**fields)
    return ChatEvents(asked, shape_tools(asked), now=lambda: 5.0, new_id=lambda: "made")


def frames(*said: Any) -> list[tuple[bytes, bytes]]:
    return [(b"", each if isinstance(each, bytes) else msgspec.json.encode(each)) for each in said]


def read(*said: Any, **fields: Any) -> list[Event]:
    """All events of these chunks and of `[DONE]`, which agree with each other."""
    source = reader(**fields)
    events = [event for each in [*said, b"[DONE]"] if not source.ended for event in source.take(frames(each))]
    assert source.ended
    assert_agreement(events)
    accumulated(events)
    return events


def response(events: list[Event]) -> Any:
    return events[-1].fields["response"]
