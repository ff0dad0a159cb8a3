"""The conversation key of callers who send none."""

from __future__ import annotations

from hashlib import blake2b

from lib.canonical.request import Item

_MAX_ITEMS = 16
_MAX_CHARS = 4096


def affinity_of(instructions: str | None, items: list[Item]) -> str:
    """A hash of how the conversation began: up to its first user message, which no later turn changes."""
    texts = [instructions or ""]
    for item in items[:_MAX_ITEMS]:
        texts.append(item["type"])
        if item["type"] == "message":
            texts += [_shown(part) for part in item["content"][:_MAX_ITEMS]]
            if item["role"] == "user":
                break
    said = "".join([f"{len(text)}\n{text[:_MAX_CHARS]}" for text in texts])
    return blake2b(said.encode(), digest_size=16).hexdigest()


def _shown(part: Item) -> str:
    """The first thing that a part says, beside what it is."""
    for name, value in part.items():
        if name != "type" and type(value) is str:
            return value
    return ""
