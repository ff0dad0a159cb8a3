"""What the demo upstream answers: decided from the request alone, the same each time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lib.canonical.request import CanonicalRequest, Item, Tool
from lib.errors import InvalidRequest
from lib.upstreams.demo_schema import example

_MAX_QUOTE = 600
_MIN_REASONING_BUDGET = 16
"""With fewer output tokens than this there is no thinking: it would leave nothing for the answer."""

_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})
_CALLABLE = frozenset({"function", "custom"})
_TOKEN = re.compile(r"\s*\S{1,16}|\s+$")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call to play: `text` holds the arguments as JSON, or the free text of a custom tool."""

    name: str
    text: str
    custom: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer: a reasoning summary (or none), then tool calls or a text."""

    reasoning: str
    calls: Sequence[Call]
    text: str


def plan(request: CanonicalRequest) -> Plan:
    """The answer to a request. Raises InvalidRequest for a demanded tool that the demo upstream cannot play."""
    said = _user_text(request.input)
    calls = [_play(tool, said) for tool in _chosen(request, said)]
    return Plan(_reasoning(request), calls, "" if calls else _until_stop(_text(request, said), request))


def tokens(text: str) -> list[str]:
    """The text in pieces of a word, 16 characters at most; the demo upstream counts each as one token."""
    return _TOKEN.findall(text)


def input_tokens(request: CanonicalRequest) -> int:
    """Estimated from the texts of the request: four bytes to a token, at least one."""
    texts = [request.instructions or "", *(_item_text(item) for item in request.input)]
    if request.tools:
        texts.append(msgspec.json.encode(request.tools).decode())
    return max(1, sum(len(text.encode()) for text in texts) // 4)


def _chosen(request: CanonicalRequest, said: str) -> list[Tool]:
    """The tools to call: the one that is demanded, or those that the user's text names."""
    choice = request.tool_choice or "auto"
    if choice == "none" or not request.tools:
        return []
    tools = request.tools
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        tools = [tool for tool in tools if any(_is(tool, allowed) for allowed in choice.get("tools", ()))]
        choice = choice.get("mode", "auto")
    if isinstance(choice, dict):
        return [_demanded([tool for tool in tools if _is(tool, choice)])]
    if choice == "required":
        return [_demanded(tools)]
    if request.input and request.input[-1].get("type") in _OUTPUTS:
        return []
    named = [tool for tool in tools if _playable(tool) and _names(said, tool["name"])]
    return named[:1] if request.parallel_tool_calls is False else named


def _demanded(tools: Iterable[Tool]) -> Tool:
    tool = next(filter(_playable, tools), None)
    if tool is None:
        raise InvalidRequest(
            "The demo upstream can only play function tools, and custom tools without a grammar. "
            "Configure an account to use other tools.",
            param="tool_choice",
            code="unsupported_value",
        )
    return tool


def _playable(tool: Tool) -> bool:
    return tool.get("type") in _CALLABLE and (tool.get("format") or {}).get("type") != "grammar"


def _is(tool: Tool, choice: dict[str, Any]) -> bool:
    return bool(tool.get("type") == choice.get("type") and tool.get("name") == choice.get("name"))


def _names(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def _play(tool: Tool, said: str) -> Call:
    name: str = tool["name"]
    if tool["type"] == "custom":
        return Call(name, f"Input from the demo upstream: {_bounded(said)}", custom=True)
    arguments = _example(tool.get("parameters") or {}, "tools")
    return Call(name, msgspec.json.encode(arguments if isinstance(arguments, dict) else {}).decode(), custom=False)


def _example(schema: Any, param: str) -> Any:
    try:
        return example(schema)
    except ValueError as error:
        raise InvalidRequest(f"Invalid schema: {error}.", param=param, code="invalid_json_schema") from error


def _reasoning(request: CanonicalRequest) -> str:
    asked = request.reasoning or {}
    budget = request.parameters.get("max_output_tokens")
    if asked.get("effort") in ("none", "minimal") or not (asked.get("effort") or asked.get("summary")):
        return ""
    if budget is not None and budget < _MIN_REASONING_BUDGET:
        return ""
    return "**Reading the request**"


def _text(request: CanonicalRequest, said: str) -> str:
    settings = request.text or {}
    format = settings.get("format") or {}
    if format.get("type") == "json_schema":
        return msgspec.json.encode(_example(format.get("schema"), "text.format")).decode()
    if format.get("type") == "json_object":
        return msgspec.json.encode({"upstream": "demo", "you_said": _bounded(said)}).decode()
    last = request.input[-1] if request.input else {}
    if last.get("type") in _OUTPUTS:
        return f"The tool answered: {_bounded(_item_text(last))}"
    quote = f"You said: {_bounded(said)}" if said else "You sent no text."
    if settings.get("verbosity") == "low":
        return quote
    sentences = ["Hello from the demo upstream: no account is configured, so no model reads along.", quote]
    if request.instructions:
        sentences.append(f"Your instructions arrived too ({len(request.instructions)} characters).")
    if settings.get("verbosity") == "high":
        sentences.append("Configure an account, and the same request will be answered by a real model.")
    return " ".join(sentences)


def _until_stop(text: str, request: CanonicalRequest) -> str:
    """The text up to the first of the stop sequences."""
    stop = request.parameters.get("stop") or ()
    for sequence in (stop,) if isinstance(stop, str) else stop:
        if sequence:
            text = text.partition(sequence)[0]
    return text


def _user_text(items: Sequence[Item]) -> str:
    """The text of the last user message."""
    for item in reversed(items):
        if item.get("type") == "message" and item.get("role") == "user":
            return _item_text(item)
    return ""


def _item_text(item: Item) -> str:
    content = item.get("content", item.get("output"))
    if isinstance(content, str):
        return content
    parts = (part.get("text") for part in content or () if isinstance(part, dict))
    return " ".join(text for text in parts if isinstance(text, str))


def _bounded(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _MAX_QUOTE else text[:_MAX_QUOTE].rstrip() + "…"
