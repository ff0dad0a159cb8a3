"""Canonical events → a Messages stream, or one `message`.

Text, the bulk of every stream, is a delta between two ready-made byte strings. Everything is sent once, whatever the
upstream repeats: deltas count first, the `done` events supply what no delta brought, the terminal response what no
event brought. After a stop sequence nothing new is shown: calls that are being written are written to their end, and
the upstream's end still brings the usage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lib.canonical.events import COMPLETED, Event
from lib.canonical.request import CanonicalRequest
from lib.dialects.damage import malformed
from lib.dialects.messages_blocks import Blocks, frame
from lib.dialects.messages_body import ending_of, message, opening, output_item, text_block, usage
from lib.dialects.messages_calls import Calls
from lib.dialects.messages_errors import envelope
from lib.dialects.messages_texts import Place, Texts
from lib.dialects.messages_thinking import display_of
from lib.dialects.messages_thoughts import Thoughts
from lib.dialects.output_items import OutputItem
from lib.dialects.pictures import PICTURE, markdown
from lib.dialects.places import Places
from lib.errors import GatewayError

PING = frame("ping")


class _Piece(msgspec.Struct):
    """What matters of the delta and done events; those of text have a way of their own."""

    delta: str = ""
    text: str = ""
    refusal: str = ""
    annotation: dict[str, Any] | None = None
    item_id: str = ""
    output_index: int | None = None
    content_index: int = 0
    summary_index: int = 0

    @property
    def index(self) -> int:
        return self.output_index or 0

    @property
    def at(self) -> Place:
        return (self.index, self.content_index)


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""No JSON, no UTF-8, nested without end; a member of the wrong type is a DecodeError too."""


def _piece(event: Event) -> _Piece:
    return msgspec.convert(event.fields, _Piece)


class MessagesRenderer:
    """One answer. `feed` for each event, then `finish` or `fail`; or `body` alone."""

    keep_alive = PING

    def __init__(self, request: CanonicalRequest, *, response_id: str, now: float) -> None:
        self._request = request
        self._id = f"msg_{response_id}"
        self._is_begun = self._is_ended = False
        self._blocks, self._places = Blocks(), Places()
        self._texts = Texts(self._blocks, self._places, request.body.get("stop_sequences") or ())
        self._thoughts = Thoughts(self._blocks, self._places, display_of(request.body.get("thinking")))
        self._calls = Calls(self._blocks)
        self._finished: set[int] = set()
        """Output indices of items that were sent to the end."""

    def feed(self, event: Event) -> bytes:
        """Raises UpstreamError for an event whose members are of the wrong type, and for a finished call whose input
        is no JSON object."""
        feed = _FEEDS.get(event.type)
        if feed is None or self._is_ended or (self._is_stopped and event.type not in _BEHIND_STOP):
            return b""
        try:
            return feed(self, event) if self._is_begun else self._start() + feed(self, event)
        except _UNREADABLE as error:
            raise malformed() from error

    def finish(self) -> bytes:
        """Nothing: the terminal event ends the stream."""
        return b""

    def fail(self, error: GatewayError) -> bytes:
        """An `error` event, and no `message_stop`."""
        self._is_ended = True
        return frame("error", error=envelope(error)["error"])

    def body(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """The whole message. Raises UpstreamError for a call whose input is no JSON object."""
        return message(self._request, response, id=self._id)

    @property
    def _is_stopped(self) -> bool:
        return self._texts.stops.found is not None

    # --- Parts of items ---------------------------------------------------------------------------------------------

    def _on_created(self, event: Event) -> bytes:
        return b""

    def _on_text_delta(self, event: Event) -> bytes:
        return self._texts.on_delta(event)

    def _on_text_done(self, event: Event) -> bytes:
        piece = _piece(event)
        return b"" if piece.at in self._blocks else self._texts.write(piece.at, piece.text)

    def _on_refusal(self, event: Event) -> bytes:
        piece = _piece(event)
        return self._texts.refuse(piece.at, piece.delta or ("" if piece.at in self._blocks else piece.refusal))

    def _on_annotation(self, event: Event) -> bytes:
        piece = _piece(event)
        return self._texts.cite(piece.at, piece.annotation or {})

    def _on_part_done(self, event: Event) -> bytes:
        return self._blocks.end(_piece(event).at)

    def _on_summary(self, event: Event) -> bytes:
        piece = _piece(event)
        return self._thoughts.write((piece.index, "summary", piece.summary_index), piece.delta, piece.text)

    def _on_reasoning(self, event: Event) -> bytes:
        piece = _piece(event)
        return self._thoughts.write((piece.index, "content", piece.content_index), piece.delta, piece.text)

    def _on_arguments(self, event: Event) -> bytes:
        piece = _piece(event)
        index = self._places.find(piece.item_id) if piece.output_index is None else piece.output_index
        index = index or 0
        return b"" if index in self._finished else self._calls.write(index, piece.delta)

    # --- Whole items ------------------------------------------------------------------------------------------------

    def _on_item_added(self, event: Event) -> bytes:
        index, item = self._item_of(event)
        return self._calls.announce(index, item) if item is not None and item.is_call else b""

    def _on_item_done(self, event: Event) -> bytes:
        return self._finish_item(*self._item_of(event))

    def _item_of(self, event: Event) -> tuple[int, OutputItem | None]:
        item = output_item(event.fields.get("item"))
        index = event.fields.get("output_index")
        if item is None:
            return 0, None
        if index is None:
            index = self._places.find(item.id)
            index = self._places.next() if index is None else index
        if type(index) is not int:
            raise malformed()
        self._places.note(index, item.type, item.id)
        return index, item

    def _finish_item(self, index: int, item: OutputItem | None) -> bytes:
        """What of a finished item was not sent yet. Items that a message cannot show (None) end here."""
        if item is None or index in self._finished or (self._is_stopped and index not in self._calls):
            return b""
        self._finished.add(index)
        if item.is_call:
            return self._calls.finish(index, item)
        if item.type == "reasoning":
            return self._thoughts.finish(index, item)
        if item.type == "web_search_call":
            return self._calls.search(index, item)
        if item.type == PICTURE:
            return self._texts.show(index, markdown(item))
        return self._texts.finish(index, item.content or ())

    # --- Beginning and end ------------------------------------------------------------------------------------------

    def _start(self) -> bytes:
        self._is_begun = True
        nothing: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
        begun = {**opening(self._request, self._id), **nothing, "usage": usage(self._request, {})}
        return frame("message_start", message=begun)

    def _on_terminal(self, event: Event) -> bytes:
        response = event.fields.get("response")
        if type(response) is not dict:
            raise malformed()
        if event.type == "response.incomplete":
            response = {**response, "status": "incomplete"}
        items = dict(enumerate(map(output_item, response.get("output") or ())))
        shown = {position: item for position, item in items.items() if item is not None}
        places = self._places.match({position: (item.type, item.id) for position, item in shown.items()})
        frames = [self._finish_item(places[position], item) for position, item in shown.items()]
        if not self._blocks:
            frames.append(self._blocks.begin((0, 0), text_block()))
        frames.append(self._blocks.finish())
        texts = self._texts
        ending = ending_of(response, texts.stops.found, has_calls=bool(self._calls), has_refusal=texts.has_refusal)
        frames.append(frame("message_delta", delta=ending, usage=usage(self._request, response)))
        frames.append(frame("message_stop"))
        self._is_ended = True
        return b"".join(frames)


_FEEDS: Mapping[str, Callable[[MessagesRenderer, Event], bytes]] = {
    "response.created": MessagesRenderer._on_created,
    "response.output_text.delta": MessagesRenderer._on_text_delta,
    "response.output_text.done": MessagesRenderer._on_text_done,
    "response.output_text.annotation.added": MessagesRenderer._on_annotation,
    "response.refusal.delta": MessagesRenderer._on_refusal,
    "response.refusal.done": MessagesRenderer._on_refusal,
    "response.content_part.done": MessagesRenderer._on_part_done,
    "response.reasoning_summary_text.delta": MessagesRenderer._on_summary,
    "response.reasoning_summary_text.done": MessagesRenderer._on_summary,
    "response.reasoning_text.delta": MessagesRenderer._on_reasoning,
    "response.reasoning_text.done": MessagesRenderer._on_reasoning,
    "response.output_item.added": MessagesRenderer._on_item_added,
    "response.output_item.done": MessagesRenderer._on_item_done,
    "response.function_call_arguments.delta": MessagesRenderer._on_arguments,
    "response.completed": MessagesRenderer._on_terminal,
    "response.incomplete": MessagesRenderer._on_terminal,
}
"""Event type → what it adds to the answer; every other event adds nothing to a message."""

_BEHIND_STOP = COMPLETED | {"response.function_call_arguments.delta", "response.output_item.done"}
"""Event types that still count after a stop sequence."""
