"""Log probabilities of the tokens of an answer, as Chat Completions shows them beside the content.

A part of the canonical form has all of them, and each of its deltas its own. Here every member is there, also where an
upstream leaves it out: `bytes` may be null, `top_logprobs` empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from lib.canonical.request import CanonicalRequest
from lib.dialects.chat_sent import mended
from lib.dialects.damage import malformed


class _Top(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None

    def __post_init__(self) -> None:
        self.token = mended(self.token)


class _Token(_Top):
    top_logprobs: list[_Top] = []

    @property
    def size(self) -> int:
        """In bytes of UTF-8; the text of a token that is less than a character is no measure."""
        return len(self.token.encode() if self.bytes is None else self.bytes)


def wants_logprobs(request: CanonicalRequest) -> bool:
    """Whether the caller asked for them."""
    return request.body.get("logprobs") is True


def choice_logprobs(tokens: Sequence[_Token]) -> dict[str, Any] | None:
    """The `logprobs` of a choice; null where there are none. Those of refusals have no place in the canonical form."""
    return {"content": msgspec.to_builtins(tokens), "refusal": None} if tokens else None


class Tokens:
    """The tokens of a text that may be held back, and may end before its last token. Each is handed out once."""

    def __init__(self) -> None:
        self._waiting: list[_Token] = []
        self._shown = 0
        """Bytes of text that were shown, less those of the tokens that were handed out."""

    def add(self, found: Any) -> int:
        """More tokens, of an event or a part; their number. Raises UpstreamError for members of the wrong type."""
        try:
            tokens = msgspec.convert(found or [], list[_Token])
        except msgspec.ValidationError as error:
            raise malformed() from error
        self._waiting += tokens
        return len(tokens)

    def shown(self, text: str) -> list[_Token]:
        """Those that have been shown to their end, now that this text is."""
        self._shown += len(text.encode())
        count = 0
        for token in self._waiting:
            if token.size > self._shown:
                break
            self._shown -= token.size
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def rest(self) -> list[_Token]:
        """All that are left."""
        taken, self._waiting, self._shown = self._waiting, [], 0
        return taken
