"""What the demo upstream reads of the input: the last user message, and how much there is in all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from lib.canonical.request import CanonicalRequest, Item

_MAX_QUOTE = 600
_MAX_COUNTED = 1000
"""The texts of so many items are counted; further ones are taken to be like them."""
_ATTACHMENTS = {"input_image": "image", "input_file": "file", "input_audio": "audio clip"}


def user_message(items: Sequence[Item]) -> Item:
    """The last message of the user; an empty item when there is none."""
    messages = (item for item in reversed(items) if item.get("type") == "message" and item.get("role") == "user")
    return next(messages, {})


def tool_output(items: Sequence[Item]) -> Item | None:
    """The last item, if it is a tool's output."""
    last = items[-1] if items else {}
    return last if str(last.get("type")).endswith("_output") else None


def item_text(item: Item) -> str:
    """The text of a message or of a tool's output; empty for anything else."""
    content = _content(item)
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return " ".join(text for text in texts if isinstance(text, str))


def attachments(item: Item) -> str:
    """The parts of an item that are no text, in words: `2 images and 1 file`; empty when there are none."""
    content = _content(item)
    kinds = [part.get("type") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    counts = ((kinds.count(kind), noun) for kind, noun in _ATTACHMENTS.items())
    words = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count]
    return " and ".join(words)


def bounded(text: str) -> str:
    """The text as it is quoted: without space around it, and not longer than a paragraph."""
    text = text.strip()
    return text if len(text) <= _MAX_QUOTE else text[:_MAX_QUOTE].rstrip() + "…"


def input_tokens(request: CanonicalRequest) -> int:
    """Estimated from the texts of the request: four bytes to a token, at least one."""
    items = request.input
    size = sum(len(item_text(item).encode()) for item in items[:_MAX_COUNTED])
    if len(items) > _MAX_COUNTED:
        size = size * len(items) // _MAX_COUNTED
    if request.tools:
        size += len(msgspec.json.encode(request.tools))
    return max(1, (size + len((request.instructions or "").encode())) // 4)


def _content(item: Item) -> str | list[Any]:
    content = item.get("content")
    if content is None:
        content = item.get("output")
    return content if isinstance(content, str | list) else ""
