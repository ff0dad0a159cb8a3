"""How the journeys over an OpenAI-compatible upstream ask, and what they read out of the answers."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from tests.fakes import openai_rules as rules
from tests.fakes.codex_answers import answer as generated
from tests.journeys.compatible import GENERATIONS, Compatible

WAYS = pytest.mark.parametrize(
    ("client", "wire"),
    [
        ("chat", "chat"),
        ("responses", "responses"),
        ("responses", "chat"),
        ("chat", "responses"),
        ("messages", "chat"),
        ("messages", "responses"),
    ],
    ids=lambda name: name,
)
FEW = pytest.mark.parametrize(
    ("client", "wire"), [("chat", "chat"), ("responses", "responses"), ("messages", "chat")], ids=lambda name: name
)
MODES = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
SAME = pytest.mark.parametrize("wire", ["chat", "responses"])


def ask(gateway: Compatible, client: str, streamed: bool, text: str = "Hi", **fields: Any) -> httpx.Response:
    path = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}[client]
    return gateway.send("POST", path, json=body_of(client, streamed, text, **fields))


def body_of(client: str, streamed: bool, text: str = "Hi", **fields: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if client == "responses":
        content = {"input": text}
    if client == "messages":
        content["max_tokens"] = 100
    return {"model": "gpt-test", "stream": streamed, **content, **fields}


def path_of(wire: str) -> str:
    return GENERATIONS[wire == "responses"]


def good(client: str, answer: httpx.Response) -> bool:
    """Whether an answer came and ended well, in the dialect's own way."""
    said, ending = read(client, answer.text)
    return answer.status_code == 200 and ending in ("stop", "completed", "end_turn") and said == "You said: Hi"


def read(client: str, text: str) -> tuple[str, str]:
    """What an answer said, streamed or whole, and how it ended."""
    frames = [frame.partition("data: ")[2] for frame in text.split("\n\n") if "data: " in frame]
    found = [msgspec.json.decode(frame) for frame in frames if frame != "[DONE]"] or [msgspec.json.decode(text)]
    return "".join(map(_said, found)), next((end for each in reversed(found) if (end := _ending(client, each))), "")


def _said(event: dict[str, Any]) -> str:
    choice = (event.get("choices") or [{}])[0]
    blocks = event.get("content") or [part for item in event.get("output", ()) for part in item.get("content", ())]
    delta = event.get("delta") if event.get("type") != "response.function_call_arguments.delta" else ""
    delta = delta.get("text", "") if isinstance(delta, dict) else delta or ""
    spoken = choice.get("delta") or choice.get("message") or {}
    return "".join([spoken.get("content") or "", delta, *(block.get("text", "") for block in blocks)])


def _ending(client: str, event: dict[str, Any]) -> str | None:
    if client == "chat":
        return next((choice["finish_reason"] for choice in event.get("choices", ()) if choice["finish_reason"]), None)
    holder = event.get("response", event) if client == "responses" else event.get("delta") or event
    found: str | None = holder.get("status" if client == "responses" else "stop_reason")
    return found


SPOKEN = generated({"instructions": "", "input": rules.items_of({"input": "Hi"})}, "key")
