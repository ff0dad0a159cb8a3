"""Where a block ends: resumable scanners over a text that grows.

A scanner is asked again and again with more text and goes on where it stopped, so that a block costs the same in one
piece and byte by byte. Indices are relative to the beginning of the block.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from lib.prompted import calls
from lib.prompted.literals import ENDS, any_end, blank_end
from lib.prompted.pieces import Call
from lib.prompted.tools import Toolset

WAIT = 0

# One step of the automaton each: a string is left at its quote, an object at its last bracket.
_IN_STRING = re.compile(r'["\\]')
_IN_OBJECT = re.compile(r'["{}\[\]<]')


class Scanner(Protocol):
    """One block that is being read."""

    def scan(self, text: str, start: int) -> int:
        """Its length once it is complete; WAIT; or -n if it is none, where n characters are known to be text."""

    def read(self, block: str, tools: Toolset) -> list[Call] | None:
        """The calls of the complete block; None if it does not hold what its form asks for."""


class ObjectScanner:
    """A JSON object, from its brace to the matching one. Strings may hold anything, an angle bracket outside of them
    ends the attempt."""

    def __init__(self, begin: int) -> None:
        self._next = begin
        self._depth = 0
        self._in_string = False

    def scan(self, text: str, start: int) -> int:
        """As in Scanner."""
        pos = start + self._next
        while True:
            stop = (_IN_STRING if self._in_string else _IN_OBJECT).search(text, pos)
            if stop is None:
                self._next = len(text) - start
                return WAIT
            pos, char = stop.end(), stop[0]
            if char == '"':
                self._in_string = not self._in_string
            elif char == "\\":
                if pos == len(text):
                    self._next = pos - 1 - start
                    return WAIT
                pos += 1
            elif char in "{[":
                self._depth += 1
            elif char == "<":
                return start - pos + 1
            else:
                self._depth -= 1
                if self._depth <= 0:
                    return pos - start


class TaggedObject:
    """An object behind an opening marker, and before one of `closers`."""

    def __init__(self, begin: int, closers: Sequence[str], *, own: bool) -> None:
        """own: the gateway's form, which may call without a schema that fits; the others may not."""
        self._closers = closers
        self._own = own
        self._begin = begin
        self._object: ObjectScanner | None = None
        self._end = 0
        """Behind the object, and the blank space after it."""

    def scan(self, text: str, start: int) -> int:
        if self._object is None:
            brace = blank_end(text, start + self._begin)
            if brace == len(text):
                return WAIT
            if text[brace] != "{":
                return -self._begin
            self._begin = brace - start
            self._object = ObjectScanner(self._begin)
        if not self._end:
            self._end = self._object.scan(text, start)
        if self._end <= 0:
            return self._end
        closer = blank_end(text, start + self._end)
        self._end = closer - start
        end = any_end(text, closer, self._closers)
        if end == ENDS:
            return WAIT
        return end - start if end >= 0 else start - closer

    def read(self, block: str, tools: Toolset) -> list[Call] | None:
        call = calls.read_object(block[self._begin : self._end], tools, own=self._own)
        return None if call is None else [call]


class BareObject:
    """An object without markers: `{"tool_calls": […]}`."""

    def __init__(self) -> None:
        self._object = ObjectScanner(0)

    def scan(self, text: str, start: int) -> int:
        return self._object.scan(text, start)

    def read(self, block: str, tools: Toolset) -> list[Call] | None:
        return calls.read_list(block, tools)
