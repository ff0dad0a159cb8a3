"""The tools that a request lets the model call, as the prompted path sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lib.canonical.hosted import unavailable
from lib.canonical.request import CanonicalRequest, Tool
from lib.errors import InvalidRequest

INPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
"""A custom tool takes free text; in the prompted form it is the only argument of a function."""


@dataclass(frozen=True, slots=True)
class CallableTool:
    """One tool that may be called."""

    name: str
    description: str = field(default="", repr=False)
    schema: Any = field(default_factory=dict, repr=False)
    """JSON schema of the arguments, as sloppy as the caller wrote it."""
    strict: bool = False
    """Whether arguments that do not validate are no call."""
    custom: bool = False
    """Whether the answer is a custom tool call, with free text as its input."""


Toolset = Mapping[str, CallableTool]


def callable_tools(request: CanonicalRequest) -> dict[str, CallableTool]:
    """The tools that the request's `tool_choice` leaves, by name; none of them for `none`.

    Raises InvalidRequest for a tool that cannot be described in a prompt: a hosted one, or one with a grammar.
    """
    tools = {}
    for index, tool in enumerate(request.tools):
        read = _tool(tool, f"tools[{index}]", request)
        tools[read.name] = read
    choice = request.tool_choice
    if choice == "none":
        return {}
    if isinstance(choice, dict):
        named = choice.get("tools", ()) if choice.get("type") == "allowed_tools" else (choice,)
        allowed = {tool.get("name") for tool in named if isinstance(tool, dict)}
        return {name: tool for name, tool in tools.items() if name in allowed}
    return tools


def _tool(tool: Tool, param: str, request: CanonicalRequest) -> CallableTool:
    kind, name = tool.get("type"), tool.get("name")
    if kind not in ("function", "custom") or not isinstance(name, str):
        raise unavailable(request, str(kind), f"{param}.type", "this upstream, which has no tools of its own")
    description = tool.get("description")
    description = description if isinstance(description, str) else ""
    if kind == "function":
        schema = tool.get("parameters")
        return CallableTool(name, description, {} if schema is None else schema, strict=tool.get("strict") is True)
    if (tool.get("format") or {}).get("type") == "grammar":
        raise InvalidRequest(
            "A custom tool with a grammar is not available on this upstream, which cannot be held to one. Leave the "
            "'format' out.",
            param=f"{param}.format",
            code="unsupported_value",
        )
    return CallableTool(name, description, INPUT_SCHEMA, strict=True, custom=True)
