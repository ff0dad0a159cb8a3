"""What a soak asks for, and how it tells whether the answer is the one that was due."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from bench.soak_upstream import CUT, HIDDEN, SLOW

PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "embeddings": "/v1/embeddings",
}
MODELS = {"codex": "gpt-5.5", "openai": "openai/gpt-test"}
TOOL = "report_depth"

_PARAMETERS = {
    "type": "object",
    "properties": {"depth": {"type": "integer"}},
    "required": ["depth"],
    "additionalProperties": False,
}
_FAULTY, _BREAKING, _LEAVING, _TOOLS, _EMBEDDING, _SLOW = 0.25, 0.05, 0.05, 0.1, 0.05, 0.3
"""Shares of the traffic."""
_ENDS = {
    "chat": (b'"finish_reason":"', b"data: [DONE]"),
    "responses": (b"event: response.completed",),
    "messages": (b"event: message_stop",),
}
_FAILED = {"chat": b'data: {"error":', "responses": b"event: response.failed", "messages": b"event: error"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `meets` is what the upstream does to it; whoever `leaves` does so in the middle of the answer."""

    number: int
    dialect: str
    upstream: str
    streamed: bool
    meets: str = "nothing"
    uses_tools: bool = False
    leaves: bool = False

    @property
    def marker(self) -> str:
        """Stands in the request, and in an answer that repeats what was said."""
        return f"soak:{self.meets}:{self.number}"

    def body(self) -> bytes:
        """As it is sent."""
        model = MODELS[self.upstream]
        if self.dialect == "embeddings":
            return msgspec.json.encode({"model": model, "input": self.marker})
        text = f"{self.marker} {TOOL}" if self.uses_tools else self.marker
        fields: dict[str, Any] = {"model": model, "stream": self.streamed}
        if self.dialect == "responses":
            fields["input"] = text
        else:
            fields["messages"] = [{"role": "user", "content": text}]
        if self.dialect == "messages":
            fields["max_tokens"] = 1000
        if self.uses_tools:
            fields["tools"] = [_tool(self.dialect)]
        return msgspec.json.encode(fields)

    def wrong(self, status: int, body: bytes) -> str | None:
        """What is wrong with an answer; None if it is what was due."""
        if self.meets == CUT:
            return self._not_broken(status, body)
        if status != 200:
            return f"status {status}"
        if self.dialect == "embeddings":
            return None if b'"embedding"' in body else "no embedding"
        if self.streamed and not all(end in body for end in _ENDS[self.dialect]):
            return "no good end"
        if self.streamed and _FAILED[self.dialect] in body:
            return "a failure in the stream"
        wanted = TOOL if self.uses_tools else self.marker
        return None if wanted.encode() in body else "not the answer to this request"

    def _not_broken(self, status: int, body: bytes) -> str | None:
        """A break in mid-answer cannot be hidden, and must be told."""
        if not self.streamed:
            return None if status == 502 else f"status {status} for an answer that broke"
        if status != 200 or _FAILED[self.dialect] not in body:
            return f"status {status}, and no word of the break"
        return "a good end after a break" if b"message_stop" in body or b'"finish_reason":"' in body else None


def _tool(dialect: str) -> dict[str, Any]:
    if dialect == "messages":
        return {"name": TOOL, "input_schema": _PARAMETERS}
    if dialect == "responses":
        return {"type": "function", "name": TOOL, "parameters": _PARAMETERS}
    return {"type": "function", "function": {"name": TOOL, "parameters": _PARAMETERS}}


def traffic(seed: int) -> Iterator[Request]:
    """Requests without end, the same for the same seed; their numbers are those of no other seed below 1,000."""
    dice = random.Random(seed)
    number = seed
    while True:
        number += 1000
        yield _drawn(dice, number)


def _drawn(dice: random.Random, number: int) -> Request:
    if dice.random() < _EMBEDDING:
        return Request(number, "embeddings", "openai", streamed=False)
    dialect, upstream = dice.choice(("chat", "responses", "messages")), dice.choice(("codex", "openai"))
    streamed = dice.random() < 0.7
    draw = dice.random()
    if draw < _FAULTY:
        return Request(number, dialect, upstream, streamed, meets=dice.choice(HIDDEN[upstream]))
    if draw < _FAULTY + _BREAKING:
        forwarded = dialect == "chat" and upstream == "openai"  # a whole answer is no stream then
        return Request(number, dialect, upstream, streamed or forwarded, meets=CUT)
    if draw < _FAULTY + _BREAKING + _LEAVING:
        return Request(number, dialect, upstream, streamed=True, meets=SLOW, leaves=True)
    if draw < _FAULTY + _BREAKING + _LEAVING + _TOOLS:
        return Request(number, dialect, upstream, streamed, uses_tools=True)
    return Request(number, dialect, upstream, streamed, meets=SLOW if dice.random() < _SLOW else "nothing")
