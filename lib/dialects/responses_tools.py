"""Tools of a Responses request, and the choice among them.

Responses tools are canonical already, so they pass untouched; only what can never work is refused. Members that Chat
Completions nests under `function` or `custom` are taken from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.canonical.request import Item, Tool
from lib.dialects.fields import Check, boolean, object_, string
from lib.dialects.tool_rules import (
    MODE,
    NAMED,
    Choice,
    check_count,
    choice_without_tools,
    duplicate,
    member,
    offered_by,
    pick,
    pick_allowed,
    tool_name,
)

_CARRIERS = ("additional_tools", "tool_search_output")
"""Item types that bring tools of their own."""
_MEMBERS: Mapping[str, Check] = {
    "description": string,
    "parameters": object_,
    "strict": boolean,
    "format": object_,
}


def parse_tools(tools: list[Any]) -> list[Tool]:
    """Raises InvalidRequest, which names the tool."""
    check_count(tools, "tools")
    seen: set[tuple[str, str]] = set()
    found = []
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        found.append(_tool(tool, param))
        name, kind = found[-1].get("name"), found[-1]["type"]
        if type(name) is not str:
            continue
        key = ("" if kind in NAMED else kind, name)  # functions and custom tools are called by name alone
        if key in seen:
            raise duplicate(name, f"{param}.name")
        seen.add(key)
    return found


def _tool(tool: Any, param: str) -> Tool:
    kind = member(object_(tool, param), "type", param)
    if kind not in NAMED:
        return dict(tool)
    nested = tool.get(kind)
    flat = {**nested, "type": kind} if "name" not in tool and type(nested) is dict else dict(tool)
    tool_name(flat, param)
    for name, check in _MEMBERS.items():
        if flat.get(name) is not None:
            check(flat[name], f"{param}.{name}")
    return flat


def parse_choice(choice: Choice, tools: list[Tool], items: list[Item]) -> Choice:
    """A mode, or the tool that has to be used. Raises InvalidRequest when no such tool is offered."""
    # Tools may also come with the input; then it is for the upstream to know them.
    are_known = not any(item["type"] in _CARRIERS for item in items)
    if type(choice) is str:
        MODE(choice, "tool_choice")
    if are_known and not tools and choice not in ("none", "auto"):
        raise choice_without_tools("tool_choice", "tools")
    if type(choice) is not dict:
        return choice
    kind = member(choice, "type", "tool_choice")
    offered = offered_by(tools) if are_known else None
    if kind == "allowed_tools":
        return pick_allowed(choice, offered, "tool_choice")
    # A hosted tool goes by several names (`web_search`, `web_search_preview`): the upstream decides.
    return pick(choice, offered if kind in NAMED else None, "tool_choice")
