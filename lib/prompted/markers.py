"""What may begin a block, and how to tell it from a text that only begins like one.

Nothing but a true prefix of one of these is ever kept back: `find` says PARTIAL only where the text ends inside one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lib.prompted.literals import ENDS, MISMATCH, literal_end
from lib.prompted.trigger import opening

NATIVE = "native"
TOOL_CALL = "tool_call"
FUNCTION = "function"
INVOKE = "invoke"
GROUP = "group"
TOOL_CALLS = "tool_calls"
FENCED = "fenced"
FOREIGN_KINDS = frozenset({TOOL_CALL, FUNCTION, INVOKE, GROUP, TOOL_CALLS, FENCED})
THINK = "think"
THOUGHT = "thought"

_FOREIGN = {
    "<tool_call>": TOOL_CALL,
    "<function=": FUNCTION,
    "<invoke name=": INVOKE,
    "<function_calls>": GROUP,
}
THINK_OPENING = ("<think>", "<thinking>")
THINK_CLOSING = ("</think>", "</thinking>")
_FIXED = _FOREIGN | dict.fromkeys(THINK_OPENING, THINK) | dict.fromkeys(THINK_CLOSING, THOUGHT)
_FENCE_INFO = ("", "json", "JSON", "tool_call", "tool_code")
_MAX_BLANK = 32
"""Blank characters that a marker may hold in one place."""


class Marker(NamedTuple):
    """A whole opening marker."""

    kind: str
    length: int


PARTIAL = Marker("", 0)
"""The text ends inside something that may become a marker."""

_FIXED_LITERALS = tuple((text, Marker(kind, len(text))) for text, kind in _FIXED.items())


class Markers:
    """The markers of one conversation. key: what `trigger.derive_key` gave."""

    def __init__(self, key: str) -> None:
        own = opening(key)
        self._literals = ((own, Marker(NATIVE, len(own))), *_FIXED_LITERALS)
        self._longest = max(len(own), *map(len, _FIXED))

    def find(self, text: str, pos: int) -> Marker | None:
        """The marker at `pos`, PARTIAL, or None."""
        first = text[pos]
        if first == "`":
            return _fenced(text, pos)
        if first == "{":
            return _tool_calls(text, pos)
        here = text[pos : pos + self._longest]
        partial = None
        for literal, marker in self._literals:
            if here.startswith(literal):
                return marker
            if len(here) < len(literal) and literal.startswith(here):
                partial = PARTIAL
        return partial


def _fenced(text: str, pos: int) -> Marker | None:
    """A fence whose content begins like a call: an object with `name` or `arguments` first."""
    end = literal_end(text, pos, "```")
    if end >= 0:
        end = _fence_info(text, end)
    if end >= 0:
        end = _blank(text, end, "\n")
    if end >= 0:
        brace = end
        end = _member(text, end, ("name", "arguments"))
        if end >= 0:
            return Marker(FENCED, brace - pos)  # the object is read from its brace
    return PARTIAL if end == ENDS else None


def _tool_calls(text: str, pos: int) -> Marker | None:
    end = _member(text, pos, ("tool_calls",))
    if end >= 0:
        return Marker(TOOL_CALLS, 0)
    return PARTIAL if end == ENDS else None


def _member(text: str, pos: int, names: Iterable[str]) -> int:
    """The beginning of an object with one of these members first."""
    end = literal_end(text, pos, "{")
    if end >= 0:
        end = _blank(text, end)
    if end < 0:
        return end
    ends = [literal_end(text, end, f'"{name}"') for name in names]
    return max(ends) if max(ends) >= 0 else min(ends)


def _fence_info(text: str, pos: int) -> int:
    """The end of the first line's text."""
    end = pos
    while end < len(text) and (text[end].isalpha() or text[end] == "_"):
        end += 1
    word = text[pos:end]
    if end == len(text):
        return ENDS if any(info.startswith(word) for info in _FENCE_INFO) else MISMATCH
    return end if word in _FENCE_INFO else MISMATCH


def _blank(text: str, pos: int, needed: str = "") -> int:
    """The end of the blank space, which must hold `needed`."""
    end = pos
    while end < len(text) and text[end] in " \t\r\n":
        end += 1
        if end - pos > _MAX_BLANK:
            return MISMATCH
    if end == len(text):
        return ENDS
    return end if needed in text[pos:end] else MISMATCH
