"""Tools of the Messages API → canonical tools, and the choice among them.

Custom tools become functions, the server-side web search becomes the upstream's own. A server-side tool search is left
out, because every tool is on offer from the start. Other tools that the service brings along are refused: their
schemas, or the machines that they run on, are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lib.canonical.request import Tool
from lib.dialects.fields import Fields, ask, boolean, missing, object_, one_of, shown, string, string_list
from lib.dialects.messages_content import required_text
from lib.dialects.tool_rules import Choice, check_count, choice_without_tools, duplicate, tool_name
from lib.errors import InvalidRequest

_CHOICE = one_of("auto", "any", "tool", "none")
_WEB_SEARCH = "web_search"
_TOOL_SEARCH = "tool_search_tool"
_LOCATION = ("city", "country", "region", "timezone")
_NOT_THERE = ("blocked_domains", "max_uses")
"""Members of the web search that the upstream's has no place for."""

SOURCES = "web_search_call.action.sources"
"""What to include in an answer, so that searches come with the addresses that they found."""


class Tools(NamedTuple):
    """What a request says about tools, in canonical form."""

    tools: list[Tool]
    choice: Choice | None = None
    parallel: bool | None = None
    include: tuple[str, ...] = ()


def parse_tools(fields: Fields) -> Tools:
    """From the checked top-level fields; without tools there is no choice. Raises InvalidRequest."""
    values, asked = fields.values, fields.asked
    names = _Names()
    tools = _tools(values.get("tools", []), names, asked)
    choice = values.get("tool_choice")
    if choice is None:
        return Tools(tools, include=names.include)
    kind = _CHOICE(required_text(choice, "type", "tool_choice"), "tool_choice.type")
    alone = choice.get("disable_parallel_tool_use")
    parallel = None if alone is None else not boolean(alone, "tool_choice.disable_parallel_tool_use")
    if not tools:
        if kind in ("any", "tool"):
            raise choice_without_tools("tool_choice", "tools")
        asked.pop("tool_choice", None)
        return Tools(tools)
    if kind == "auto":
        asked.pop("tool_choice", None)
    if parallel is False:
        ask(asked, "parallel_tool_calls", "tool_choice.disable_parallel_tool_use")
    return Tools(tools, _choice(kind, choice, names), parallel, names.include)


class _Names:
    """Names of the tools on offer, each once: functions, and the one of the web search."""

    def __init__(self) -> None:
        self.functions: set[str] = set()
        self.search: str | None = None

    @property
    def include(self) -> tuple[str, ...]:
        return () if self.search is None else (SOURCES,)

    def add(self, name: str, param: str, *, is_search: bool = False) -> None:
        if name in self.functions or name == self.search:
            raise duplicate(name, param)
        if is_search:
            self.search = name
        else:
            self.functions.add(name)


def _tools(tools: list[Any], names: _Names, asked: dict[str, str]) -> list[Tool]:
    check_count(tools, "tools")
    found = []
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        kind = object_(tool, param).get("type")
        kind = "custom" if kind is None else string(kind, f"{param}.type")
        if kind == "custom":
            found.append(_function(tool, param, names, asked))
        elif kind.startswith(_WEB_SEARCH):
            found.append(_web_search(tool, param, names, asked))
        elif not kind.startswith(_TOOL_SEARCH):
            raise InvalidRequest(
                f"The tool type {shown(kind)} is not available here. Remove it, or describe the tool as a custom one "
                "with an 'input_schema'.",
                param=f"{param}.type",
                code="unsupported_value",
            )
    return found


def _function(tool: Mapping[str, Any], param: str, names: _Names, asked: dict[str, str]) -> Tool:
    name = tool_name(tool, param)
    names.add(name, f"{param}.name")
    if tool.get("input_schema") is None:
        raise missing(f"{param}.input_schema")
    schema = dict(object_(tool["input_schema"], f"{param}.input_schema"))
    schema.setdefault("type", "object")
    schema.setdefault("properties", {})
    if schema["properties"] is None:  # legal in the Messages API, where the member is optional and nullable
        schema["properties"] = {}
    found: Tool = {"type": "function", "name": name, "parameters": schema}
    if tool.get("description") is not None:
        found["description"] = string(tool["description"], f"{param}.description")
    if tool.get("strict") is not None and boolean(tool["strict"], f"{param}.strict"):
        # Strict schemas of the two APIs differ: what is legal in this one may be refused upstream.
        asked["tools.strict"] = "tools.strict"
    return found


def _web_search(tool: Mapping[str, Any], param: str, names: _Names, asked: dict[str, str]) -> Tool:
    names.add(required_text(dict(tool), "name", param), f"{param}.name", is_search=True)
    found: Tool = {"type": "web_search"}
    if tool.get("allowed_domains"):
        allowed = string_list(tool["allowed_domains"], f"{param}.allowed_domains")
        found["filters"] = {"allowed_domains": allowed}
    if tool.get("user_location") is not None:
        where = f"{param}.user_location"
        location = object_(tool["user_location"], where)
        found["user_location"] = {"type": "approximate"} | {
            name: string(location[name], f"{where}.{name}") for name in _LOCATION if location.get(name) is not None
        }
    for name in _NOT_THERE:
        if tool.get(name):
            asked[f"web_search.{name}"] = f"{_WEB_SEARCH}.{name}"
    return found


def _choice(kind: str, choice: Mapping[str, Any], names: _Names) -> Choice:
    if kind != "tool":
        return {"any": "required"}.get(kind, kind)
    name = required_text(dict(choice), "name", "tool_choice")
    if name == names.search:
        return {"type": "web_search"}
    if name not in names.functions:
        raise InvalidRequest(
            f"Invalid value for 'tool_choice.name': {shown(name)} is not one of the tools of this request.",
            param="tool_choice.name",
            code="invalid_value",
        )
    return {"type": "function", "name": name}
