"""What Chat Completions needs of an event, decoded with its types.

A character beyond the basic plane is a pair of escapes in JSON, and some upstreams cut their deltas between the two.
msgspec refuses such a half, so only then is the slower and more tolerant decoder of the standard library used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lib.canonical.events import Event
from lib.dialects.chat_sent import Key
from lib.dialects.damage import malformed
from lib.errors import UpstreamError

At = tuple[int, int]
"""(output index, content index) of a part of a message."""


class TextDelta(msgspec.Struct):
    """What matters of the event that comes by the thousand."""

    delta: str
    output_index: int = 0
    content_index: int = 0


class Piece(msgspec.Struct):
    """What matters of the other delta and done events."""

    delta: str = ""
    text: str = ""
    refusal: str = ""
    arguments: str | None = None
    input: str | None = None
    annotation: dict[str, Any] | None = None
    logprobs: Any = None
    item_id: str = ""
    output_index: int | None = None
    content_index: int = 0
    summary_index: int = 0

    @property
    def at(self) -> At:
        return (self.output_index or 0, self.content_index)

    def key(self, kind: str) -> Key:
        """The key of the part of this kind that the event belongs to."""
        return (self.output_index or 0, kind, self.summary_index if kind == "summary" else self.content_index)


decode_text = msgspec.json.Decoder(TextDelta).decode
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""No JSON, no UTF-8, nested without end, or half a character; a wrong type is a ValidationError, which is one too."""


def piece_of(event: Event) -> Piece:
    """Halves of characters are kept. Raises UpstreamError for what is no JSON, and for members of the wrong type."""
    try:
        fields = event.fields
    except UpstreamError:
        fields = _tolerant(event.data)
    try:
        return msgspec.convert(fields, Piece)
    except msgspec.ValidationError as error:
        raise malformed() from error


def response_of(event: Event) -> Mapping[str, Any]:
    """The Response that an event carries. Raises UpstreamError when it has none."""
    response = event.fields.get("response")
    if type(response) is not dict:
        raise malformed()
    return response


def _tolerant(data: bytes) -> Any:
    import json

    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise malformed() from error
