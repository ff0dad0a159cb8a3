from typing import Any

import pytest

from lib.dialects.responses_tools import parse_choice, parse_tools
from lib.dialects.tool_rules import MAX_TOOLS
from lib.errors import InvalidRequest

Fields = dict[str, Any]

FUNCTION: Fields = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": None}
CUSTOM: Fields = {"type": "custom", "name": "patch", "format": {"type": "text"}}
NAMESPACE: Fields = {"type": "namespace", "name": "docs", "tools": [{"type": "function", "name": "read"}, "junk"]}
OTHER: Fields = {"type": "function", "name": "other"}


def refused(tools: list[Any], choice: Any = "auto") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_choice(choice, parse_tools(tools), [])
    return caught.value


def test_tools_pass_untouched() -> None:
    tools = [FUNCTION, CUSTOM, NAMESPACE, {"type": "web_search"}, {"type": "mcp", "server_label": "x"}, {"type": "new"}]
    assert parse_tools(tools) == tools


def test_nested_function_is_flattened() -> None:
    flat = {"type": "function", "name": "f", "strict": True}
    assert parse_tools([{"type": "function", "function": {"name": "f", "strict": True}}]) == [flat]
    assert parse_tools([{"type": "function", "function": {**flat, "type": 5}}]) == [flat]


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ("x", "tools[0]"),
        ({}, "tools[0].type"),
        ({"type": 1}, "tools[0].type"),
        ({"type": "function"}, "tools[0].name"),
        ({"type": "function", "name": 1}, "tools[0].name"),
        ({"type": "function", "name": ""}, "tools[0].name"),
        ({"type": "function", "name": 'a"\n'}, "tools[0].name"),
        ({"type": "function", "name": "x" * 500}, "tools[0].name"),
        ({"type": "custom"}, "tools[0].name"),
        ({"type": "function", "name": "f", "parameters": []}, "tools[0].parameters"),
        ({"type": "function", "name": "f", "strict": "yes"}, "tools[0].strict"),
        ({"type": "function", "name": "f", "description": 5}, "tools[0].description"),
        ({"type": "custom", "name": "f", "format": "text"}, "tools[0].format"),
        ({"type": "custom", "name": "f", "description": []}, "tools[0].description"),
    ],
)
def test_wrong_tool_is_refused_by_its_place(tool: Any, param: str) -> None:
    assert refused([tool]).param == param


def test_names_are_unique_among_what_is_called_by_name() -> None:
    assert refused([FUNCTION, FUNCTION]).param == "tools[1].name"
    assert refused([FUNCTION, {"type": "custom", "name": "look"}]).param == "tools[1].name"
    assert len(parse_tools([FUNCTION, {"type": "namespace", "name": "look"}])) == 2
    assert len(parse_tools([{"type": "x", "name": ["a"]}, {"type": "x", "name": ["a"]}])) == 2


def test_number_of_tools_is_bounded() -> None:
    assert refused([{"type": "web_search"}] * (MAX_TOOLS + 1)).param == "tools"


@pytest.mark.parametrize(
    "choice",
    [
        *["none", "auto", "required"],
        {"type": "function", "name": "look"},
        {"type": "function", "name": "read"},
        {"type": "custom", "name": "patch"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]},
        {"type": "web_search"},
    ],
)
def test_choices_pass_untouched(choice: Any) -> None:
    assert parse_choice(choice, [FUNCTION, CUSTOM, NAMESPACE], []) == choice


def test_nested_choice_is_flattened() -> None:
    choice = {"type": "function", "function": {"name": "look"}}
    assert parse_choice(choice, [FUNCTION], []) == {"type": "function", "name": "look"}


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("always", "tool_choice"),
        ({}, "tool_choice.type"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "function", "name": "other"}, "tool_choice.name"),
        ({"type": "custom", "name": "look"}, "tool_choice.name"),
        ({"type": "allowed_tools", "tools": []}, "tool_choice.mode"),
        ({"type": "allowed_tools", "mode": "none", "tools": []}, "tool_choice.mode"),
        ({"type": "allowed_tools", "mode": "auto"}, "tool_choice.tools"),
        ({"type": "allowed_tools", "mode": "auto", "tools": []}, "tool_choice.tools"),
        ({"type": "allowed_tools", "mode": "auto", "tools": ["x"]}, "tool_choice.tools[0]"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": {}, "name": []}]}, "tool_choice.tools[0].type"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [OTHER]}, "tool_choice.tools[0].name"),
        ({"type": "allowed_tools", "mode": "required", "tools": [OTHER]}, "tool_choice.tools[0].name"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}, "tool_choice.tools[0].type"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION] * 100_000}, "tool_choice.tools"),
        ({"type": "web_search", "name": 5}, "tool_choice.name"),
        ({"type": "mcp", "server_label": []}, "tool_choice.server_label"),
    ],
)
def test_wrong_choice_is_refused(choice: Any, param: str) -> None:
    assert refused([FUNCTION], choice).param == param


def test_members_of_a_choice_are_kept() -> None:
    choice = {"type": "function", "name": "read", "namespace": "docs"}
    assert parse_choice(choice, [NAMESPACE], []) == choice


def test_tools_of_the_input_may_be_allowed_unseen() -> None:
    choice: Fields = {"type": "allowed_tools", "mode": "auto", "tools": [OTHER]}
    assert parse_choice(choice, [FUNCTION], [{"type": "additional_tools", "tools": []}]) == choice


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "look"}])
def test_choice_without_tools_is_refused_unless_the_input_brings_some(choice: Any) -> None:
    assert refused([], choice).param == "tool_choice"
    assert parse_choice(choice, [], [{"type": "additional_tools", "tools": []}]) == choice


@pytest.mark.parametrize("choice", ["none", "auto"])
def test_harmless_choice_needs_no_tools(choice: str) -> None:
    assert parse_choice(choice, [], []) == choice
