"""Log probabilities of a reply's tokens, on their way past the parser that may take stretches of the reply out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

Logprob = dict[str, Any]


class Tokens:
    """Those of one reply, each by the character at which it begins. Each is handed out once, or dropped."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Logprob]] = deque()
        self._end = 0

    def add(self, text: str, logprobs: Any) -> None:
        """More of the reply, with its tokens; what is no list of objects counts as none. A token that is less than a
        character has a text of its own: none of these begins behind this one's end."""
        at, self._end = self._end, self._end + len(text)
        for each in logprobs if isinstance(logprobs, list) else ():
            if isinstance(each, dict):
                self._waiting.append((min(at, self._end), each))
                at += len(str(each.get("token", "")))

    def taken(self, start: int, text: str) -> list[Logprob]:
        """Those that begin within this stretch, and none before it any more."""
        found = []
        while self._waiting and self._waiting[0][0] < start + len(text):
            at, token = self._waiting.popleft()
            if at >= start:
                found.append(token)
        return found


def logprobs_of(parts: Iterable[dict[str, Any]]) -> list[Any]:
    """Of finished parts of a message."""
    return [each for part in parts for each in part.get("logprobs") or ()]
