"""Canonical events → a Chat Completions stream, or one `chat.completion`.

Text, the bulk of every stream, is a delta between two ready-made byte strings. Everything is sent once, whatever the
upstream repeats: deltas count first, the `done` events supply what no delta brought, the terminal response what no
event brought.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lib import sse
from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.dialects.chat_body import (
    PART_BREAK,
    OutputItem,
    citations,
    completion,
    finish_reason,
    is_legacy,
    malformed,
    output_item,
    output_items,
    usage,
)
from lib.dialects.chat_calls import Calls
from lib.dialects.chat_chunks import Chunks, encode
from lib.errors import GatewayError

At = tuple[int, int]
"""(output index, content index) of a part of a message."""
Thought = tuple[int, str, int]
"""(output index, "summary" or "content", position) of a part of reasoning."""


class _TextDelta(msgspec.Struct):
    """What matters of the event that comes by the thousand."""

    delta: str
    output_index: int = 0
    content_index: int = 0


class _Piece(msgspec.Struct):
    """What matters of the other delta and done events."""

    delta: str = ""
    text: str = ""
    refusal: str = ""
    arguments: str | None = None
    input: str | None = None
    annotation: dict[str, Any] | None = None
    item_id: str = ""
    output_index: int | None = None
    content_index: int = 0
    summary_index: int = 0

    @property
    def at(self) -> At:
        return (self.output_index or 0, self.content_index)


_TEXT = "response.output_text.delta"
_decode_text = msgspec.json.Decoder(_TextDelta).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""No JSON, no UTF-8, nested without end; a member of the wrong type is a DecodeError too."""


class ChatRenderer:
    """One answer. `feed` for each event, then `finish` or `fail`; or `body` alone."""

    keep_alive = sse.KEEP_ALIVE

    def __init__(self, request: CanonicalRequest, *, response_id: str, now: float) -> None:
        self._request = request
        self._id = f"chatcmpl-{response_id}"
        self._now = now
        self._legacy = is_legacy(request)
        self._chunks = Chunks(request, id=self._id, now=now)
        self._calls = Calls(self._chunks, legacy=self._legacy)
        self._is_ended = False
        self._text_at: At | None = None
        self._chars = 0
        """Length of the content so far."""
        self._parts: dict[At, int] = {}
        """The text and refusal parts that were begun → where in the content."""
        self._cited: dict[At, int] = {}
        """How many annotations of a part were seen."""
        self._thoughts: set[Thought] = set()
        self._thought_at: Thought | None = None
        self._indices: dict[str, int] = {}
        """Item id → output index."""
        self._finished: set[int] = set()
        """Output indices of items that were sent to the end."""

    def feed(self, event: Event) -> bytes:
        """Raises UpstreamError for an event whose members are of the wrong type."""
        try:
            if event.type == _TEXT and not self._is_ended:  # nearly all events: no further call
                piece = _decode_text(event.raw or event.data)
                delta = piece.delta
                if (piece.output_index, piece.content_index) != self._text_at or not delta:
                    return self._begin_text((piece.output_index, piece.content_index), delta) if delta else b""
                self._chars += len(delta)
                return self._chunks.text_head + encode(delta) + self._chunks.text_tail
            feed = _FEEDS.get(event.type)
            return feed(self, event) if feed is not None and not self._is_ended else b""
        except _UNREADABLE as error:
            raise malformed() from error

    def finish(self) -> bytes:
        return sse.DONE

    def fail(self, error: GatewayError) -> bytes:
        self._is_ended = True
        return sse.encode(encode(error.envelope())) + sse.DONE

    def body(self, response: Mapping[str, Any]) -> dict[str, Any]:
        return completion(self._request, response, id=self._id, now=self._now)

    # --- Text -------------------------------------------------------------------------------------------------------

    def _begin_text(self, at: At, text: str) -> bytes:
        self._text_at = at
        self._parts.setdefault(at, self._chars)
        self._chars += len(text)
        return self._chunks.chunk({"content": text})

    def _on_text_done(self, event: Event) -> bytes:
        piece = msgspec.convert(event.fields, _Piece)
        return b"" if piece.at in self._parts or not piece.text else self._begin_text(piece.at, piece.text)

    def _on_refusal(self, event: Event) -> bytes:
        piece = msgspec.convert(event.fields, _Piece)
        text = piece.delta or ("" if piece.at in self._parts else piece.refusal)
        return self._refuse(piece.at, text) if text else b""

    def _refuse(self, at: At, text: str) -> bytes:
        self._parts.setdefault(at, self._chars)
        return self._chunks.chunk({"refusal": text})

    def _on_annotation(self, event: Event) -> bytes:
        piece = msgspec.convert(event.fields, _Piece)
        self._cited[piece.at] = self._cited.get(piece.at, 0) + 1
        return self._annotate(piece.at, [piece.annotation or {}])

    def _annotate(self, at: At, annotations: list[dict[str, Any]]) -> bytes:
        found = citations(annotations, self._parts.get(at, 0))
        return self._chunks.chunk({"annotations": found}) if found else b""

    # --- Reasoning --------------------------------------------------------------------------------------------------

    def _on_summary(self, event: Event) -> bytes:
        piece = msgspec.convert(event.fields, _Piece)
        return self._reason((piece.output_index or 0, "summary", piece.summary_index), piece.delta, piece.text)

    def _on_reasoning(self, event: Event) -> bytes:
        piece = msgspec.convert(event.fields, _Piece)
        return self._reason((piece.output_index or 0, "content", piece.content_index), piece.delta, piece.text)

    def _reason(self, at: Thought, delta: str, whole: str) -> bytes:
        text = delta or ("" if at in self._thoughts else whole)
        if not text:
            return b""
        if self._thought_at not in (None, at):
            text = PART_BREAK + text
        self._thought_at = at
        self._thoughts.add(at)
        return self._chunks.chunk({"reasoning_content": text})

    # --- Calls and whole items --------------------------------------------------------------------------------------

    def _on_call(self, event: Event) -> bytes:
        piece = msgspec.convert(event.fields, _Piece)
        index = self._indices.get(piece.item_id, 0) if piece.output_index is None else piece.output_index
        return self._calls.advance(index, piece.delta, piece.arguments if piece.input is None else piece.input)

    def _on_item_added(self, event: Event) -> bytes:
        index, item = self._item_of(event)
        return self._calls.announce(index, item) if item is not None and item.is_call else b""

    def _on_item_done(self, event: Event) -> bytes:
        index, item = self._item_of(event)
        return self._finish_item(index, item)

    def _item_of(self, event: Event) -> tuple[int, OutputItem | None]:
        item = output_item(event.fields.get("item"))
        index = event.fields.get("output_index")
        if index is None:  # as the collector counts where an upstream does not
            index = self._indices.get(item.id or "", len(self._indices)) if item is not None else 0
        if type(index) is not int:
            raise malformed()
        if item is not None and item.id:
            self._indices[item.id] = index
        return index, item

    def _finish_item(self, index: int, item: OutputItem | None) -> bytes:
        """What of a finished item was not sent yet. Items that a chat cannot show (None) end here."""
        if item is None or index in self._finished:
            return b""
        self._finished.add(index)
        if item.is_call:
            return self._calls.finish(index, item)
        return b"".join(self._finish_parts(index, item))

    def _finish_parts(self, index: int, item: OutputItem) -> list[bytes]:
        if item.type == "reasoning":
            kinds = (("summary", item.summary), ("content", item.content))
            return [
                self._reason((index, kind, position), "", part.text or "")
                for kind, parts in kinds
                for position, part in enumerate(parts or ())
            ]
        frames = []
        for position, part in enumerate(item.content or ()):
            at = (index, position)
            if at not in self._parts:
                frames.append(self._begin_text(at, part.text) if part.text else b"")
                frames.append(self._refuse(at, part.refusal) if part.refusal else b"")
            frames.append(self._annotate(at, (part.annotations or [])[self._cited.get(at, 0) :]))
        return frames

    # --- Beginning and end ------------------------------------------------------------------------------------------

    def _on_created(self, event: Event) -> bytes:
        self._chunks.begin(_response_of(event))
        return b""

    def _on_terminal(self, event: Event) -> bytes:
        response = _response_of(event)
        if event.type == "response.incomplete":
            response = {**response, "status": "incomplete"}
        self._chunks.begin(response)
        frames = []
        for position, fields in enumerate(response.get("output") or ()):
            item = output_item(fields)
            index = position if item is None else self._indices.get(item.id or "", position)
            frames.append(self._finish_item(index, item))
        frames.append(self._chunks.chunk({}, finish_reason(response, bool(self._calls), self._legacy)))
        if self._chunks.with_usage:
            frames.append(self._chunks.usage(usage(self._request, response, output_items(response))))
        self._is_ended = True
        return b"".join(frames)


def _response_of(event: Event) -> Mapping[str, Any]:
    response = event.fields.get("response")
    if type(response) is not dict:
        raise malformed()
    return response


_FEEDS: Mapping[str, Callable[[ChatRenderer, Event], bytes]] = {
    "response.created": ChatRenderer._on_created,
    "response.output_text.done": ChatRenderer._on_text_done,
    "response.output_text.annotation.added": ChatRenderer._on_annotation,
    "response.refusal.delta": ChatRenderer._on_refusal,
    "response.refusal.done": ChatRenderer._on_refusal,
    "response.reasoning_summary_text.delta": ChatRenderer._on_summary,
    "response.reasoning_summary_text.done": ChatRenderer._on_summary,
    "response.reasoning_text.delta": ChatRenderer._on_reasoning,
    "response.reasoning_text.done": ChatRenderer._on_reasoning,
    "response.output_item.added": ChatRenderer._on_item_added,
    "response.output_item.done": ChatRenderer._on_item_done,
    "response.function_call_arguments.delta": ChatRenderer._on_call,
    "response.function_call_arguments.done": ChatRenderer._on_call,
    "response.custom_tool_call_input.delta": ChatRenderer._on_call,
    "response.custom_tool_call_input.done": ChatRenderer._on_call,
    "response.completed": ChatRenderer._on_terminal,
    "response.incomplete": ChatRenderer._on_terminal,
}
"""Event type → what it adds to the answer; every other event but a text delta adds nothing to a chat."""
