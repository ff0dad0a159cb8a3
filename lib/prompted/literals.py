"""Fixed strings in a text that may end in the middle of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

MISMATCH = -1
ENDS = -2
"""The text ends before it can be told; less than MISMATCH, so that of several attempts the smallest one counts."""

_BLANK = re.compile(r"[ \t\r\n]*")


def literal_end(text: str, pos: int, literal: str) -> int:
    """The index behind `literal`, if it stands at `pos`."""
    if text.startswith(literal, pos):
        return pos + len(literal)
    left = len(text) - pos
    return ENDS if left < len(literal) and literal.startswith(text[pos:]) else MISMATCH


def any_end(text: str, pos: int, literals: Iterable[str]) -> int:
    """The index behind the first of `literals` that stands at `pos`; ENDS while one of them still may."""
    best = MISMATCH
    for literal in literals:
        end = literal_end(text, pos, literal)
        if end >= 0:
            return end
        best = min(best, end)
    return best


def blank_end(text: str, pos: int) -> int:
    """The index behind the blank space at `pos`."""
    match = _BLANK.match(text, pos)
    assert match is not None  # it matches nothing, too
    return match.end()
