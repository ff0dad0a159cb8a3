"""The text blocks of a Messages stream: every byte once, up to the first stop sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lib.canonical.events import Event
from lib.dialects.messages_blocks import CITATION, TAIL, TEXT, Blocks, delta, encode
from lib.dialects.messages_body import citations, text_block
from lib.dialects.output_items import Part
from lib.dialects.places import Places
from lib.dialects.stops import Stops

Place = tuple[int, int]
"""(output index, content index) of a part of a message."""


class _Delta(msgspec.Struct):
    """What matters of the event that comes by the thousand."""

    delta: str
    output_index: int = 0
    content_index: int = 0


_decode = msgspec.json.Decoder(_Delta).decode


class Texts:
    """All texts and refusals of one answer. Parts of messages come one after the other: where one begins, the one
    before it has ended."""

    def __init__(self, blocks: Blocks, places: Places, stop_sequences: Sequence[str]) -> None:
        self.stops = Stops(stop_sequences)
        self.has_refusal = False
        self._blocks = blocks
        self._places = places
        self._plain: Place | None = None
        """The block whose deltas need nothing but their frames, as long as it is the open one."""
        self._head = b""
        self._latest: Place | None = None
        self._cited: dict[Place, int] = {}
        """How many annotations of a part were seen."""

    def on_delta(self, event: Event) -> bytes:
        """`response.output_text.delta`. Raises DecodeError."""
        piece = _decode(event.raw or event.data)
        at = (piece.output_index, piece.content_index)
        if at == self._plain and at == self._blocks.open and piece.delta:
            return self._head + encode(piece.delta) + TAIL
        return self.write(at, piece.delta)

    def write(self, at: Place, text: str) -> bytes:
        """More text, as far as no stop sequence ends it."""
        if not text or self.stops.found is not None:
            return b""
        begun = self._begin(at)
        if self.stops:
            shown = self.stops.feed(text)
            return begun + (self._blocks.delta(at, TEXT, shown) if shown else b"")
        frames = begun + self._blocks.delta(at, TEXT, text)
        self._plain, self._head = at, self._blocks.head + TEXT
        return frames

    def refuse(self, at: Place, text: str) -> bytes:
        """More of a refusal, which is shown as text."""
        if not text:
            return b""
        self.has_refusal = True
        return self._begin(at) + self._blocks.delta(at, TEXT, text)

    def show(self, index: int, picture: str) -> bytes:
        """A block for a picture in Markdown; nothing for an empty one. No stop sequence is looked for in it."""
        if not picture:
            return b""
        at = (index, 0)
        return self._blocks.begin(at, text_block()) + self._blocks.delta(at, TEXT, picture) + self._blocks.end(at)

    def cite(self, at: Place, annotation: Mapping[str, Any]) -> bytes:
        """One more annotation."""
        self._cited[at] = self._cited.get(at, 0) + 1
        return self._cite(at, [annotation])

    def finish(self, index: int, parts: Sequence[Part]) -> bytes:
        """What of a finished message was not sent yet."""
        frames = []
        for position, part in enumerate(parts):
            at = (index, position)
            if at not in self._blocks:
                frames.append(self.refuse(at, part.refusal) if part.refusal else self.write(at, part.text or ""))
            frames.append(self._cite(at, (part.annotations or [])[self._cited.get(at, 0) :]))
            frames.append(self._blocks.end(at))
        return b"".join(frames)

    def _begin(self, at: Place) -> bytes:
        if at in self._blocks:
            return b""
        self._places.note(at[0], "message")
        ended = b"" if self._latest is None else self._blocks.end(self._latest)
        self._latest = at
        return ended + self._blocks.begin(at, text_block(), closing=self._release)

    def _release(self) -> bytes:
        """What was held back as the possible beginning of a stop sequence: its text is at its end."""
        held = self.stops.flush()
        return delta(TEXT, held) if held else b""

    def _cite(self, at: Place, annotations: Sequence[Mapping[str, Any]]) -> bytes:
        return b"".join(self._blocks.delta(at, CITATION, each) for each in citations(annotations))
