"""Names and ids that the Codex backend would refuse, and the way back.

Tool names are `[a-zA-Z0-9_-]{1,64}` there, call ids at most 64 characters. Longer or stranger ones are mapped by a
hash, so that the call and its output in one history, and every turn on every instance, get the same short form; the
answer's names are restored before anyone sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

_MAX = 64
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_STRANGE = re.compile(r"[^a-zA-Z0-9_-]")


class Names:
    """The mapping of one request: the caller's tool names ↔ names that the backend takes."""

    def __init__(self, names: Iterable[str]) -> None:
        self._short: dict[str, str] = {}
        self._long: dict[str, str] = {}
        for name in names:
            self.short(name)

    def short(self, name: str) -> str:
        """The backend's name for a tool."""
        if _NAME.fullmatch(name):
            return name
        if name not in self._short:
            short = f"{_STRANGE.sub('_', name)[:51]}_{_digest(name, 6)}"
            self._short[name] = short
            self._long[short] = name
        return self._short[name]

    def restore(self, name: str) -> str:
        """The caller's name for a tool that the backend named."""
        return self._long.get(name, name)

    def __bool__(self) -> bool:
        return bool(self._long)


def short_call_id(call_id: str) -> str:
    """A call id that the backend takes. Not restored: the answer's ids are always the backend's own."""
    return call_id if len(call_id) <= _MAX else f"call_{_digest(call_id, 16)}"


def _digest(text: str, size: int) -> str:
    return blake2b(text.encode(), digest_size=size).hexdigest()
