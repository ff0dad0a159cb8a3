"""Requests for the demo upstream, and what it makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.types import Lease
from lib.upstreams.demo import DemoUpstream

LEASE = Lease("a1-demo", "demo", {})
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

LONG = {"type": "function", "name": "f", "parameters": {"type": "object", "required": ["first_argument", "second"]}}


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def request(content: str = "Ahoy 🌊", **fields: Any) -> CanonicalRequest:
    return CanonicalRequest(**{"model": "gpt-any", "input": [said(content)], **fields})


def batches(asked: CanonicalRequest, **options: Any) -> list[list[Event]]:
    async def read() -> list[list[Event]]:
        upstream = DemoUpstream(**{"word_s": 0, "new_id": lambda: "x1", "now": lambda: 1_795_000_000.0, **options})
        answer = await upstream.open(asked, LEASE, timeout_s=1)
        try:
            return [batch async for batch in answer]
        finally:
            await answer.aclose()

    return asyncio.run(read())


def events(asked: CanonicalRequest) -> list[Event]:
    return [event for batch in batches(asked) for event in batch]


def response(asked: CanonicalRequest) -> dict[str, Any]:
    found: dict[str, Any] = events(asked)[-1].fields["response"]
    return found


def text(asked: CanonicalRequest) -> str:
    [message] = response(asked)["output"]
    found: str = message["content"][0]["text"]
    return found


def called(content: str, tools: Sequence[dict[str, Any] | str], **fields: Any) -> list[str]:
    """The names of the tools that are called; a tool given by its name alone takes no arguments."""
    offered = [{"type": "function", "name": tool} if isinstance(tool, str) else tool for tool in tools]
    return [item["name"] for item in response(request(content, tools=offered, **fields))["output"] if "name" in item]
