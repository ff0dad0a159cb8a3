"""Reads tool calls out of a model's text while it arrives.

Text goes out at once; only what may still become an opening marker, and what stands in a block, waits. Calls go out
when the reply is over, because what follows may show that they were none: a `</think>` says that all of it was
reasoning, and blocks in another vendor's form count only at the end. The pieces do not depend on how the text was cut,
and by their offsets they join to exactly what came in.

    parser = Parser(tools, key)
    for chunk in chunks:
        show(parser.feed(chunk))
    show(parser.finish())
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from lib.prompted import markers, tagged
from lib.prompted.blocks import WAIT, BareObject, Scanner, TaggedObject
from lib.prompted.literals import blank_end
from lib.prompted.markers import PARTIAL, Marker, Markers
from lib.prompted.pieces import CALL, DISCARD, REASONING, TEXT, Call, Piece
from lib.prompted.prose import Prose
from lib.prompted.tools import Toolset
from lib.prompted.trigger import closing, opening

MAX_BLOCK_CHARS = 8 * 1024 * 1024
"""A block that grows beyond it is text."""

_THINK_TAG = re.compile(r"</?think(?:ing)?>")
_THINK_TAGS = (*markers.THINK_OPENING, *markers.THINK_CLOSING)


class Parser:
    """One reply. tools: those that may be called. key: what `trigger.derive_key` gave."""

    def __init__(self, tools: Toolset, key: str) -> None:
        self._tools = tools
        self._opening = opening(key)
        self._closers = (closing(key), "</tool_call>")
        self._markers = Markers(key)
        self._prose = Prose()
        self._held = ""
        self._at = 0
        """Characters of the reply before the held ones."""
        self._final = False
        self._waits = False
        """Whether the state cannot go on without more text."""
        self._state: Callable[[str, int], int] = self._in_prose
        self._out: list[Piece] = []
        self._calls: list[Piece] = []
        self._thinking = 0
        """Open reasoning blocks."""
        self._kind = ""
        self._opaque = ""
        """What an open block is shown as that does not count whatever it holds."""
        self._scanner: Scanner = BareObject()
        self._begin = 0
        """Where the open block begins, from the beginning of its run."""
        self._run: list[tuple[int, int, list[Call]]] = []
        """Complete blocks in other vendors' forms, one behind the other: begin, end, and what they call."""

    @property
    def held(self) -> int:
        """How many characters wait."""
        return len(self._held)

    def feed(self, chunk: str) -> list[Piece]:
        """The pieces that this chunk completes, in order."""
        # A local that nothing else refers to grows in place; the attribute would be copied at each step.
        text, self._held = self._held, ""
        text += chunk
        pos = self._advance(text)
        self._held = text[pos:]
        self._at += pos
        out, self._out = self._out, []
        return out

    def finish(self) -> list[Piece]:
        """The rest of the reply, and then its calls. A block that is not complete is text."""
        self._final = True
        text, self._held = self._held, ""
        self._advance(text)
        return self._out + self._calls

    def _advance(self, text: str) -> int:
        """Runs the states as far as they come; everything before the returned index is dealt with."""
        pos = 0
        self._waits = False
        while not self._waits:
            pos = self._state(text, pos)
        return pos

    def _wait(self, pos: int) -> int:
        self._waits = True
        return pos

    def _show(self, kind: str, text: str, start: int, end: int) -> None:
        if end > start:
            self._out.append(Piece(kind, text[start:end], self._at + start))

    def _to_prose(self, pos: int, prose: Prose) -> int:
        self._prose = prose
        self._state = self._in_prose
        return pos

    # --- States: each gets the text and the index of what is not dealt with, and returns the next such index.

    def _in_prose(self, text: str, pos: int) -> int:
        shown, passed = pos, False
        while True:
            pos = self._prose.advance(text, pos, past=passed)
            if pos < 0:
                self._show(TEXT, text, shown, len(text))
                return self._wait(len(text))
            marker = self._markers.find(text, pos)
            if marker is PARTIAL and not self._final:
                self._show(TEXT, text, shown, pos)
                return self._wait(pos)
            if marker is not None and self._counts(marker):
                self._show(TEXT, text, shown, pos)
                return self._enter(marker, text, pos)
            passed = True

    def _counts(self, marker: Marker) -> bool:
        """Whether the marker is one here; a quoted block is, too, so that its strings close no quote."""
        if marker is PARTIAL:
            return False
        if marker.kind == markers.THINK:
            return self._prose.line_start and not self._prose.quoted
        return marker.kind != markers.THOUGHT or not self._prose.quoted

    def _enter(self, marker: Marker, text: str, pos: int) -> int:
        end = pos + marker.length
        if marker.kind == markers.THINK:
            self._show(DISCARD, text, pos, end)
            self._thinking = 1
            self._state = self._in_reasoning
            return end
        if marker.kind == markers.THOUGHT:
            # Closed but never opened: all so far was reasoning, calls included.
            self._out += [Piece(REASONING, piece.text, piece.at) for piece in self._calls]
            self._calls.clear()
            self._show(DISCARD, text, pos, end)
            return self._to_prose(end, Prose())
        self._run.clear()
        self._opaque = TEXT if self._prose.quoted else ""
        return self._open(marker, pos, 0)

    def _open(self, marker: Marker, pos: int, begin: int) -> int:
        """A block begins. pos: where its run does."""
        self._begin, self._kind = begin, marker.kind
        self._scanner = self._scanner_of(marker)
        self._state = self._in_block
        return pos

    def _scanner_of(self, marker: Marker) -> Scanner:
        tools, kind, length = self._tools, marker.kind, marker.length
        if kind == markers.NATIVE:
            return TaggedObject(length, self._closers, own=True)
        if kind == markers.TOOL_CALL:
            return tagged.ToolCall(length, tools)
        if kind == markers.FUNCTION:
            return tagged.TaggedCall(tagged.FUNCTION, tools)
        if kind == markers.INVOKE:
            return tagged.TaggedCall(tagged.INVOKE, tools)
        if kind == markers.GROUP:
            make = partial(tagged.TaggedCall, tagged.INVOKE, tools)
            return tagged.Wrapped(length, "</function_calls>", make, many=True)
        return TaggedObject(length, ("```",), own=False) if kind == markers.FENCED else BareObject()

    def _in_block(self, text: str, pos: int) -> int:
        start = pos + self._begin
        length = self._scanner.scan(text, start)
        if length == WAIT:
            if not self._final and len(text) - pos <= MAX_BLOCK_CHARS:
                return self._wait(pos)
            length = -len(self._opening) if self._opaque else start - len(text)
        if self._opaque:
            return self._pass_opaque(text, pos, start + abs(length))
        if length < 0:
            end = start - length
            self._show(TEXT, text, pos, end)
            return self._to_prose(end, Prose(line_start=False, fence="```" if self._kind == markers.FENCED else ""))
        end = start + length
        block = text[start:end]
        calls = self._scanner.read(block, self._tools)
        if calls is None:
            self._show(TEXT, text, pos, end)
            return self._to_prose(end, Prose())
        if self._kind == markers.NATIVE:
            self._calls += _call_pieces(block, self._at + start, calls)
            self._state = self._behind_call
            return end
        self._run.append((self._begin, end - pos, calls))
        self._state = self._in_run
        return pos

    def _pass_opaque(self, text: str, pos: int, end: int) -> int:
        """Out of a block that is only talked about, or thought of."""
        self._show(self._opaque, text, pos, end)
        if self._opaque == TEXT:
            self._prose.pass_block()
            return self._to_prose(end, self._prose)
        self._state = self._in_reasoning
        return end

    def _behind_call(self, text: str, pos: int) -> int:
        """Blank space between the gateway's own blocks is none of the text."""
        end = blank_end(text, pos)
        marker = self._marker_at(text, end)
        if marker is PARTIAL:
            return self._wait(pos)
        ends = end == len(text)
        if ends or (marker is not None and marker.kind in (markers.NATIVE, markers.THOUGHT)):
            self._show(DISCARD, text, pos, end)
            pos = end
        return self._wait(pos) if ends else self._to_prose(pos, Prose())

    def _in_run(self, text: str, pos: int) -> int:
        """Behind a complete block in another vendor's form: the end of the reply, or one more of them, or text."""
        begin, end, _ = self._run[-1]
        following = blank_end(text, pos + end)
        marker = self._marker_at(text, following)
        if marker is PARTIAL:
            return self._wait(pos)
        if marker is not None and marker.kind in markers.FOREIGN_KINDS:
            return self._open(marker, pos, following - pos)
        if following < len(text):
            self._show(TEXT, text, pos, following)
            return self._to_prose(following, Prose())
        last = 0
        for begin, end, calls in self._run:
            self._show(DISCARD, text, pos + last, pos + begin)
            self._calls += _call_pieces(text[pos + begin : pos + end], self._at + pos + begin, calls)
            last = end
        self._show(DISCARD, text, pos + last, following)
        return self._wait(following)

    def _marker_at(self, text: str, pos: int) -> Marker | None:
        """What begins there; PARTIAL only while there may come more text."""
        if pos == len(text):
            return None if self._final else PARTIAL
        marker = self._markers.find(text, pos) if text[pos] in "<{`" else None
        return None if marker is PARTIAL and self._final else marker

    def _in_reasoning(self, text: str, pos: int) -> int:
        tag = _THINK_TAG.search(text, pos)
        block = text.find(self._opening, pos, len(text) if tag is None else tag.start())
        if block >= 0:
            # Whatever tags its strings hold, they are no tags.
            self._show(REASONING, text, pos, block)
            self._opaque = REASONING
            return self._open(Marker(markers.NATIVE, len(self._opening)), block, 0)
        if tag is None:
            end = len(text) if self._final else self._held_from(text, pos)
            self._show(REASONING, text, pos, end)
            return self._wait(end)
        self._show(REASONING, text, pos, tag.start())
        self._show(DISCARD, text, tag.start(), tag.end())
        self._thinking += -1 if tag[0] in markers.THINK_CLOSING else 1
        return tag.end() if self._thinking else self._to_prose(tag.end(), Prose())

    def _held_from(self, text: str, pos: int) -> int:
        """Where the beginning of something that matters in reasoning stands at the end of the text, or its end."""
        awaited = (self._opening, *_THINK_TAGS)
        tail = text.rfind("<", max(pos, len(text) - max(map(len, awaited)) + 1))
        return tail if tail >= 0 and any(each.startswith(text[tail:]) for each in awaited) else len(text)


def _call_pieces(block: str, at: int, calls: list[Call]) -> list[Piece]:
    """One piece for each call; the first has the text of all."""
    return [Piece(CALL, "" if index else block, at, call) for index, call in enumerate(calls)]
