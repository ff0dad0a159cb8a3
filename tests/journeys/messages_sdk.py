"""Questions to a gateway through Anthropic's official SDK: whole answers, and streams put together by its helper."""

from __future__ import annotations

from typing import Any

import anthropic
from anthropic.types import Message

from tests.journeys.gateway import Gateway


def sdk(gateway: Gateway, **options: Any) -> anthropic.Anthropic:
    """A client without retries."""
    return anthropic.Anthropic(**{"api_key": gateway.key, "base_url": gateway.url, "max_retries": 0, **options})


def ask(client: anthropic.Anthropic, content: Any = "Hi", **fields: Any) -> Message:
    """A whole answer; `content` is a message's, or a list of messages."""
    found: Message = client.messages.create(**_fields(content, fields))
    return found


def streamed(client: anthropic.Anthropic, content: Any = "Hi", **fields: Any) -> Message:
    """The same as a stream."""
    with client.messages.stream(**_fields(content, fields)) as helper:
        found: Message = helper.get_final_message()
    return found


def _fields(content: Any, fields: dict[str, Any]) -> dict[str, Any]:
    messages = content if isinstance(content, list) and "role" in content[0] else [{"role": "user", "content": content}]
    return {"model": "claude-opus-4-8", "max_tokens": 1000, "messages": messages, **fields}


def text_of(message: Message) -> str:
    """All text of an answer."""
    return "".join(block.text for block in message.content if block.type == "text")
