"""The answer half of the canonical form: Responses stream events, and their fold into one Response.

What an upstream hands out, and a renderer may rely on:

- batches (lists) of events, in the upstream's order; what arrived in one read is one batch;
- an empty batch is a sign of life: the upstream has answered, there is nothing to render yet;
- no events outside the public protocol (`codex.*`, `keepalive`, …);
- the first event is `response.created`; the last is `response.completed` or `response.incomplete`, once, and its
  `response.output` is complete whatever the wire said. Every failure is an UpstreamError, raised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from lib.canonical.request import Item
from lib.errors import UpstreamError, Verdict

COMPLETED = frozenset({"response.completed", "response.incomplete"})
"""Terminal events that end an answer well."""

PREAMBLE = frozenset({"response.created", "response.in_progress", "response.queued"})
"""Events before any output: until the first other one, another account may still take over."""


class Event(msgspec.Struct, gc=False, repr_omit_defaults=True):
    """One Responses stream event. `data` is its JSON, `fields` its members; each is made from the other on demand,
    so that an event which is only passed on is never decoded. Treat `fields` as read-only.

    A Struct without garbage collection: one is made for each token, and this costs a fifth of a plain object."""

    type: str
    raw: bytes | None = None
    """The JSON as it came; None for an event made here. On hot paths, `event.raw or event.data`."""
    decoded: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Event:
        """From members; `type` is among them."""
        return cls(fields["type"], None, fields)

    @property
    def data(self) -> bytes:
        if self.raw is None:
            self.raw = msgspec.json.encode(self.decoded)
        return self.raw

    @property
    def fields(self) -> Mapping[str, Any]:
        """Raises UpstreamError when the data is no JSON."""
        if self.decoded is None:
            assert self.raw is not None
            try:
                self.decoded = msgspec.json.decode(self.raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise UpstreamError(
                    "The upstream sent an event that is not JSON.",
                    verdict=Verdict.SERVICE,
                    code="upstream_bad_response",
                    should_retry=True,
                ) from error
        return self.decoded

    def __repr__(self) -> str:
        return f"Event({self.type})"


class Collector:
    """Gathers output items, so that the terminal event can carry all of them.

    The Codex backend often ends with `output: []` although items were streamed. Precedence for each output index:
    the item of `output_item.done`, else the terminal response's own, else the item of `output_item.added` completed
    with its deltas, else a message or a reasoning item made of deltas alone. Ids are never made up here: an item that
    the stream gave none has none, and the renderer, which may have named it already, does. Nothing is decoded before it
    is needed: text that belongs to a finished item never is.
    """

    def __init__(self) -> None:
        self._done: dict[int, Item] = {}
        self._added: dict[int, Item] = {}
        self._pending: list[bytes] = []
        # Bytes and not events: there can be a hundred thousand, and the garbage collector walks along objects.
        self.keep = self._pending.append
        """Takes the JSON of an event that is known to be a delta: the same as `feed`, for hot paths."""

    def feed(self, event: Event) -> None:
        """Takes any event; keeps what the output may need."""
        kind = event.type
        if kind in CONTENT:
            self.keep(event.data)
        elif kind == "response.output_item.done":
            self._finished(event.fields)
        elif kind == "response.output_item.added":
            item = event.fields.get("item")
            if isinstance(item, dict):
                self._added[self._place(event.fields, item)] = item

    def output(self, terminal: Mapping[str, Any]) -> list[Item]:
        """The complete output list; `terminal` is the Response of the terminal event."""
        own = terminal["output"] if isinstance(terminal.get("output"), list) else []
        if not self._added and not self._pending and len(own) <= len(self._done) == max(self._done, default=-1) + 1:
            return [self._done[index] for index in sorted(self._done)]  # nearly always: all items were streamed
        items = self._with_terminal(own)
        status = "completed" if terminal.get("status") == "completed" else "incomplete"
        items |= self._drafts(items, status)
        return [items[index] for index in sorted(items)]

    def unfinished(self) -> dict[int, Item]:
        """The items that have begun and not ended, by output index, as far as they have come."""
        return self._drafts(self._done, "incomplete")

    def ended(self) -> set[tuple[str, int, int]]:
        """The texts within these that have come to their end: (event that said so, output index, part)."""
        found = set()
        for data in self._pending:
            if b'.done"' in data:
                fields = Event("", data).fields
                slot = CONTENT[fields["type"]]
                found.add((fields["type"], _output_index(data), _number(fields.get(slot.place))))
        return found

    def _drafts(self, items: Mapping[int, Item], status: str) -> dict[int, Item]:
        """What the deltas make of the items that are not among these."""
        drafts = {index: _Draft(item) for index, item in self._added.items() if index not in items}
        for data in self._pending:
            index = _output_index(data)
            if index in items:
                continue
            if index not in drafts:
                drafts[index] = _Draft(None)
            fields = Event("", data).fields
            drafts[index].feed(fields["type"], fields)
        drafted = {index: draft.item(status) for index, draft in drafts.items()}
        return {index: item for index, item in drafted.items() if item is not None}

    def _finished(self, fields: Mapping[str, Any]) -> None:
        item = fields.get("item")
        if not isinstance(item, dict):
            return
        index = self._place(fields, item)
        self._done[index] = item
        self._added.pop(index, None)
        # What is left belongs to items that run at the same time, or were never announced. Nearly always all is of this
        # item, and one count in many deltas says so at a tenth of what it costs to ask each of them.
        usual = b'"output_index":%d,' % index
        left: list[bytes] = []
        for start in range(0, len(self._pending), _AT_ONCE):
            some = self._pending[start : start + _AT_ONCE]
            if b"".join(some).count(usual) != len(some):
                left += [data for data in some if _output_index(data) not in self._done]
        self._pending[:] = left

    def _place(self, fields: Mapping[str, Any], item: Item) -> int:
        index = fields.get("output_index")
        if isinstance(index, int) and index >= 0:
            return index
        places = self._places()
        identity = _identity(item)
        if identity is not None and identity in places:
            return places[identity]
        return max((*self._done, *self._added), default=-1) + 1

    def _places(self) -> dict[tuple[Any, Any], int]:
        """Where the streamed items stand, by identity."""
        places = {}
        for items in (self._added, self._done):
            for index, item in items.items():
                identity = _identity(item)
                if identity is not None:
                    places[identity] = index
        return places

    def _with_terminal(self, own: list[Any]) -> dict[int, Item]:
        """The finished items, and the terminal response's own where there is none.

        Its list has no output indices: an item is first looked for by identity, because a stream may leave indices
        out and the list cannot.
        """
        items = dict(self._done)
        places = self._places()
        for position, item in enumerate(own):
            if isinstance(item, dict):
                identity = _identity(item)
                items.setdefault(position if identity is None else places.get(identity, position), item)
        return items


class _Draft:
    """An item that was never finished, put together from its announcement and its deltas."""

    def __init__(self, announced: Item | None) -> None:
        self._announced = announced
        self._texts: dict[tuple[str, int, str], list[str]] = {}
        self._citations: dict[int, list[Any]] = {}
        self._logprobs: dict[int, list[Any]] = {}
        self._item_id: Any = None

    def feed(self, kind: str, fields: Mapping[str, Any]) -> None:
        slot = CONTENT[kind]
        self._item_id = fields.get("item_id", self._item_id)
        place = _number(fields.get(slot.place))
        if slot.part == "annotation":
            self._citations.setdefault(place, []).append(fields.get("annotation"))
            return
        texts = self._texts.setdefault((slot.member, place, slot.part), [])
        if kind.endswith(".done"):
            texts.clear()
        logprobs = fields.get("logprobs")
        if isinstance(logprobs, list) and logprobs:
            if kind.endswith(".done"):
                self._logprobs.pop(place, None)
            self._logprobs.setdefault(place, []).extend(logprobs)
        text = fields.get(slot.text if kind.endswith(".done") else "delta")
        if isinstance(text, str):
            texts.append(text)

    def item(self, status: str) -> Item | None:
        """None when it cannot be told what the item was (the deltas of a call that nothing named)."""
        item = self._beginning()
        if item is None:
            return None
        parts: dict[str, dict[int, Item]] = {}
        for (member, place, part), texts in self._texts.items():
            text = "".join(texts)
            if not part:
                item[member] = text
                continue
            made: Item = {"type": part, "refusal" if part == "refusal" else "text": text}
            if part == "output_text":
                made |= {"annotations": self._citations.get(place, []), "logprobs": self._logprobs.get(place, [])}
            parts.setdefault(member, {})[place] = made
        for member, found in parts.items():
            item[member] = [found[place] for place in sorted(found)]
        if item.get("status") == "in_progress" and item["type"] in _DRAFTED:
            item["status"] = status
        return item

    def _beginning(self) -> Item | None:
        if self._announced is not None:
            return dict(self._announced)
        members = {member for member, _, _ in self._texts}
        named = {"id": self._item_id} if isinstance(self._item_id, str) else {}
        if "content" in members:
            return {**named, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        if "summary" in members:
            return {**named, "type": "reasoning", "summary": []}
        return None


def _identity(item: Item) -> tuple[Any, Any] | None:
    """What the same item has in common wherever it is mentioned."""
    name = item.get("id") or item.get("call_id")
    return (item.get("type"), name) if isinstance(name, str) else None


def _output_index(data: bytes) -> int:
    """The index, without decoding: no JSON string can hold this key's bytes, because its quotes would be escaped."""
    match = _OUTPUT_INDEX.search(data)
    return int(match[1]) if match else 0


def _number(index: Any) -> int:
    return index if isinstance(index, int) else 0


class _Slot(NamedTuple):
    """Where the text of an event belongs."""

    member: str
    """The item's member: a list of parts when `part` is not empty, else the text itself."""
    part: str
    place: str
    """The event's member that says which part."""
    text: str
    """The `.done` event's member with the whole text."""


_SLOTS = {
    "response.output_text": _Slot("content", "output_text", "content_index", "text"),
    "response.refusal": _Slot("content", "refusal", "content_index", "refusal"),
    "response.reasoning_text": _Slot("content", "reasoning_text", "content_index", "text"),
    "response.reasoning_summary_text": _Slot("summary", "summary_text", "summary_index", "text"),
    "response.function_call_arguments": _Slot("arguments", "", "", "arguments"),
    "response.mcp_call_arguments": _Slot("arguments", "", "", "arguments"),
    "response.custom_tool_call_input": _Slot("input", "", "", "input"),
    "response.code_interpreter_call_code": _Slot("code", "", "", "code"),
}
CONTENT = {
    **{f"{name}.{half}": slot for name, slot in _SLOTS.items() for half in ("delta", "done")},
    "response.output_text.annotation.added": _Slot("content", "annotation", "content_index", ""),
}
"""Events whose text is needed where their item is never finished, and where that belongs."""
_DRAFTED = frozenset({"message", "function_call", "custom_tool_call", "reasoning"})
"""Item types whose status may be `completed` or `incomplete`."""
_AT_ONCE = 1000
_OUTPUT_INDEX = re.compile(rb'"output_index"\s*:\s*(\d{1,9})')
