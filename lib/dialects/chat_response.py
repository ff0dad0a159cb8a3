"""Canonical events → a Chat Completions stream, or one `chat.completion`.

Text, the bulk of every stream, is a delta between two ready-made byte strings. Everything is sent once, whatever the
upstream repeats: deltas count first, the `done` events supply what the deltas did not bring, the terminal response what
no event brought. A generated picture is one content delta, once it is finished. After a stop sequence nothing new is
shown: calls that are being written are written to their end, and the upstream's end still brings the usage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lib import sse
from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.dialects.chat_body import (
    completion,
    completion_id,
    finish_reason,
    is_legacy,
    output_item,
    output_items,
    usage,
)
from lib.dialects.chat_calls import Calls
from lib.dialects.chat_chunks import Chunks, encode
from lib.dialects.chat_pieces import UNREADABLE, decode_text, piece_of, response_of
from lib.dialects.chat_sent import Key, Sent, mended
from lib.dialects.chat_texts import Texts
from lib.dialects.damage import malformed
from lib.dialects.output_items import PART_BREAK, OutputItem
from lib.dialects.pictures import PICTURE, markdown
from lib.dialects.places import Places
from lib.errors import GatewayError

_TEXT = "response.output_text.delta"
_MEMBERS = {"refusal": "refusal", "summary": "reasoning_content", "content": "reasoning_content"}
"""Kind of a part, but for text → the member of a chunk that shows it."""


class ChatRenderer:
    """One answer. `feed` for each event, then `finish` or `fail`; or `body` alone."""

    keep_alive = sse.KEEP_ALIVE

    def __init__(self, request: CanonicalRequest, *, response_id: str, now: float) -> None:
        self._request = request
        self._response_id = response_id
        self._now = now
        self._legacy = is_legacy(request)
        self._chunks = Chunks(request, id=completion_id(response_id), now=now)
        self._calls = Calls(self._chunks, response_id=response_id, legacy=self._legacy)
        self._places = Places()
        self._sent = Sent()
        self._is_ended = False
        self._texts = Texts(request, self._chunks, self._sent, self._places)
        self._thought_at: Key | None = None
        self._finished: set[int] = set()
        """Output indices of items that were sent to the end."""

    def feed(self, event: Event) -> bytes:
        """Raises UpstreamError for an event whose members are of the wrong type."""
        if event.type == _TEXT and not self._is_ended:  # nearly all events: no further call
            try:
                piece = decode_text(event.raw or event.data)
            except msgspec.ValidationError as error:
                raise malformed() from error
            except UNREADABLE:
                return self._on_cut_text(event)
            delta, texts = piece.delta, self._texts
            if (piece.output_index, piece.content_index) != texts.at or not delta:
                return texts.on_delta((piece.output_index, piece.content_index), delta, event)
            texts.keep(delta)
            chunks = self._chunks
            return chunks.text_head + encode(delta) + chunks.text_tail
        feed = _FEEDS.get(event.type)
        return feed(self, event) if feed is not None and not self._is_ended else b""

    def finish(self) -> bytes:
        return sse.DONE

    def fail(self, error: GatewayError) -> bytes:
        self._is_ended = True
        return sse.encode(encode(error.envelope())) + sse.DONE

    def body(self, response: Mapping[str, Any]) -> dict[str, Any]:
        return completion(self._request, response, response_id=self._response_id, now=self._now)

    # --- Parts of messages ------------------------------------------------------------------------------------------

    def _on_cut_text(self, event: Event) -> bytes:
        piece = piece_of(event)
        return self._texts.write(piece.at, piece.delta, piece.logprobs) if piece.delta else b""

    def _on_text_done(self, event: Event) -> bytes:
        piece = piece_of(event)
        return self._texts.complete(piece.at, piece.text, piece.logprobs)

    def _on_annotation(self, event: Event) -> bytes:
        piece = piece_of(event)
        return self._texts.annotate(piece.at, piece.annotation or {})

    def _on_refusal(self, event: Event) -> bytes:
        piece = piece_of(event)
        return self._refuse(piece.key("refusal"), piece.delta, piece.refusal)

    def _refuse(self, key: Key, delta: str, whole: str) -> bytes:
        text = self._sent.joined(key, delta) if delta else self._sent.missing(key, whole)
        if not text or self._texts.is_stopped:
            return b""
        self._places.note(key[0], "message")
        self._sent.add(key, text)
        return self._chunks.chunk({"refusal": text})

    # --- Reasoning --------------------------------------------------------------------------------------------------

    def _on_summary(self, event: Event) -> bytes:
        piece = piece_of(event)
        return self._reason(piece.key("summary"), piece.delta, piece.text)

    def _on_reasoning(self, event: Event) -> bytes:
        piece = piece_of(event)
        return self._reason(piece.key("content"), piece.delta, piece.text)

    def _reason(self, key: Key, delta: str, whole: str) -> bytes:
        text = self._sent.joined(key, delta) if delta else self._sent.missing(key, whole)
        if not text or self._texts.is_stopped:
            return b""
        self._places.note(key[0], "reasoning")
        self._sent.add(key, text)
        if self._thought_at not in (None, key):
            text = PART_BREAK + text
        self._thought_at = key
        return self._chunks.chunk({"reasoning_content": text})

    # --- Calls and whole items --------------------------------------------------------------------------------------

    def _on_call(self, event: Event) -> bytes:
        piece = piece_of(event)
        index = piece.output_index
        if index is None:
            index = self._places.find(piece.item_id) or 0
        delta = self._sent.joined((index, "call", 0), piece.delta) if piece.delta else ""
        whole = piece.arguments if piece.input is None else piece.input
        return self._calls.advance(index, delta, whole if whole is None else mended(whole))

    def _on_item_added(self, event: Event) -> bytes:
        index, item = self._item_of(event)
        return self._calls.announce(index, item) if item is not None and self._may_call(index, item) else b""

    def _on_item_done(self, event: Event) -> bytes:
        index, item = self._item_of(event)
        return self._finish_item(index, item)

    def _item_of(self, event: Event) -> tuple[int, OutputItem | None]:
        item = output_item(event.fields.get("item"))
        index = event.fields.get("output_index")
        if index is None and item is not None:
            index = self._places.find(item.id or item.call_id)
        if index is None:
            index = self._places.next()
        if type(index) is not int:
            raise malformed()
        if item is not None:
            self._places.note(index, item.type, item.id or item.call_id)
        return index, item

    def _finish_item(self, index: int, item: OutputItem | None) -> bytes:
        """What of a finished item was not sent yet. Items that a chat cannot show (None) end here."""
        if item is None or index in self._finished:
            return b""
        self._finished.add(index)
        if item.is_call:
            return self._calls.finish(index, item) if self._may_call(index, item) else b""
        return self._texts.show(markdown(item)) if item.type == PICTURE else b"".join(self._finish_parts(index, item))

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
            frames.append(self._texts.finish_part((index, position), part))
            frames.append(self._refuse((index, "refusal", position), "", part.refusal or ""))
        return frames

    def _may_call(self, index: int, item: OutputItem) -> bool:
        """Whether an item is a call that the client gets: behind a stop sequence, only one that has begun before."""
        return item.is_call and (index in self._calls or not self._texts.is_stopped)

    # --- Beginning and end ------------------------------------------------------------------------------------------

    def _on_created(self, event: Event) -> bytes:
        self._chunks.begin(response_of(event))
        return b""

    def _on_terminal(self, event: Event) -> bytes:
        response = response_of(event)
        if event.type == "response.incomplete":
            response = {**response, "status": "incomplete"}
        self._chunks.begin(response)
        shown = enumerate(map(output_item, response.get("output") or ()))
        items = {position: item for position, item in shown if item is not None}
        indices = self._places.match({at: (item.type, item.id or item.call_id) for at, item in items.items()})
        frames = [self._finish_item(indices[position], item) for position, item in items.items()]
        frames.append(self._texts.finish())
        is_stopped = self._texts.is_stopped
        for key, text in self._sent.leftovers().items():
            if key[1] in _MEMBERS and not is_stopped:
                frames.append(self._chunks.chunk({_MEMBERS[key[1]]: text}))
        reason = finish_reason(response, has_calls=bool(self._calls), legacy=self._legacy, is_stopped=is_stopped)
        frames.append(self._chunks.chunk({}, reason))
        if self._chunks.with_usage:
            frames.append(self._chunks.usage(usage(self._request, response, output_items(response))))
        self._is_ended = True
        return b"".join(frames)


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
