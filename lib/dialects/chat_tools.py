"""Tools of Chat Completions → flat Responses tools, and the choice among them.

Chat nests a tool's members under its type (`{"type": "function", "function": {"name", …}}`), Responses has them beside
it; both are taken. Tools of other types (`web_search`, …) pass as they are: the upstream decides on them. The legacy
pair `functions` / `function_call` is read into the same form.

The flags `function_web_search`, `function_image_gen` and `function_code_interpreter`, and `web_search_options`, add the
hosted tool that they stand for, once: an upstream without it refuses the flag by its name (`lib/canonical/hosted.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lib.canonical.hosted import FLAGS, WEB_SEARCH
from lib.canonical.request import Tool
from lib.dialects.fields import Fields, boolean, missing, object_, one_of, string, wrong_value
from lib.dialects.members import name_unknown
from lib.dialects.tool_rules import (
    MODE,
    NAMED,
    Choice,
    Key,
    check_count,
    choice_without_tools,
    duplicate,
    offered_by,
    pick,
    pick_allowed,
    tool_name,
)
from lib.errors import InvalidRequest

_MEMBERS = frozenset(
    {
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "web_search_options"),
        *FLAGS,
    }
)
"""All top-level fields that say anything about tools."""
_LEGACY_MODE = one_of("none", "auto")
_CONTEXT_SIZE = one_of("low", "medium", "high")


class Tools(NamedTuple):
    """What a request says about tools, in canonical form."""

    tools: list[Tool]
    choice: Choice | None = None
    parallel: bool | None = None


def parse_tools(fields: Fields) -> Tools:
    """From the checked top-level fields. Without tools there is no choice and no parallelism."""
    values = fields.values
    if _MEMBERS.isdisjoint(values):
        return Tools([])
    legacy = values.get("functions") or []
    if legacy and values.get("tools"):
        raise InvalidRequest(
            "'functions' and 'tools' exclude each other: use 'tools'.", param="functions", code="invalid_value"
        )
    tools = _legacy_tools(legacy) if legacy else _tools(values.get("tools") or [])
    if "web_search_options" in values:
        _merge(tools, _web_search(values["web_search_options"], fields.asked))
    for flag, tool in FLAGS.items():
        if values.get(flag):
            _merge(tools, tool)
    param = _said_in(values, bool(legacy))
    choice = values.get(param)
    if not tools:
        if choice in (None, "none", "auto"):
            for canonical in ("tool_choice", "parallel_tool_calls"):
                fields.asked.pop(canonical, None)
            return Tools([])
        raise choice_without_tools("tool_choice", "tools")
    if choice is not None:
        offered = offered_by(tools)
        choice = _legacy_choice(choice, offered) if param == "function_call" else _choice(choice, offered)
    # The legacy shape of an answer has room for one call.
    return Tools(tools, choice, False if legacy else values.get("parallel_tool_calls"))


def _said_in(values: Mapping[str, Any], is_legacy: bool) -> str:
    """The field that holds the choice: either goes with both kinds of tools, for "none" is meant however it is said."""
    own, other = ("function_call", "tool_choice") if is_legacy else ("tool_choice", "function_call")
    if not is_legacy and values.get(other) not in (None, "none", "auto"):
        raise choice_without_tools("function_call", "functions")
    if values.get(own) is None:
        return other
    if values.get(other) not in (None, "auto", values[own]):
        raise InvalidRequest(f"'{own}' and '{other}' contradict each other.", param=other, code="invalid_value")
    return own


# --- Tools ----------------------------------------------------------------------------------------------------------


def _tools(tools: list[Any]) -> list[Tool]:
    check_count(tools, "tools")
    seen: set[str] = set()
    found = []
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        kind = object_(tool, param).get("type")
        if kind is None:
            raise missing(f"{param}.type")
        if kind == "":
            raise wrong_value(f"{param}.type", "a tool type", kind)
        if string(kind, f"{param}.type") not in NAMED:
            found.append(tool)
            continue
        nested = kind in tool
        where = f"{param}.{kind}" if nested else param
        made = object_(tool[kind], where) if nested else tool
        found.append(_function(made, where) if kind == "function" else _custom(made, where))
        _check_new(found[-1]["name"], f"{where}.name", seen)
    return found


def _legacy_tools(functions: list[Any]) -> list[Tool]:
    check_count(functions, "functions")
    seen: set[str] = set()
    found = []
    for index, function in enumerate(functions):
        param = f"functions[{index}]"
        found.append(_function(object_(function, param), param))
        _check_new(found[-1]["name"], f"{param}.name", seen)
    return found


def _check_new(name: str, param: str, seen: set[str]) -> None:
    if name in seen:
        raise duplicate(name, param)
    seen.add(name)


def _function(made: Mapping[str, Any], param: str) -> Tool:
    """`strict` stands in the result only if the client gave it: its default differs between the two APIs."""
    tool: Tool = {"type": "function", "name": tool_name(made, param)}
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
    tool: Tool = {"type": "custom", "name": tool_name(made, param)}
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


def _merge(tools: list[Tool], hosted: Tool) -> None:
    """Add a hosted tool; one that is there already, under whichever of its names (`web_search_preview`), keeps its name
    and what it says beside it."""
    for index, tool in enumerate(tools):
        if tool["type"].startswith(hosted["type"]):
            tools[index] = {**hosted, **tool}
            return
    tools.append({**hosted})


def _web_search(options: Mapping[str, Any], asked: dict[str, str]) -> Tool:
    """`web_search_options` as the hosted tool that does the same."""
    tool: Tool = {"type": WEB_SEARCH}
    name_unknown(options, ("search_context_size", "user_location"), "web_search_options", asked)
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


def _choice(choice: Any, offered: frozenset[Key]) -> Choice:
    if type(choice) is str:
        return str(MODE(choice, "tool_choice"))
    if choice.get("type") != "allowed_tools":
        return pick(choice, offered, "tool_choice")
    param = "tool_choice.allowed_tools"
    return pick_allowed(object_(choice.get("allowed_tools", choice), param), offered, param)


def _legacy_choice(choice: Any, offered: frozenset[Key]) -> Choice:
    if type(choice) is str:
        return str(_LEGACY_MODE(choice, "function_call"))
    return pick({"name": choice.get("name"), "type": "function"}, offered, "function_call")
