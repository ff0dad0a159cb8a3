"""The conversation key of callers who send none."""

from __future__ import annotations

from hashlib import blake2b

from lib.canonical.request import Item

_MAX_ITEMS = 16
_MAX_CHARS = 4096


def affinity_of(instructions: str | None, items: list[Item]) -> str:
    """A hash of how the conversation began: up to its first user message, which no later turn changes."""
    texts = [(instructions or "")[:_MAX_CHARS]]
    for item in items[:_MAX_ITEMS]:
        texts.append(item["type"])
        if item["type"] == "message":
            texts += [_shown(part)[:_MAX_CHARS] for part in item["content"][:_MAX_ITEMS]]
            if item["role"] == "user":
                break
    # Texts that differ in their zero bytes alone may share a key: that is no more than to share an account and a cache.
    return blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()


def _shown(part: Item) -> str:
    """The first thing that a part says, beside what it is."""
    text = part.get("text")
    if type(text) is str:
        return text
    for name, value in part.items():
        if name != "type" and type(value) is str:
            return value
    return ""
