"""What the fake Codex backend answers when no script says otherwise: something that reacts to the request."""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

from lib.upstreams.demo_schema import example
from tests.fakes.codex_composer import Composer, Fields, measured
from tests.fakes.codex_items import OUTPUTS

NAMED = frozenset({"function", "custom", "web_search", "image_generation"})


def answer(body: Mapping[str, Any], account_id: str) -> list[Fields]:
    """The events of a good answer to a request that passed the rules.

    Echoes the last user text; calls the tool that the request demands or names; repeats the tool's result after that.
    """
    composer = Composer(body, seed=hashlib.sha256(msgspec.json.encode(body)).hexdigest(), account_id=account_id)
    composer.start()
    reasoned = body.get("reasoning", {}).get("summary")
    if reasoned:
        composer.reasoning("**Reading the request**\n\nIt is short.", "**Answering**")
    calls = chosen_tools(body)
    if calls:
        _call(composer, calls, body)
    if not calls or calls[0]["type"] == "web_search":
        composer.message(answer_text(body))
    written = len(msgspec.json.encode(composer.output)) // 4
    read = len(msgspec.json.encode([body["input"], body["instructions"], body.get("tools")])) // 4
    composer.completed(measured(read + 1, written + 1, 16 if reasoned else 0))
    return composer.events


def chosen_tools(body: Mapping[str, Any]) -> list[Fields]:
    """The tools to call: the demanded one, or those that the user's text names; none after a tool's result."""
    tools = [tool for tool in body.get("tools", []) if tool["type"] in NAMED]
    choice = body.get("tool_choice", "auto")
    items = body["input"]
    if not tools or choice == "none":
        return []
    if isinstance(choice, dict) and choice["type"] in NAMED:
        return [t for t in tools if t["type"] == choice["type"] and t.get("name") == choice.get("name")][:1]
    if choice == "required":
        return tools[:1]
    if items and items[-1]["type"] in OUTPUTS:
        return []
    text = user_text(items)
    named = [t for t in tools if t["type"] == "web_search" or t.get("name", t["type"]) in text]
    return named if body.get("parallel_tool_calls", True) else named[:1]


def _call(composer: Composer, tools: list[Fields], body: Mapping[str, Any]) -> None:
    functions = [tool for tool in tools if tool["type"] == "function"]
    if functions:
        composer.parallel_calls(
            *((tool["name"], msgspec.json.encode(example(tool["parameters"])).decode()) for tool in functions)
        )
    text = user_text(body["input"])
    for tool in tools:
        if tool["type"] == "custom":
            composer.custom_call(tool["name"], f"*** input\n{text}\n")
        elif tool["type"] == "web_search":
            composer.search({"type": "search", "query": text, "queries": [text]})
        elif tool["type"] == "image_generation":
            partials = [png(f"{text}{number}") for number in range(tool.get("partial_images", 0))]
            composer.image(png(text), partials=partials, prompt=text)


def answer_text(body: Mapping[str, Any]) -> str:
    """The text of the answer: JSON when a format asks for it, else an echo."""
    format = body.get("text", {}).get("format", {"type": "text"})
    items = body["input"]
    said = user_text(items)
    if format["type"] == "json_schema":
        return msgspec.json.encode(example(format["schema"])).decode()
    if format["type"] == "json_object":
        return msgspec.json.encode({"answer": said}).decode()
    if items and items[-1]["type"] in OUTPUTS:
        return f"The tool said: {_text_of(items[-1]['output'])}"
    return f"You said: {said}"


def user_text(items: list[Fields]) -> str:
    """The text of the last user message."""
    messages = (item for item in reversed(items) if item["type"] == "message" and item["role"] == "user")
    return _text_of(next(messages, {"content": ""})["content"])


def _text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def png(seed: str) -> str:
    """A real PNG of 2×2 pixels, base64; its colour follows from the seed."""
    colour = hashlib.sha256(seed.encode()).digest()[:3]
    header = struct.pack(">2I5B", 2, 2, 8, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + colour * 2) * 2)
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()
