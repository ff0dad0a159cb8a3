"""The thinking blocks of a Messages stream: one for each reasoning item, its parts joined, its signature last."""

from __future__ import annotations

from lib.dialects.messages_blocks import SIGNATURE, THINKING, Blocks
from lib.dialects.messages_thinking import Display, signature_of
from lib.dialects.output_items import PART_BREAK, OutputItem
from lib.dialects.places import Places

Thought = tuple[int, str, int]
"""(output index, "summary" or "content", position) of a part of reasoning."""

Key = tuple[int, str]


class Thoughts:
    """All reasoning of one answer, as far as the client wants to see it."""

    def __init__(self, blocks: Blocks, places: Places, display: Display) -> None:
        self._blocks = blocks
        self._places = places
        self._display = display
        self._seen: set[Thought] = set()
        self._latest: Thought | None = None

    def write(self, thought: Thought, delta: str, whole: str) -> bytes:
        """More of a part, or the whole of one that no delta brought."""
        text = delta or ("" if thought in self._seen else whole)
        if self._display is not Display.TEXT or not text:
            return b""
        key = _key(thought[0])
        if self._latest not in (None, thought) and key in self._blocks:
            text = PART_BREAK + text
        self._latest = thought
        self._seen.add(thought)
        return self._begin(key) + self._blocks.delta(key, THINKING, text)

    def finish(self, index: int, item: OutputItem) -> bytes:
        """What of a finished item was not sent yet, and its end."""
        frames = [
            self.write((index, kind, position), "", part.text or "")
            for kind, parts in (("summary", item.summary), ("content", item.content))
            for position, part in enumerate(parts or ())
        ]
        key = _key(index)
        if self._display is Display.NOTHING or not (key in self._blocks or item.encrypted_content):
            return b""
        frames.append(self._begin(key))
        frames.append(self._blocks.delta(key, SIGNATURE, signature_of(item.encrypted_content)))
        return b"".join(frames) + self._blocks.end(key)

    def _begin(self, key: Key) -> bytes:
        if key in self._blocks:
            return b""
        self._places.note(key[0], "reasoning")
        return self._blocks.begin(key, {"type": "thinking", "thinking": "", "signature": ""})


def _key(index: int) -> Key:
    return (index, "thinking")
