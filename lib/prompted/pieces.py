"""What the parser makes of a reply."""

from __future__ import annotations

from typing import NamedTuple

TEXT = "text"
REASONING = "reasoning"
CALL = "call"
DISCARD = "discard"


class Call(NamedTuple):
    """A tool call: `arguments` is the text of a JSON object, or the free text of a custom tool."""

    name: str
    arguments: str
    custom: bool = False


class Piece(NamedTuple):
    """A stretch of the reply. All pieces, in the order of `at`, join to exactly what came in."""

    kind: str
    """TEXT to show, REASONING to show as such, CALL, or DISCARD for markers and the blank space between blocks."""
    text: str
    """The reply's own characters."""
    at: int
    """How many characters of the reply stand before it."""
    call: Call | None = None
