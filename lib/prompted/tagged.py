"""Calls written as tags: `<function=name><parameter=x>…` and `<invoke name="name"><parameter name="x">…`.

A value ends at its closing tag only where another parameter or the end of the block follows, and never inside CDATA:
text that holds such a tag survives. There is no DTD, and of entities only the five of XML and character numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from lib.prompted import calls
from lib.prompted.blocks import WAIT, Scanner, TaggedObject
from lib.prompted.literals import ENDS, MISMATCH, any_end, blank_end, literal_end
from lib.prompted.pieces import Call
from lib.prompted.tools import Toolset

_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_VALUE_END = "</parameter>"
_TOOL_CALL_END = "</tool_call>"
_MAX_NAME = 512


class Form(NamedTuple):
    """One spelling of tags."""

    opening: str
    """Up to the name."""
    parameter: str
    name_end: str
    closing: str
    entities: bool


FUNCTION = Form("<function=", "<parameter=", ">", "</function>", entities=False)
INVOKE = Form('<invoke name="', '<parameter name="', '">', "</invoke>", entities=True)


class TaggedCall:
    """One call in tags: a name, and values each between its own tags."""

    def __init__(self, form: Form, tools: Toolset) -> None:
        self._form = form
        self._tools = tools
        self._next = 0
        self._state: Callable[[str, int, int], int] = self._opening
        self._name = ""
        self._parameter = ""
        self._value_at = 0
        self._value_end = 0
        self._values: list[tuple[str, str]] = []
        self._length = 0

    def scan(self, text: str, start: int) -> int:
        while True:
            pos = start + self._next
            end = self._state(text, pos, start)
            if end == ENDS:
                return WAIT
            if end == MISMATCH:
                return start - pos or -1
            self._next = end - start
            if self._length:
                return self._length

    def read(self, block: str, tools: Toolset) -> list[Call] | None:
        call = calls.read_values(self._name, self._values, tools, trimmed=not self._form.entities)
        return None if call is None else [call]

    # Each state looks at the text from `pos` and gives the index to go on from, ENDS or MISMATCH.

    def _opening(self, text: str, pos: int, start: int) -> int:
        end = literal_end(text, pos, self._form.opening)
        if end < 0:
            return end
        end, self._name = self._named(text, end)
        if end >= 0:
            if self._name not in self._tools:
                return MISMATCH
            self._state = self._tags
        return end

    def _tags(self, text: str, pos: int, start: int) -> int:
        """Between values: the next one, or the end."""
        pos = blank_end(text, pos)
        self._next = pos - start
        end = literal_end(text, pos, self._form.closing)
        if end >= 0:
            self._length = end - start
            return end
        opened = literal_end(text, pos, self._form.parameter)
        if opened < 0:
            return min(end, opened)
        end, self._parameter = self._named(text, opened)
        if end >= 0:
            self._value_at = end - start
            self._state = self._value
        return end

    def _value(self, text: str, pos: int, start: int) -> int:
        """Up to what may end the value."""
        found = text.find("<", pos)
        if found < 0:
            self._next = len(text) - start
            return ENDS
        end = any_end(text, found, (_CDATA, _VALUE_END))
        if end == ENDS:
            self._next = found - start
            return ENDS
        if end == MISMATCH:
            return found + 1
        self._state = self._after_value if text[found + 1] == "/" else self._cdata
        self._value_end = found - start
        return end

    def _cdata(self, text: str, pos: int, start: int) -> int:
        found = text.find(_CDATA_END, pos)
        if found < 0:
            self._next = max(pos, len(text) - len(_CDATA_END) + 1) - start
            return ENDS
        self._state = self._value
        return found + len(_CDATA_END)

    def _after_value(self, text: str, pos: int, start: int) -> int:
        """Behind a closing tag: a tag of the form, or the tag was part of the value."""
        following = blank_end(text, pos)
        end = any_end(text, following, (self._form.parameter, self._form.closing))
        if end == ENDS:
            return ENDS
        if end == MISMATCH:
            self._state = self._value
            return pos
        raw = text[start + self._value_at : start + self._value_end]
        self._values.append((self._parameter, _decode(raw, self._form)))
        self._state = self._tags
        return pos

    def _named(self, text: str, pos: int) -> tuple[int, str]:
        found = text.find(self._form.name_end, pos, pos + _MAX_NAME)
        if found >= 0:
            name = text[pos:found]
            plain = "\n" not in name and "<" not in name
            return (found + len(self._form.name_end) if plain else MISMATCH), name
        short = len(text) - pos < _MAX_NAME and "\n" not in text[pos:] and "<" not in text[pos:]
        return (ENDS if short else MISMATCH), ""


class Wrapped:
    """Calls between an opening marker and a closing one."""

    def __init__(self, begin: int, closing: str, make: Callable[[], Scanner], *, many: bool) -> None:
        """make: a scanner for one call. many: whether there may be more than one."""
        self._next = begin
        self._closing = closing
        self._make = make
        self._many = many
        self._open: Scanner | None = None
        self._begin = 0
        """Where the open call begins."""
        self._done: list[tuple[Scanner, int, int]] = []

    def scan(self, text: str, start: int) -> int:
        while True:
            if self._open is None:
                end = self._between(text, start)
                if self._open is None:
                    return end
            length = self._open.scan(text, start + self._begin)
            if length <= 0:
                return length - self._begin if length else WAIT
            self._next = self._begin + length
            self._done.append((self._open, self._begin, self._next))
            self._open = None

    def read(self, block: str, tools: Toolset) -> list[Call] | None:
        found: list[Call] = []
        for scanner, begin, end in self._done:
            read = scanner.read(block[begin:end], tools)
            if read is None:
                return None
            found += read
        return found

    def _between(self, text: str, start: int) -> int:
        """The end of the block, or the beginning of a call."""
        pos = blank_end(text, start + self._next)
        self._next = pos - start
        end = literal_end(text, pos, self._closing) if self._done else MISMATCH
        if end >= 0:
            return end - start
        if end == ENDS or pos == len(text):
            return WAIT
        if self._done and not self._many:
            return -self._next
        self._begin = self._next
        self._open = self._make()
        return WAIT


class ToolCall:
    """`<tool_call>` around an object, or around one call in tags."""

    def __init__(self, begin: int, tools: Toolset) -> None:
        self._begin = begin
        self._tools = tools
        self._inner: Scanner | None = None

    def scan(self, text: str, start: int) -> int:
        if self._inner is None:
            pos = blank_end(text, start + self._begin)
            if pos == len(text):
                return WAIT
            if text[pos] == "{":
                self._inner = TaggedObject(self._begin, (_TOOL_CALL_END,), own=False)
            else:
                make = partial(TaggedCall, FUNCTION, self._tools)
                self._inner = Wrapped(self._begin, _TOOL_CALL_END, make, many=False)
        return self._inner.scan(text, start)

    def read(self, block: str, tools: Toolset) -> list[Call] | None:
        return None if self._inner is None else self._inner.read(block, tools)


# --- Values ---------------------------------------------------------------------------------------------------------

_ENTITY = re.compile(r"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


def _decode(raw: str, form: Form) -> str:
    """The value's text: CDATA as it stands, the rest with its entities replaced, once, where the form has them."""
    parts = []
    while _CDATA in raw:
        before, _, raw = raw.partition(_CDATA)
        inner, _, raw = raw.partition(_CDATA_END)
        parts += [_plain(before, form), inner]
    return "".join([*parts, _plain(raw, form)])


def _plain(text: str, form: Form) -> str:
    return _ENTITY.sub(_character, text) if form.entities else text


def _character(match: re.Match[str]) -> str:
    name, decimal, hexadecimal = match.groups()
    if name:
        return _NAMED[name]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    legal = 0 < number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF
    return chr(number) if legal else match[0]
