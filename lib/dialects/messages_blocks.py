"""The content blocks of a Messages stream: one after the other, numbered without gaps.

The format has one open block at a time, while an upstream may write several tool calls at once. What belongs to another
block than the open one waits until that one has ended. Only calls are written side by side: whatever else is open ends
when something new begins.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import msgspec

encode = msgspec.json.Encoder().encode

Key = Hashable
Closing = Callable[[], bytes]
TEXT = b'{"type":"text_delta","text":'
THINKING = b'{"type":"thinking_delta","thinking":'
SIGNATURE = b'{"type":"signature_delta","signature":'
INPUT = b'{"type":"input_json_delta","partial_json":'
CITATION = b'{"type":"citations_delta","citation":'
"""Deltas up to their one value; `TAIL` ends the frame."""
TAIL = b"}}\n\n"


def delta(kind: bytes, value: Any) -> bytes:
    """One of the above with its value, and the end of the frame."""
    return kind + encode(value) + TAIL


def frame(type: str, **members: Any) -> bytes:
    """One server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (type.encode(), encode({"type": type, **members}))


class _Block:
    """A block that has begun for the upstream, and maybe not for the client yet."""

    __slots__ = ("closing", "is_call", "is_ended", "pieces", "start")

    def __init__(self, start: Mapping[str, Any], is_call: bool, closing: Closing | None) -> None:
        self.start = start
        self.is_call = is_call
        self.closing = closing
        self.is_ended = False
        self.pieces: list[bytes] = []
        """Deltas that wait, without the head of their frames."""

    def last(self) -> bytes:
        """The delta that the block ends with, once."""
        closing, self.closing = self.closing, None
        return b"" if closing is None else closing()


class Blocks:
    """Makes the frames of all blocks of one answer."""

    def __init__(self) -> None:
        self.open: Key | None = None
        """The block that the client is getting."""
        self.head = b""
        """What stands before a delta of the open block."""
        self._count = 0
        self._blocks: dict[Key, _Block] = {}
        """Those that have begun and not ended, the open one first."""
        self._keys: set[Key] = set()

    def __bool__(self) -> bool:
        """Whether there is any block."""
        return bool(self._keys)

    def __contains__(self, key: Key) -> bool:
        """Whether this block has begun, and maybe ended."""
        return key in self._keys

    def begin(
        self, key: Key, start: Mapping[str, Any], *, is_call: bool = False, closing: Closing | None = None
    ) -> bytes:
        """A new block; `start` is its `content_block`. `closing` is asked for a last delta when the block ends."""
        ended = self._end_open() if self.open is not None and not self._blocks[self.open].is_call else b""
        self._keys.add(key)
        self._blocks[key] = _Block(start, is_call, closing)
        return ended + self._advance()

    def delta(self, key: Key, kind: bytes, value: Any) -> bytes:
        """More of a block; nothing for one that has ended."""
        if key == self.open:
            return self.head + delta(kind, value)
        block = self._blocks.get(key)
        if block is not None:
            block.pieces.append(delta(kind, value))
        return b""

    def end(self, key: Key) -> bytes:
        """The block is complete; those that waited for it follow."""
        if key == self.open:
            return self._end_open() + self._advance()
        block = self._blocks.get(key)
        if block is not None:
            self._complete(block)
        return b""

    def finish(self) -> bytes:
        """Ends whatever is left."""
        ended = self._end_open() if self.open is not None else b""
        for block in self._blocks.values():
            self._complete(block)
        return ended + self._advance()

    def _complete(self, block: _Block) -> None:
        """Ends a block that waits."""
        block.is_ended = True
        last = block.last()
        if last:
            block.pieces.append(last)

    def _advance(self) -> bytes:
        """Opens the blocks that wait, up to and including the first one that goes on."""
        frames = []
        while self.open is None and self._blocks:
            key, block = next(iter(self._blocks.items()))
            frames.append(self._begin_open(key, block))
            if block.is_ended or not (block.is_call or len(self._blocks) == 1):
                frames.append(self._end_open())
        return b"".join(frames)

    def _begin_open(self, key: Key, block: _Block) -> bytes:
        self.open = key
        self.head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":' % self._count
        start = frame("content_block_start", index=self._count, content_block=block.start)
        return start + b"".join(self.head + piece for piece in block.pieces)

    def _end_open(self) -> bytes:
        last = self._blocks.pop(self.open).last()
        self.open = None
        self._count += 1
        return (self.head + last if last else b"") + frame("content_block_stop", index=self._count - 1)
