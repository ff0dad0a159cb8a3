"""Tools for `POST /chat/completions`: functions as they are, custom tools as functions of one string.

A custom tool takes free text. Few servers know such a thing, so it is offered as a function with the argument `input`,
and the answer's calls are turned back. Hosted tools (`web_search`, …) do not exist here and are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lib.canonical.hosted import unavailable
from lib.canonical.request import CanonicalRequest, Tool
from lib.errors import InvalidRequest
from lib.upstreams.tool_names import Names

_INPUT = "input"
_CARRIER = "additional_tools"
_MEMBERS = ("description", "parameters", "strict")


@dataclass(frozen=True, slots=True)
class ChatTools:
    """What of a body is about tools, and the way back from the calls of the answer."""

    fields: dict[str, Any]
    names: Names
    custom: frozenset[str] = field(default_factory=frozenset)
    """The caller's names of custom tools."""


def shape_tools(request: CanonicalRequest) -> ChatTools:
    """Raises InvalidRequest for a tool that is neither a function nor a custom tool."""
    offered = list(_offered(request))
    names = Names(tool["name"] for tool, _ in offered)
    custom = frozenset(tool["name"] for tool, _ in offered if tool["type"] == "custom")
    tools, choice = [tool for tool, _ in offered], request.tool_choice
    if isinstance(choice, dict):
        tools, choice = _picked(tools, choice, names)
    if not tools:
        return ChatTools({}, names, custom)
    fields: dict[str, Any] = {"tools": [_tool(tool, names) for tool in tools]}
    if choice is not None:
        fields["tool_choice"] = choice
    if request.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    return ChatTools(fields, names, custom)


def arguments_of(free_text: str) -> str:
    """The arguments of the function that stands for a custom tool."""
    return msgspec.json.encode({_INPUT: free_text}).decode()


def free_text_of(arguments: str) -> str:
    """The way back. Models that ignore the schema and write the text itself are taken at their word."""
    try:
        decoded = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    if isinstance(decoded, dict) and isinstance(decoded.get(_INPUT), str):
        return str(decoded[_INPUT])
    return decoded if isinstance(decoded, str) else arguments


def _offered(request: CanonicalRequest) -> Iterable[tuple[Tool, str]]:
    """Every tool with its place; Codex CLI brings some along with the input, its own ones in a namespace."""
    for index, tool in enumerate(request.tools):
        yield _checked(request, tool, f"tools[{index}]")
    for index, item in enumerate(request.input):
        if item["type"] != _CARRIER:
            continue
        for position, tool in enumerate(item.get("tools") or ()):
            place = f"input[{index}].tools[{position}]"
            if tool.get("type") == "namespace" and tool.get("name") == "functions":
                yield from (_checked(request, inner, place) for inner in tool.get("tools") or ())
            else:
                yield _checked(request, tool, place)


def _checked(request: CanonicalRequest, tool: Tool, place: str) -> tuple[Tool, str]:
    kind = tool.get("type")
    if kind not in ("function", "custom"):
        raise unavailable(request, str(kind), f"{place}.type")
    return tool, place


def _tool(tool: Tool, names: Names) -> dict[str, Any]:
    if tool["type"] == "custom":
        return {"type": "function", "function": _as_function(tool, names)}
    function: dict[str, Any] = {"name": names.short(tool["name"])}
    function |= {name: tool[name] for name in _MEMBERS if tool.get(name) is not None}
    function.setdefault("parameters", {"type": "object", "properties": {}})
    return {"type": "function", "function": function}


def _as_function(tool: Tool, names: Names) -> dict[str, Any]:
    shape = tool.get("format") or {}
    words = [str(tool.get("description") or "")]
    if shape.get("type") == "grammar":
        words.append(f"The input must follow this {shape.get('syntax')} grammar:\n{shape.get('definition')}")
    argument = {"type": "string", "description": "The whole input of the tool, as free text."}
    return {
        "name": names.short(tool["name"]),
        "description": "\n\n".join(word for word in words if word),
        "parameters": {
            "type": "object",
            "properties": {_INPUT: argument},
            "required": [_INPUT],
            "additionalProperties": False,
        },
    }


def _picked(
    tools: list[Tool], choice: Mapping[str, Any], names: Names
) -> tuple[list[Tool], str | dict[str, Any] | None]:
    """The tools that a choice leaves, and the choice in this API's words."""
    if choice.get("type") == "allowed_tools":
        allowed = {(tool.get("type"), tool.get("name")) for tool in choice.get("tools", ())}
        return [tool for tool in tools if (tool["type"], tool["name"]) in allowed], choice.get("mode", "auto")
    name = choice.get("name")
    if not isinstance(name, str) or choice.get("type") not in ("function", "custom"):
        raise InvalidRequest(
            f"The tool type '{choice.get('type')}' cannot be chosen on this upstream. Choose a function.",
            param="tool_choice",
            code="unsupported_value",
        )
    return tools, {"type": "function", "function": {"name": names.short(name)}}
