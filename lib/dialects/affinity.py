"""The conversation key of callers who send none."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from lib.canonical.request import Item

_MAX_ITEMS = 16
_MAX_CHARS = 4096


def affinity_of(instructions: str | None, items: list[Item]) -> str:
    """A hash of how the conversation began: up to its first user message, which no later turn changes."""
    digest = blake2b(digest_size=16)
    for text in (instructions or "", *_beginning(items)):
        digest.update(b"%d\n%b" % (len(text), text[:_MAX_CHARS].encode()))
    return digest.hexdigest()


def _beginning(items: list[Item]) -> Iterator[str]:
    for item in items[:_MAX_ITEMS]:
        yield item["type"]
        if item["type"] != "message":
            continue
        for part in item["content"][:_MAX_ITEMS]:
            yield _shown(part)
        if item["role"] == "user":
            return


def _shown(part: Item) -> str:
    """The first thing that a part says, beside what it is."""
    for name, value in part.items():
        if name != "type" and type(value) is str:
            return value
    return ""
