"""Rules for tools, and for the choice among them, that Chat Completions and Responses have in common."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from lib.canonical.request import Tool
from lib.dialects.fields import missing, object_, one_of, shown, string, wrong_type, wrong_value
from lib.errors import InvalidRequest

MAX_TOOLS = 1024
NAMED = ("function", "custom")
"""Tool types that are called by name; others are known by their type alone."""
MODE = one_of("none", "auto", "required")
ALLOWED_MODE = one_of("auto", "required")

Choice = str | dict[str, Any]
Key = tuple[str, str]
"""What a choice may call a tool: its type, and its name if the type is one of `NAMED`."""

_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_NAME_EXPECTED = "1 to 128 letters, digits, '_', '-', '.', ':' or '/'"


def check_count(tools: list[Any], param: str) -> None:
    """Raises InvalidRequest for a list that is too long."""
    if len(tools) > MAX_TOOLS:
        raise InvalidRequest(
            f"Invalid '{param}': at most {MAX_TOOLS} tools, but got {len(tools)}.",
            param=param,
            code="array_above_max_length",
        )


def member(holder: Mapping[str, Any], name: str, param: str) -> str:
    """A string that has to be there."""
    if holder.get(name) is None:
        raise missing(f"{param}.{name}")
    value: str = string(holder[name], f"{param}.{name}")
    return value


def tool_name(tool: Mapping[str, Any], param: str) -> str:
    """The name of a tool that is defined here."""
    name = member(tool, "name", param)
    if not _NAME.fullmatch(name):
        raise wrong_value(f"{param}.name", _NAME_EXPECTED, name)
    return name


def duplicate(name: str, param: str) -> InvalidRequest:
    """Two tools of one name."""
    return InvalidRequest(
        f"Duplicate tool name: {shown(name)}. Tool names must be unique.", param=param, code="invalid_value"
    )


def offered_by(tools: list[Tool]) -> frozenset[Key]:
    """All that a choice may name, the tools inside of namespaces too."""
    nested = [tool["tools"] for tool in tools if tool["type"] == "namespace" and type(tool.get("tools")) is list]
    every = [*tools, *(tool for each in nested for tool in each if type(tool) is dict)]
    return frozenset(_key(tool) for tool in every if type(tool.get("type")) is str)


def _key(tool: Tool) -> Key:
    name = tool.get("name") if tool["type"] in NAMED else ""
    return (tool["type"], name if type(name) is str else "")


def pick(choice: Any, offered: Collection[Key] | None, param: str) -> dict[str, Any]:
    """One tool, as a flat Responses choice. `offered`: those to choose from, None where they cannot be known."""
    kind = member(object_(choice, param), "type", param)
    if kind not in NAMED:
        for name in ("name", "server_label"):
            if choice.get(name) is not None:
                string(choice[name], f"{param}.{name}")
        if offered is not None and (kind, "") not in offered:
            raise _not_offered(kind, f"{param}.type")
        return dict(choice)
    nested = choice.get(kind) is not None
    where = f"{param}.{kind}" if nested else param
    flat = object_(choice[kind], where) if nested else choice
    name = member(flat, "name", where)
    if offered is not None and (kind, name) not in offered:
        raise _not_offered(name, f"{where}.name")
    return {**flat, "type": kind}


def pick_allowed(allowed: Mapping[str, Any], offered: Collection[Key] | None, param: str) -> dict[str, Any]:
    """The choice `allowed_tools` out of the object that holds its `mode` and `tools`."""
    mode = ALLOWED_MODE(member(allowed, "mode", param), f"{param}.mode")
    picked = allowed.get("tools")
    if picked is None:
        raise missing(f"{param}.tools")
    if type(picked) is not list or not picked:
        raise wrong_type(f"{param}.tools", "an array of at least one tool", picked)
    check_count(picked, f"{param}.tools")
    tools = [pick(tool, offered, f"{param}.tools[{index}]") for index, tool in enumerate(picked)]
    return {"type": "allowed_tools", "mode": mode, "tools": tools}


def choice_without_tools(param: str, needed: str) -> InvalidRequest:
    """A choice where there is nothing to choose from."""
    return InvalidRequest(
        f"'{param}' is only allowed when '{needed}' are specified.", param=param, code="invalid_value"
    )


def _not_offered(name: str, param: str) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid value for '{param}': {shown(name)} is not one of the tools of this request.",
        param=param,
        code="invalid_value",
    )
