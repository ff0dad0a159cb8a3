from typing import Any

import pytest

from lib.dialects.responses_tools import MAX_TOOLS, parse_choice, parse_tools
from lib.errors import InvalidRequest

Fields = dict[str, Any]

FUNCTION: Fields = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": None}
CUSTOM: Fields = {"type": "custom", "name": "patch", "format": {"type": "text"}}
NAMESPACE: Fields = {"type": "namespace", "name": "docs", "tools": [{"type": "function", "name": "read"}, "junk"]}


def refused(tools: list[Any], choice: Any = "auto") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_choice(choice, parse_tools(tools), [])
    return caught.value


def test_tools_pass_untouched() -> None:
    tools = [FUNCTION, CUSTOM, NAMESPACE, {"type": "web_search"}, {"type": "mcp", "server_label": "x"}, {"type": "new"}]
    assert parse_tools(tools) == tools


def test_nested_function_is_flattened() -> None:
    assert parse_tools([{"type": "function", "function": {"name": "f", "strict": True}}]) == [
        {"type": "function", "name": "f", "strict": True}
    ]


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
        ({"type": "function", "name": "other"}, "tool_choice"),
        ({"type": "custom", "name": "look"}, "tool_choice"),
        ({"type": "allowed_tools", "tools": []}, "tool_choice.mode"),
        ({"type": "allowed_tools", "mode": "none", "tools": []}, "tool_choice.mode"),
        ({"type": "allowed_tools", "mode": "auto"}, "tool_choice.tools"),
        ({"type": "allowed_tools", "mode": "auto", "tools": ["x"]}, "tool_choice.tools[0]"),
    ],
)
def test_wrong_choice_is_refused(choice: Any, param: str) -> None:
    assert refused([FUNCTION], choice).param == param


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "look"}])
def test_choice_without_tools_is_refused_unless_the_input_brings_some(choice: Any) -> None:
    assert refused([], choice).param == "tool_choice"
    assert parse_choice(choice, [], [{"type": "additional_tools", "tools": []}]) == choice


@pytest.mark.parametrize("choice", ["none", "auto"])
def test_harmless_choice_needs_no_tools(choice: str) -> None:
    assert parse_choice(choice, [], []) == choice
