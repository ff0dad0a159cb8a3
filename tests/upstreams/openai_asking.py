"""Asking an OpenAI-compatible upstream in tests: one request, and all that came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import UpstreamError
from lib.types import Lease, Model
from lib.upstreams.http import HttpClients, Timeouts
from lib.upstreams.openai import OpenAIUpstream, Wire
from lib.upstreams.openai_api import OpenAIApi

TIMEOUTS = Timeouts(connect_s=2, first_byte_s=2, idle_s=0.3)
LEASE = Lease("a1", "openai", {"authorization": "Bearer sk-test"})
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "look_up",
    "description": "Looks something up.",
    "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
}


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def assistant(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def request(*items: dict[str, Any], **fields: Any) -> CanonicalRequest:
    return CanonicalRequest(**{"model": "gpt-test", "input": list(items) or [user("Hello")], **fields})


class Read:
    """What came of one request."""

    def __init__(self) -> None:
        self.batches: list[list[Event]] = []
        self.error: UpstreamError | None = None

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def response(self) -> Mapping[str, Any]:
        assert self.error is None, self.error
        found: Mapping[str, Any] = self.events[-1].fields["response"]
        return found

    @property
    def output(self) -> list[Any]:
        found: list[Any] = self.response["output"]
        return found

    @property
    def text(self) -> str:
        parts = [part for item in self.output if item["type"] == "message" for part in item["content"]]
        return "".join(part.get("text", "") for part in parts)

    @property
    def calls(self) -> list[tuple[str, str, str]]:
        """(name, arguments or input, call id) of each call."""
        calls = [item for item in self.output if item["type"] in ("function_call", "custom_tool_call")]
        return [(call["name"], call.get("arguments", call.get("input")), call["call_id"]) for call in calls]


def api(clients: HttpClients, base_url: str | None, **more: Any) -> OpenAIApi:
    return OpenAIApi(clients, base_url=base_url, now=time.time, **more)


def upstream(clients: HttpClients, base_url: str, wire: Wire, *, max_event_bytes: int = 1 << 20) -> OpenAIUpstream:
    return OpenAIUpstream(
        api(clients, base_url),
        name="openai",
        wire=wire,
        max_event_bytes=max_event_bytes,
        now=time.time,
        new_id=lambda: "made",
    )


def ask(
    base_url: str,
    question: CanonicalRequest | None = None,
    *,
    wire: Wire = "chat",
    lease: Lease = LEASE,
    max_event_bytes: int = 1 << 20,
) -> Read:
    """Raises what `open` raises that is no UpstreamError."""
    read = Read()

    async def main() -> None:
        clients = HttpClients(timeouts=TIMEOUTS)
        try:
            source = upstream(clients, base_url, wire, max_event_bytes=max_event_bytes)
            answer = await source.open(question or request(), lease, timeout_s=0.5)
            try:
                async for batch in answer:
                    read.batches.append(batch)
            finally:
                await answer.aclose()
        except UpstreamError as error:
            read.error = error
        finally:
            await clients.aclose()

    asyncio.run(main())
    return read


def models(base_url: str) -> list[Model]:
    async def main() -> list[Model]:
        clients = HttpClients(timeouts=TIMEOUTS)
        try:
            return await upstream(clients, base_url, "chat").models(LEASE)
        finally:
            await clients.aclose()

    return asyncio.run(main())
