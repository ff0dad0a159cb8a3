"""Which tools the demo upstream calls, and with what.

A demanded tool is called. Left to itself it calls the tools that the user's text names, or else the first one of whose
name a telling word occurs there: "What's the weather like?" calls `get_weather`.

Of the hosted tools, a web search and a picture are played: where they are demanded, where the caller set their flag,
and where a word like "search" or "draw" occurs. The others are never called, and their flags are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lib.canonical.hosted import IMAGE_GENERATION, WEB_SEARCH, field_of, unavailable
from lib.canonical.request import CanonicalRequest, Tool
from lib.errors import InvalidRequest
from lib.upstreams.demo_input import bounded, tool_output
from lib.upstreams.demo_schema import example

_MAX_CALLS = 16
_MAX_READ = 4096
"""Characters of the user's text in which tools are looked for."""

_CALLABLE = frozenset({"function", "custom"})
_HOSTED = {
    WEB_SEARCH: frozenset({"search", "news", "latest"}),
    IMAGE_GENERATION: frozenset({"draw", "paint", "sketch", "picture", "image"}),
}
"""Hosted tools that are played, and the words that ask for them."""
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


def calls(request: CanonicalRequest, said: str) -> tuple[list[Call], list[Tool]]:
    """The calls to answer with, or else the hosted tools to play; `said` is the user's text. Raises InvalidRequest for
    a tool that is demanded, by the choice or by a flag, and cannot be played, and for a schema that makes no sense."""
    for index, tool in enumerate(request.tools):
        kind = str(tool.get("type"))
        if _hosted(tool) is None and field_of(request, kind):
            raise unavailable(request, kind, f"tools[{index}].type", "the upstream 'demo'")
    chosen = _chosen(request, said)
    called = [_play(tool, said) for tool in chosen if _playable(tool)]
    return called, [] if called else [tool for tool in chosen if _hosted(tool)]


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
    read = said[:_MAX_READ]
    found = _mentioned([tool for tool in tools if _playable(tool)], read) or _wished(request, tools, read)
    return found[: 1 if request.parallel_tool_calls is False else _MAX_CALLS]


def _wished(request: CanonicalRequest, tools: Sequence[Tool], text: str) -> Sequence[Tool]:
    """The hosted tools to play, each once."""
    words = {word.lower() for word in _WORD.findall(text)}
    found: dict[str, Tool] = {}
    for tool in tools:
        kind = _hosted(tool)
        if kind is not None and (field_of(request, kind) or not words.isdisjoint(_HOSTED[kind])):
            found.setdefault(kind, tool)
    return list(found.values())


def _hosted(tool: Tool) -> str | None:
    """Which of the hosted tools that can be played this is, under whichever of its names (`web_search_preview`)."""
    kind = str(tool.get("type"))
    return next((name for name in _HOSTED if kind.startswith(name)), None)


def _demanded(tools: Iterable[Tool]) -> Tool:
    tools = list(tools)
    tool = next((tool for kind in (_playable, _hosted) for tool in tools if kind(tool)), None)
    if tool is None:
        raise InvalidRequest(
            "The demo upstream can only play function tools, custom tools without a grammar, web searches and "
            "generated images. Configure an account to use other tools.",
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
