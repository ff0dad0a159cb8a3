"""Stop sequences, applied to the text of an answer: upstreams that have none of their own would ignore them."""

from __future__ import annotations

from collections.abc import Sequence


class Stops:
    """Cuts text at the first stop sequence. `found` is that sequence, once it was met; no text comes after it.

    The end of a text that may be the beginning of a sequence is held back until it is known to be none.
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        self.found: str | None = None
        self._sequences = sequences
        self._reach = max(map(len, sequences)) - 1 if sequences else -1
        self._held = ""

    def __bool__(self) -> bool:
        return bool(self._sequences)

    def feed(self, text: str) -> str:
        """What of the text, and of what was held back before, may be shown now."""
        if self.found is not None:
            return ""
        text = self._held + text
        hits = [
            (place + len(sequence), place, sequence)
            for sequence in self._sequences
            if (place := text.find(sequence)) >= 0
        ]
        if hits:  # the one that is complete first counts, however the text was cut
            _, place, self.found = min(hits)
            self._held = ""
            return text[:place]
        kept = self._beginning(text)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]

    def flush(self) -> str:
        """What was held back: the text ends here."""
        held, self._held = self._held, ""
        return held

    def cut(self, text: str) -> str:
        """A whole text, up to the first sequence."""
        return self.feed(text) + self.flush() if self._sequences else text

    def _beginning(self, text: str) -> int:
        """The length of the longest end of the text that a sequence begins with."""
        for length in range(min(self._reach, len(text)), 0, -1):
            end = text[-length:]
            if any(sequence.startswith(end) for sequence in self._sequences):
                return length
        return 0
