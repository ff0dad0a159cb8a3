"""An upstream without a network that says what its scripts say, one script for each call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from lib.canonical.build import Builder, usage
from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest, Item
from lib.types import Answer, Lease, Model, Upstream, Window

LEASE = Lease("a1", "speaking", {})
Script = str | Callable[[Builder], list[list[Event]]]


def says(text: str, *, reason: str | None = None, size: int = 3) -> Script:
    """The text in pieces; `reason`: why it is cut short."""

    def script(builder: Builder) -> list[list[Event]]:
        pieces = [builder.text(text[start : start + size]) for start in range(0, len(text), size)]
        return [*pieces, builder.finish(usage(10, 5), reason=reason)]

    return script


def makes_calls(*names: str, text: str = "", thought: str = "") -> Script:
    """Native function calls, with a text before them."""

    def script(builder: Builder) -> list[list[Event]]:
        batches = [builder.reasoning(thought)] if thought else []
        batches += [builder.text(text)] if text else []
        for number, name in enumerate(names):
            batches.append(builder.call(number, name, call_id=f"call_{number}"))
        batches += [builder.arguments(number, "{}") for number in range(len(names))]
        return [*batches, builder.close(), builder.finish(usage(10, 5))]

    return script


class SpeakingAnswer:
    def __init__(self, batches: list[list[Event]], windows: Sequence[Window]) -> None:
        self.windows = windows
        self.closed = False
        self._batches = batches

    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        for batch in self._batches:
            yield batch

    async def aclose(self) -> None:
        self.closed = True


class Speaking:
    """`lib.types.Upstream`; `requests` and `answers` record what happened."""

    name = "speaking"
    accepts = frozenset({"model", "input", "instructions"})

    def __init__(self, *scripts: Script) -> None:
        self.requests: list[CanonicalRequest] = []
        self.answers: list[SpeakingAnswer] = []
        self._scripts = list(scripts)

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> Answer:
        assert (lease, timeout_s) == (LEASE, 7)
        script = self._scripts.pop(0)
        self.requests.append(request)
        builder = Builder(request, response_id=f"inner{len(self.requests)}", created_at=1_795_000_000, model="m-1")
        batches = [builder.start(), *(says(script) if isinstance(script, str) else script)(builder)]  # type: ignore[operator]  # `says` gives a function
        windows = [Window("codex", 10.0 * len(self.requests), None, None)]
        self.answers.append(SpeakingAnswer(batches, windows))
        return self.answers[-1]

    async def models(self, lease: Lease) -> list[Model]:
        return [Model("m-1")]


async def _batches(upstream: Upstream, request: CanonicalRequest) -> list[list[Event]]:
    answer = await upstream.open(request, LEASE, timeout_s=7)
    try:
        return [batch async for batch in answer]
    finally:
        await answer.aclose()


def batches_of(upstream: Upstream, request: CanonicalRequest) -> list[list[Event]]:
    """The whole answer."""
    return asyncio.run(_batches(upstream, request))


def events_of(upstream: Upstream, request: CanonicalRequest) -> list[Event]:
    events = [event for batch in batches_of(upstream, request) for event in batch]
    assert [event.fields["sequence_number"] for event in events] == list(range(len(events)))
    indices = [event.fields["output_index"] for event in events if event.type == "response.output_item.added"]
    assert indices == list(range(len(indices)))
    return events


def response_of(upstream: Upstream, request: CanonicalRequest) -> Mapping[str, Any]:
    """The Response of the terminal event."""
    response: Mapping[str, Any] = events_of(upstream, request)[-1].fields["response"]
    return response


def outline(response: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the output holds: (type, text or name)."""
    return [(item["type"], item.get("name") or text_of(item)) for item in response["output"]]


def text_of(item: Item) -> str:
    parts = item.get("content") or item.get("summary") or ()
    return "".join(part.get("text", part.get("refusal", "")) for part in parts)


def asked(said: str = "Hello", /, **fields: Any) -> CanonicalRequest:
    """A request with one user message."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": said}]}
    return CanonicalRequest(**{"model": "m", "input": [item], **fields})


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, **more}
