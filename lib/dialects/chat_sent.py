"""The texts of an answer as far as the client has them: what is still missing when the whole is told, and halves of
characters that wait for the other one.
"""

from __future__ import annotations

import re

Key = tuple[int, str, int]
"""(output index, "text" | "refusal" | "summary" | "content" | "call", position) of a part."""

_has_half = re.compile("[\ud800-\udfff]").search
_REPLACEMENT = "\ufffd"


def mended(text: str) -> str:
    """The text with its pairs joined and what is left of halves replaced by U+FFFD."""
    if text.isascii() or not _has_half(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Sent:
    """What was sent of each part. Reasoning counts without the breaks between its parts."""

    def __init__(self) -> None:
        self._texts: dict[Key, list[str]] = {}
        self._halves: dict[Key, str] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._texts

    def add(self, key: Key, text: str) -> None:
        """The client has this, too."""
        self._texts.setdefault(key, []).append(text)

    def joined(self, key: Key, delta: str) -> str:
        """What can be sent now of a delta: with the half that was held back before it, without the one at its end."""
        text = self._halves.pop(key, "") + delta
        if "\ud800" <= text[-1:] <= "\udbff":
            self._halves[key] = text[-1]
            text = text[:-1]
        return mended(text)

    def is_held(self, key: Key) -> bool:
        """Whether half a character waits for the next delta of this part."""
        return key in self._halves

    def missing(self, key: Key, whole: str) -> str:
        """What the client lacks of the whole text; nothing if that contradicts what it has."""
        if not whole:
            return ""
        self._halves.pop(key, None)
        whole = mended(whole)
        pieces = self._texts.get(key)
        if pieces is None:
            return whole
        sent = "".join(pieces)
        pieces[:] = [sent]
        return whole[len(sent) :] if whole.startswith(sent) else ""

    def leftovers(self) -> dict[Key, str]:
        """For each half that nothing followed, what stands for it."""
        return dict.fromkeys(self._halves, _REPLACEMENT)
