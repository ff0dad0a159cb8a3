"""Canonical events → a Responses stream, or one Response.

The canonical form is this dialect's own, so an event passes as the bytes that it came in. Only three things are mended:
sequence numbers run from 0 without gaps (the upstream's own count includes events that are kept back), members that
the schema requires are filled in, and Response objects are made whole. An event is decoded when it has to be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from lib import sse
from lib.canonical.events import COMPLETED, PREAMBLE, Event
from lib.canonical.request import CanonicalRequest, Item
from lib.dialects.damage import malformed
from lib.dialects.responses_ids import ItemIds
from lib.dialects.responses_object import ResponseObject, error_code, part
from lib.errors import GatewayError

_STATUS = {
    "response.created": "in_progress",
    "response.in_progress": "in_progress",
    "response.queued": "queued",
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}
_TERMINAL = COMPLETED | {"response.failed"}
_ITEM_EVENTS = {"response.output_item.added": "in_progress", "response.output_item.done": "completed"}

# No JSON string can hold these bytes, because its quotes would be escaped: a search in raw JSON finds keys alone.
_NUMBER = b'"sequence_number":'
_ITEM_ID, _LOGPROBS, _ANNOTATIONS, _NAME = b'"item_id":', b'"logprobs":', b'"annotations":', b'"name":'
_REQUIRED: Mapping[str, tuple[bytes, ...]] = {
    "response.output_text.delta": (_ITEM_ID, _LOGPROBS),
    "response.output_text.done": (_ITEM_ID, _LOGPROBS),
    "response.content_part.added": (_ITEM_ID, _ANNOTATIONS, _LOGPROBS),
    "response.content_part.done": (_ITEM_ID, _ANNOTATIONS, _LOGPROBS),
    "response.function_call_arguments.delta": (_ITEM_ID,),
    "response.function_call_arguments.done": (_ITEM_ID, _NAME),
    "response.custom_tool_call_input.delta": (_ITEM_ID,),
    "response.custom_tool_call_input.done": (_ITEM_ID,),
    "response.reasoning_summary_text.delta": (_ITEM_ID,),
    "response.reasoning_summary_text.done": (_ITEM_ID,),
    "response.reasoning_summary_part.added": (_ITEM_ID,),
    "response.reasoning_summary_part.done": (_ITEM_ID,),
    "response.reasoning_text.delta": (_ITEM_ID,),
    "response.reasoning_text.done": (_ITEM_ID,),
    "response.refusal.delta": (_ITEM_ID,),
    "response.refusal.done": (_ITEM_ID,),
}
"""Event type → the keys without which its bytes do not pass."""
_ITEM_TYPES = {
    "response.function_call_arguments": "function_call",
    "response.custom_tool_call_input": "custom_tool_call",
    "response.reasoning_summary_part": "reasoning",
    "response.reasoning_summary_text": "reasoning",
    "response.reasoning_text": "reasoning",
}
"""What an event belongs to, by the first half of its type; to a message, if not listed."""
_LF = 10
"""As a number it is found in a seventh of the time."""
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NUMBER_FIRST = re.compile(rb'\{[^{\[]*?"sequence_number":\s*(\d+)')
"""A number that stands before anything nested, and so belongs to the event."""
_OBFUSCATION = re.compile(rb',"obfuscation":"[^"\\]*"')


class ResponsesRenderer:
    """One answer. Exactly one terminal event leaves, and nothing after it. kept: the gateway keeps the answer; the
    event that ends it well leaves with `finish`, so that `answer` can say until then that it could not be kept."""

    keep_alive = sse.KEEP_ALIVE

    def __init__(self, request: CanonicalRequest, *, response_id: str, now: float, kept: bool = False) -> None:
        self.answer: dict[str, Any] | None = None
        """The whole Response, once it has come to a good end."""
        self._object = ResponseObject(request, response_id=response_id, now=now, kept=kept)
        options = request.body.get("stream_options") or {}
        self._plain = options.get("include_obfuscation") is False
        self._number = 0
        self._gap = 0
        """How far the upstream's numbers are ahead: it counts events that are kept back, too."""
        self._kept = kept
        self._begun = False
        self._ended = False
        self._last: tuple[str, dict[str, Any]] | None = None
        """The terminal event, when it is held back."""
        self._known: dict[str, Any] = {}
        """The upstream's Response so far."""
        self._ids = ItemIds(self._object.item_id)
        self._names: dict[int, str] = {}
        self._items: dict[int, Item] = {}
        """Finished items."""
        self._heads: dict[str, bytes] = {}
        self._sound: dict[str, bytes] = {}
        """Types of deltas that this upstream sends complete, with the head of their frames."""

    def feed(self, event: Event) -> bytes:
        """The frame of one event; more when the upstream left out how a stream begins. Raises UpstreamError for one
        that cannot be read, where it has to be."""
        if self._ended:
            return b""
        try:
            head = self._sound.get(event.type)
            if head is not None:  # the hot path: all deltas but the first
                data = self._numbered(event.data)
                return b"%b%b\n\n" % (head, data if _LF not in data else _one_line(data))
            return self._feed(event.type, event)
        except _UNREADABLE as error:
            raise malformed() from error

    def _feed(self, kind: str, event: Event) -> bytes:
        if kind in _STATUS:
            return self._lifecycle(kind, event.fields)
        begin = b"" if self._begun else self._begin({})
        if kind in _ITEM_EVENTS:
            return begin + self._item(kind, event)
        data = event.data
        if not all(key in data for key in _REQUIRED.get(kind, ())):
            return begin + self._send(kind, self._mended(kind, event.fields))
        if kind.endswith(".delta") and not self._plain:
            # Which members a type of event has is its sender's habit: one look is enough.
            self._sound[kind] = self._head(kind)
        return begin + self._forward(kind, data)

    def finish(self) -> bytes:
        """The terminal event, if it was held back: it is the end."""
        if self._last is None:
            return b""
        (kind, fields), self._last = self._last, None
        return self._send(kind, fields)

    def fail(self, error: GatewayError) -> bytes:
        """`error`, with its details nested (the SDKs raise on those) and flat (the schema's form), and then
        `response.failed`. When the answer has ended already, nothing but what was held back of it."""
        if self._ended:
            return self.finish()
        begin = b"" if self._begun else self._begin({})
        details = error.envelope()["error"]
        flat = {name: details[name] for name in ("code", "message", "param")}
        begin += self._send("error", {"type": "error", **flat, "error": details})
        reason = {"code": error_code(error.code, error.status), "message": error.message}
        return begin + self._lifecycle("response.failed", {"response": {"error": reason}})

    def body(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """The whole Response."""
        status = response.get("status")
        whole = self._object.complete(response, status if status in ("incomplete", "failed") else "completed")
        if whole["status"] != "failed":
            self.answer = whole
        return whole

    def _lifecycle(self, kind: str, fields: Mapping[str, Any]) -> bytes:
        response = fields.get("response")
        if isinstance(response, dict):
            self._known |= {name: value for name, value in response.items() if value is not None}
        begin = b""
        if kind == "response.created":
            if self._begun:
                return b""
            self._begun = True
        elif not self._begun:
            begin = self._begin(self._known, preamble=kind in PREAMBLE)
        known = self._known
        if kind in _TERMINAL:
            self._ended = True
            if not known.get("output"):
                known = {**known, "output": [self._items[index] for index in sorted(self._items)]}
            known = {**known, "output": self._ids.identified(known["output"])}
        whole = self._object.complete(known, _STATUS[kind])
        if kind in COMPLETED:
            self.answer = whole
            if self._kept:
                self._last = kind, {**fields, "type": kind, "response": whole}
                return begin
        return begin + self._send(kind, {**fields, "type": kind, "response": whole})

    def _begin(self, response: Mapping[str, Any], *, preamble: bool = False) -> bytes:
        """How a stream begins, for an upstream that did not say; `preamble` when the next event belongs to that."""
        self._begun = True
        known = {name: value for name, value in response.items() if name not in ("output", "usage")}
        whole = self._object.complete(known, "in_progress")
        kinds = ("response.created",) if preamble else ("response.created", "response.in_progress")
        return b"".join(self._send(kind, {"type": kind, "response": whole}) for kind in kinds)

    def _item(self, kind: str, event: Event) -> bytes:
        fields = event.fields
        item, index = fields.get("item"), _index(fields)
        if not isinstance(item, dict):
            return self._forward(kind, event.data)
        whole = self._object.item({**item, "id": self._ids.of(fields, item)}, index, _ITEM_EVENTS[kind])
        if isinstance(item.get("name"), str):
            self._names[index] = item["name"]
        if kind == "response.output_item.done":
            self._items[index] = whole
        if whole == fields["item"]:
            return self._forward(kind, event.data)
        return self._send(kind, {**fields, "item": whole})

    def _mended(self, kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The event with what `_REQUIRED` asks for."""
        found = dict(fields)
        index = _index(fields)
        found["item_id"] = self._ids.of(found, {"type": _item_type(kind, found), "id": found.get("item_id")})
        if kind.startswith("response.output_text."):
            found["logprobs"] = found.get("logprobs") or []
        elif kind.startswith("response.content_part.") and isinstance(found.get("part"), dict):
            found["part"] = part(found["part"])
        elif kind == "response.function_call_arguments.done" and index in self._names:
            found.setdefault("name", self._names[index])
        return found

    def _send(self, kind: str, fields: dict[str, Any]) -> bytes:
        fields.pop("sequence_number", None)  # the number goes last, where the upstream has it and the next reader looks
        fields["sequence_number"] = self._number + self._gap
        return self._forward(kind, msgspec.json.encode(fields))

    def _forward(self, kind: str, data: bytes) -> bytes:
        """The frame of an event's JSON, with the next sequence number."""
        data = self._numbered(data)
        if _LF in data:
            data = _one_line(data)
        if self._plain:
            data = _OBFUSCATION.sub(b"", data, count=1)
        return b"%b%b\n\n" % (self._head(kind), data)

    def _head(self, kind: str) -> bytes:
        head = self._heads.get(kind)
        if head is None:
            # The name is the upstream's word, and a line end in it would end the field.
            head = b"event: %b\ndata: " % b" ".join(kind.encode().splitlines())
            self._heads[kind] = head
        return head

    def _numbered(self, data: bytes) -> bytes:
        """The event with the next sequence number; untouched when it has that already."""
        number = self._number
        end = b'"sequence_number":%d}' % (number + self._gap)
        if data.endswith(end):
            if self._gap:
                data = b'%b"sequence_number":%d}' % (data[: -len(end)], number)
        else:
            start = data.rfind(_NUMBER) + len(_NUMBER)
            if start >= len(_NUMBER) and data.endswith(b"}") and data[start:-1].isdigit() and len(data) - start < 18:
                self._gap = int(data[start:-1]) - number
                data = b"%b%d}" % (data[:start], number)
            else:
                data = _renumbered(data, number)
        self._number = number + 1
        return data


def _one_line(data: bytes) -> bytes:
    """JSON out of a frame of several data lines: their ends are white space between tokens."""
    return data.replace(b"\n", b" ")


def _index(fields: Mapping[str, Any]) -> int:
    index = fields.get("output_index")
    return index if type(index) is int else 0


def _item_type(kind: str, fields: Mapping[str, Any]) -> str:
    part = fields.get("part")
    if isinstance(part, dict) and part.get("type") == "reasoning_text":
        return "reasoning"
    return _ITEM_TYPES.get(kind.rpartition(".")[0], "message")


def _renumbered(data: bytes, number: int) -> bytes:
    """For an event whose number is not at its end; decoded only when it has none, or has it in an unusual place."""
    match = _NUMBER_FIRST.match(data)
    if match is not None:
        return b"%b%d%b" % (data[: match.start(1)], number, data[match.end(1) :])
    fields = msgspec.json.decode(data)
    return msgspec.json.encode({**fields, "sequence_number": number})
