"""Tools of a Responses request, and the choice among them.

Responses tools are canonical already, so they pass untouched; only what can never work is refused. Members that Chat
Completions nests under `function` or `custom` are taken from there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lib.canonical.request import Item, Tool
from lib.dialects.fields import array, boolean, missing, object_, one_of, shown, string, wrong_value
from lib.errors import InvalidRequest

MAX_TOOLS = 1024

_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_NAME_EXPECTED = "1 to 128 letters, digits, '_', '-', '.', ':' or '/'"
_MODE = one_of("none", "auto", "required")
_ALLOWED_MODE = one_of("auto", "required")
_NAMED = ("function", "custom")
_CARRIERS = ("additional_tools", "tool_search_output")
"""Item types that bring tools of their own."""

Choice = str | dict[str, Any]


def parse_tools(tools: list[Any]) -> list[Tool]:
    """Raises InvalidRequest, which names the tool."""
    if len(tools) > MAX_TOOLS:
        raise wrong_value("tools", f"at most {MAX_TOOLS} tools", len(tools))
    seen: set[tuple[str, str]] = set()
    found = []
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        found.append(_tool(tool, param))
        name, kind = found[-1].get("name"), found[-1]["type"]
        if type(name) is not str:
            continue
        key = ("" if kind in _NAMED else kind, name)  # functions and custom tools are called by name alone
        if key in seen:
            raise InvalidRequest(
                f"Duplicate tool name: {shown(name)}. Tool names must be unique.",
                param=f"{param}.name",
                code="invalid_value",
            )
        seen.add(key)
    return found


def _tool(tool: Any, param: str) -> Tool:
    object_(tool, param)
    kind = _member(tool, "type", param)
    if kind not in _NAMED:
        return dict(tool)
    flat = _flat(tool, kind)
    _name(flat, param)
    for name, check in (("parameters", object_), ("strict", boolean)):
        if flat.get(name) is not None:
            check(flat[name], f"{param}.{name}")
    return flat


def _flat(tool: Mapping[str, Any], kind: str) -> dict[str, Any]:
    nested = tool.get(kind)
    return {"type": kind, **nested} if "name" not in tool and type(nested) is dict else dict(tool)


def _member(holder: Mapping[str, Any], name: str, param: str) -> str:
    if holder.get(name) is None:
        raise missing(f"{param}.{name}")
    value: str = string(holder[name], f"{param}.{name}")
    return value


def _name(tool: Mapping[str, Any], param: str) -> str:
    name = _member(tool, "name", param)
    if not _NAME.fullmatch(name):
        raise wrong_value(f"{param}.name", _NAME_EXPECTED, name)
    return name


def parse_choice(choice: Choice, tools: list[Tool], items: list[Item]) -> Choice:
    """A mode, or the tool that has to be used. Raises InvalidRequest when no such tool is offered."""
    param = "tool_choice"
    if type(choice) is str:
        _MODE(choice, param)
    elif type(choice) is dict:
        kind = _member(choice, "type", param)
        choice = _flat(choice, kind)
        if kind == "allowed_tools":
            _check_allowed(choice)
    # Tools may also come with the input; then it is for the upstream to know them.
    if any(item["type"] in _CARRIERS for item in items):
        return choice
    if not tools and choice not in ("none", "auto"):
        raise InvalidRequest(
            "'tool_choice' is only allowed when 'tools' are specified.", param=param, code="invalid_value"
        )
    if type(choice) is dict and choice["type"] in _NAMED:
        name = _name(choice, param)
        if name not in _offered(tools, choice["type"]):
            raise InvalidRequest(
                f"Tool choice {shown(name)} not found in 'tools' parameter.", param=param, code="invalid_value"
            )
    return choice


def _check_allowed(choice: Mapping[str, Any]) -> None:
    _ALLOWED_MODE(_member(choice, "mode", "tool_choice"), "tool_choice.mode")
    tools = choice.get("tools")
    if tools is None:
        raise missing("tool_choice.tools")
    for index, tool in enumerate(array(tools, "tool_choice.tools")):
        object_(tool, f"tool_choice.tools[{index}]")


def _offered(tools: list[Tool], kind: str) -> set[Any]:
    """Names of tools of one type, those inside of namespaces too."""
    nested = [tool["tools"] for tool in tools if tool["type"] == "namespace" and type(tool.get("tools")) is list]
    every = [*tools, *(tool for each in nested for tool in each if type(tool) is dict)]
    return {tool["name"] for tool in every if tool.get("type") == kind and type(tool.get("name")) is str}
