"""The end of a forwarded Responses stream that has to stop before its time, with all that it has said until then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lib import sse
from lib.canonical.cut import cut
from lib.canonical.events import Collector, Event
from lib.dialects.forward_tail import UNREADABLE, frames_in
from lib.errors import UpstreamError

_ITEMS = frozenset({"response.output_item.added", "response.output_item.done"})


class _Head(msgspec.Struct):
    type: str
    item: Any = None


def cut_short(response: Mapping[str, Any], seen: bytes, number: int) -> bytes:
    """The events that close what is open, and then `response.incomplete`.

    response: as the stream's first event has it. seen: all events until now, or none where they are not known any more;
    then the answer ends without its items. number: of the first event that is made here.
    """
    try:
        events = cut(_collected(seen))
    except (UpstreamError, LookupError, TypeError, AttributeError):
        events = cut(Collector())  # what was said is no Responses stream but in name: it only gets its end
    told = []
    for at, event in enumerate(events, number):
        fields = {**event.fields, "sequence_number": at}
        if event.type == "response.incomplete":
            fields["response"] = {**response, **fields["response"]}
        if event.type == "response.output_text.done":
            fields.setdefault("logprobs", [])
        told.append(sse.encode(msgspec.json.encode(fields), event.type))
    return b"".join(told)


def _collected(seen: bytes) -> Collector:
    collector = Collector()
    for data in frames_in(seen):
        try:
            head = msgspec.json.decode(data, type=_Head)
        except UNREADABLE:
            continue
        if head.type not in _ITEMS or (isinstance(head.item, dict) and isinstance(head.item.get("type"), str)):
            collector.feed(Event(head.type, data))
    return collector
