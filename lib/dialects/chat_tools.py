"""Tools of Chat Completions → flat Responses tools, and the choice among them.

Chat nests a tool's members under its type (`{"type": "function", "function": {"name", …}}`), Responses has them beside
it; both are taken. Tools of other types (`web_search`, …) pass as they are: the upstream decides on them. The legacy
pair `functions` / `function_call` is read into the same form.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_letters, digits
from typing import Any, NamedTuple

from lib.canonical.request import Tool
from lib.dialects.fields import Fields, boolean, missing, object_, one_of, shown, string, wrong_type, wrong_value
from lib.errors import InvalidRequest

MAX_TOOLS = 1024
_MAX_NAME = 128
_NAME_CHARS = frozenset(ascii_letters + digits + "_-.:/")
_NAME_EXPECTED = "1 to 128 letters, digits, '_', '-', '.', ':' or '/'"
_MODE = one_of("none", "auto", "required")
_LEGACY_MODE = one_of("none", "auto")
_ALLOWED_MODE = one_of("auto", "required")
_CONTEXT_SIZE = one_of("low", "medium", "high")
_NAMED = ("function", "custom")

Choice = str | dict[str, Any]


class Tools(NamedTuple):
    """What a request says about tools, in canonical form."""

    tools: list[Tool]
    choice: Choice | None = None
    parallel: bool | None = None


def parse_tools(fields: Fields) -> Tools:
    """From the checked top-level fields. Without tools there is no choice and no parallelism."""
    values = fields.values
    legacy = values.get("functions") or []
    _check_mix(values, legacy)
    tools = _legacy_tools(legacy) if legacy else _tools(values.get("tools") or [])
    if "web_search_options" in values:
        tools.append(_web_search(values["web_search_options"]))
    param = "function_call" if legacy else "tool_choice"
    choice = values.get(param)
    if not tools:
        if choice in (None, "none", "auto"):
            for canonical in ("tool_choice", "parallel_tool_calls"):
                fields.asked.pop(canonical, None)
            return Tools([])
        raise _without_tools("tool_choice", "tools")
    if choice is not None:
        offered = frozenset(_key(tool) for tool in tools)
        choice = _legacy_choice(choice, offered) if legacy else _choice(choice, offered)
    # The legacy shape of an answer has room for one call.
    return Tools(tools, choice, False if legacy else values.get("parallel_tool_calls"))


def _check_mix(values: Mapping[str, Any], legacy: list[Any]) -> None:
    if legacy and values.get("tools"):
        raise InvalidRequest(
            "'functions' and 'tools' exclude each other: use 'tools'.", param="functions", code="invalid_value"
        )
    if not legacy and values.get("function_call") not in (None, "none", "auto"):
        raise _without_tools("function_call", "functions")


def _without_tools(param: str, needed: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{param}' is only allowed when '{needed}' are specified.", param=param, code="invalid_value"
    )


# --- Tools ----------------------------------------------------------------------------------------------------------


def _tools(tools: list[Any]) -> list[Tool]:
    _check_count(tools, "tools")
    seen: set[str] = set()
    found = []
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        kind = object_(tool, param).get("type")
        if kind is None:
            raise missing(f"{param}.type")
        if kind == "":
            raise wrong_value(f"{param}.type", "a tool type", kind)
        if string(kind, f"{param}.type") not in _NAMED:
            found.append(tool)
            continue
        nested = kind in tool
        where = f"{param}.{kind}" if nested else param
        made = object_(tool[kind], where) if nested else tool
        found.append(_function(made, where) if kind == "function" else _custom(made, where))
        _check_name(found[-1]["name"], f"{where}.name", seen)
    return found


def _legacy_tools(functions: list[Any]) -> list[Tool]:
    _check_count(functions, "functions")
    seen: set[str] = set()
    found = []
    for index, function in enumerate(functions):
        param = f"functions[{index}]"
        found.append(_function(object_(function, param), param))
        _check_name(found[-1]["name"], f"{param}.name", seen)
    return found


def _check_count(tools: list[Any], param: str) -> None:
    if len(tools) > MAX_TOOLS:
        raise InvalidRequest(
            f"Invalid '{param}': at most {MAX_TOOLS} tools, but got {len(tools)}.",
            param=param,
            code="array_above_max_length",
        )


def _check_name(name: str, param: str, seen: set[str]) -> None:
    if not 0 < len(name) <= _MAX_NAME or not _NAME_CHARS.issuperset(name):
        raise wrong_value(param, _NAME_EXPECTED, name)
    if name in seen:
        raise InvalidRequest(
            f"Invalid value for '{param}': the tool {shown(name)} is defined twice.", param=param, code="invalid_value"
        )
    seen.add(name)


def _function(made: Mapping[str, Any], param: str) -> Tool:
    """`strict` stands in the result only if the client gave it: its default differs between the two APIs."""
    tool: Tool = {"type": "function", "name": _name(made, param)}
    if made.get("description") is not None:
        tool["description"] = string(made["description"], f"{param}.description")
    parameters = made.get("parameters")
    if parameters is None:
        parameters = {"type": "object", "properties": {}}
    tool["parameters"] = object_(parameters, f"{param}.parameters")
    if made.get("strict") is not None:
        tool["strict"] = boolean(made["strict"], f"{param}.strict")
    return tool


def _custom(made: Mapping[str, Any], param: str) -> Tool:
    tool: Tool = {"type": "custom", "name": _name(made, param)}
    if made.get("description") is not None:
        tool["description"] = string(made["description"], f"{param}.description")
    if made.get("format") is not None:
        tool["format"] = _format(object_(made["format"], f"{param}.format"), f"{param}.format")
    return tool


def _format(shape: Mapping[str, Any], param: str) -> dict[str, Any]:
    kind = shape.get("type")
    if kind == "text":
        return {"type": "text"}
    if kind != "grammar":
        raise wrong_value(f"{param}.type", "'text' or 'grammar'", kind)
    nested = "grammar" in shape
    where = f"{param}.grammar" if nested else param
    grammar = object_(shape["grammar"], where) if nested else shape
    return {
        "type": "grammar",
        "syntax": string(grammar.get("syntax"), f"{where}.syntax"),
        "definition": string(grammar.get("definition"), f"{where}.definition"),
    }


def _name(made: Mapping[str, Any], param: str) -> str:
    name = made.get("name")
    if name is None:
        raise missing(f"{param}.name")
    return str(string(name, f"{param}.name"))


def _web_search(options: Mapping[str, Any]) -> Tool:
    """`web_search_options` as the hosted tool that does the same."""
    tool: Tool = {"type": "web_search"}
    size = options.get("search_context_size")
    if size is not None:
        tool["search_context_size"] = _CONTEXT_SIZE(size, "web_search_options.search_context_size")
    location = options.get("user_location")
    if location is not None:
        param = "web_search_options.user_location"
        near = object_(location, param).get("approximate")
        members = object_(near, f"{param}.approximate") if near is not None else location
        tool["user_location"] = {"type": "approximate"} | {
            name: string(members[name], f"{param}.{name}")
            for name in ("city", "country", "region", "timezone")
            if members.get(name) is not None
        }
    return tool


# --- Choice ---------------------------------------------------------------------------------------------------------


Key = tuple[str, str]


def _key(tool: Tool) -> Key:
    """What a choice may call a tool: functions and custom tools by name, hosted ones by their type alone."""
    return (tool["type"], tool["name"] if tool["type"] in _NAMED else "")


def _choice(choice: Any, offered: frozenset[Key]) -> Choice:
    if type(choice) is str:
        return str(_MODE(choice, "tool_choice"))
    if type(choice.get("type")) is not str:
        raise wrong_type("tool_choice.type", "a string", choice.get("type"))
    if choice["type"] != "allowed_tools":
        return _pick(choice, offered, "tool_choice")
    allowed = choice.get("allowed_tools", choice)
    param = "tool_choice.allowed_tools"
    picked = object_(allowed, param).get("tools")
    if type(picked) is not list or not picked:
        raise wrong_type(f"{param}.tools", "an array of at least one tool", picked)
    return {
        "type": "allowed_tools",
        "mode": _ALLOWED_MODE(allowed.get("mode"), f"{param}.mode"),
        "tools": [_pick(tool, offered, f"{param}.tools[{index}]") for index, tool in enumerate(picked)],
    }


def _pick(choice: Any, offered: frozenset[Key], param: str) -> dict[str, Any]:
    """One tool out of those on offer."""
    kind = string(object_(choice, param).get("type"), f"{param}.type")
    if kind not in _NAMED:
        if (kind, "") not in offered:
            raise _not_offered(f"{param}.type", kind)
        return dict(choice)
    nested = kind in choice
    where = f"{param}.{kind}" if nested else param
    name = _name(object_(choice[kind], where) if nested else choice, where)
    if (kind, name) not in offered:
        raise _not_offered(f"{where}.name", name)
    return {"type": kind, "name": name}


def _legacy_choice(choice: Any, offered: frozenset[Key]) -> Choice:
    if type(choice) is str:
        return str(_LEGACY_MODE(choice, "function_call"))
    name = _name(choice, "function_call")
    if ("function", name) not in offered:
        raise _not_offered("function_call.name", name)
    return {"type": "function", "name": name}


def _not_offered(param: str, name: str) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid value for '{param}': {shown(name)} is not one of the tools of this request.",
        param=param,
        code="invalid_value",
    )
