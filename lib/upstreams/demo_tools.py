"""Which tools the demo upstream calls, and with what.

A demanded tool is called. Left to itself it calls the tools that the user's text names, or else the first one of whose
name a telling word occurs there: "What's the weather like?" calls `get_weather`. Hosted tools are never called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lib.canonical.request import CanonicalRequest, Tool
from lib.errors import InvalidRequest
from lib.upstreams.demo_input import bounded, tool_output
from lib.upstreams.demo_schema import example

_MAX_CALLS = 16
_MAX_READ = 4096
"""Characters of the user's text in which tools are looked for."""

_CALLABLE = frozenset({"function", "custom"})
_NAME = re.compile(r"[A-Za-z0-9_.:/-]+")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")
_NAME_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_MIN_WORD = 4
_WORD = re.compile(rf"(?<![A-Za-z0-9_])[A-Za-z]{{{_MIN_WORD},}}(?![A-Za-z0-9_])")
"""A word of a sentence, not one inside of some other name."""
_COMMON = frozenset(
    "call change check close create current delete edit exec execute fetch fill find from function give info into list "
    "load look lookup make name open pick process query read remove request retrieve return save search select send "
    "show start stop submit tell that this tool tools update user view what with write".split()
)
"""Words in the names of tools that say nothing of what the tool is about."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call to play: `text` holds the arguments as JSON, or the free text of a custom tool."""

    name: str
    text: str
    custom: bool


def calls(request: CanonicalRequest, said: str) -> list[Call]:
    """The calls to answer with; `said` is the user's text. Raises InvalidRequest for a demanded tool that the demo
    upstream cannot play, and for a schema that makes no sense."""
    return [_play(tool, said) for tool in _chosen(request, said)]


def encoded_example(schema: Any, param: str, *, arguments: bool = False) -> str:
    """The JSON of a fitting value; of an object in any case when it is to be a function's arguments. Raises
    InvalidRequest that blames `param`."""
    try:
        value = example(schema)
        return msgspec.json.encode({} if arguments and not isinstance(value, dict) else value).decode()
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"Invalid schema: {error}.", param=param, code="invalid_json_schema") from error


def _chosen(request: CanonicalRequest, said: str) -> Sequence[Tool]:
    choice: Any = request.tool_choice or "auto"
    tools = request.tools
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = {_key(tool) for tool in choice.get("tools") or ()}
        tools = [tool for tool in tools if _key(tool) in allowed]
        choice = choice.get("mode", "auto")
    if choice == "none":
        return []
    if isinstance(choice, dict):
        return [_demanded(tool for tool in tools if _key(tool) == _key(choice))]
    if choice == "required":
        return [_demanded(tools)]
    if tool_output(request.input) is not None:
        return []
    found = _mentioned([tool for tool in tools if _playable(tool)], said[:_MAX_READ])
    return found[: 1 if request.parallel_tool_calls is False else _MAX_CALLS]


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
    format = tool.get("format")
    grammar = isinstance(format, dict) and format.get("type") == "grammar"
    return tool.get("type") in _CALLABLE and isinstance(tool.get("name"), str) and not grammar


def _key(tool: Mapping[str, Any]) -> tuple[str, str]:
    """What a tool and a mention of it in a tool choice have in common."""
    return str(tool.get("type")), str(tool.get("name"))


def _mentioned(tools: Sequence[Tool], text: str) -> Sequence[Tool]:
    """Every tool that is named, or else the first one whose subject comes up. The text is taken apart once, because
    there can be a thousand tools."""
    offered = {tool["name"] for tool in tools}
    names: set[str] = set()
    for name in (found.strip(".:/-") for found in _NAME.findall(text)):
        names.update([name] if name in offered else _PLAIN_NAME.findall(name))
    if names & offered:
        return [tool for tool in tools if tool["name"] in names]
    words = {word.lower() for word in _WORD.findall(text)}
    return [tool for tool in tools if not words.isdisjoint(_subject(tool["name"]))][:1]


def _subject(name: str) -> set[str]:
    """The telling words of a name, in lower case."""
    words = (word.lower() for word in _NAME_WORD.findall(name))
    return {word for word in words if len(word) >= _MIN_WORD} - _COMMON


def _play(tool: Tool, said: str) -> Call:
    name: str = tool["name"]
    if tool["type"] == "custom":
        return Call(name, f"Input from the demo upstream: {bounded(said)}", custom=True)
    return Call(name, encoded_example(tool.get("parameters") or {}, "tools", arguments=True), custom=False)
