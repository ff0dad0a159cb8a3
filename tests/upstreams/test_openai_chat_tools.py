"""Tools of a chat body, and the way back from the calls."""

from __future__ import annotations

from typing import Any

import pytest

from lib.errors import InvalidRequest
from lib.upstreams.openai_chat_tools import arguments_of, free_text_of, shape_tools
from tests.upstreams.openai_asking import TOOL, request, user

CUSTOM = {
    "type": "custom",
    "name": "patch",
    "description": "Patches.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"},
}


def test_a_custom_tool_is_offered_as_a_function_of_one_text() -> None:
    tools = shape_tools(request(tools=[CUSTOM], tool_choice={"type": "custom", "name": "patch"}))
    function = tools.fields["tools"][0]["function"]
    assert function["parameters"]["required"] == ["input"]
    assert "Patches." in function["description"] and "start: X" in function["description"]
    assert tools.fields["tool_choice"] == {"type": "function", "function": {"name": "patch"}}
    assert tools.custom == {"patch"}


@pytest.mark.parametrize("text", ["", "plain", '{"input": "x"}', "line\nline", "”"])
def test_free_text_survives_the_way_there_and_back(text: str) -> None:
    assert free_text_of(arguments_of(text)) == text


@pytest.mark.parametrize(("arguments", "text"), [("*** patch", "*** patch"), ('"x"', "x"), ('{"a": 1}', '{"a": 1}')])
def test_a_model_that_ignores_the_schema_is_taken_at_its_word(arguments: str, text: str) -> None:
    assert free_text_of(arguments) == text


@pytest.mark.parametrize("kind", ["web_search", "image_generation", "code_interpreter", "mcp"])
def test_hosted_tools_are_refused_by_name(kind: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        shape_tools(request(tools=[TOOL, {"type": kind}]))
    assert caught.value.param == "tools[1].type" and kind in caught.value.message


def test_a_hosted_tool_that_a_flag_brought_is_refused_by_the_flag() -> None:
    asked = request(tools=[{"type": "web_search"}], asked={"tools": "function_web_search"})
    with pytest.raises(InvalidRequest, match="function_web_search") as caught:
        shape_tools(asked)
    assert caught.value.param == "function_web_search"


def test_a_hosted_tool_cannot_be_chosen() -> None:
    with pytest.raises(InvalidRequest) as caught:
        shape_tools(request(tools=[TOOL], tool_choice={"type": "web_search"}))
    assert caught.value.param == "tool_choice"


def test_allowed_tools_are_the_ones_that_are_offered() -> None:
    other = {**TOOL, "name": "other"}
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "other"}]}
    fields = shape_tools(request(tools=[TOOL, other], tool_choice=choice)).fields
    assert [tool["function"]["name"] for tool in fields["tools"]] == ["other"] and fields["tool_choice"] == "required"


def test_tools_that_come_with_the_input_are_offered_too() -> None:
    namespace = {"type": "namespace", "name": "functions", "tools": [CUSTOM]}
    carrier: dict[str, Any] = {"type": "additional_tools", "tools": [TOOL, namespace]}
    fields = shape_tools(request(carrier, user("Hi"))).fields
    assert [tool["function"]["name"] for tool in fields["tools"]] == ["look_up", "patch"]


def test_without_tools_nothing_is_said_about_them() -> None:
    assert shape_tools(request(parallel_tool_calls=False, tool_choice="none")).fields == {}


def test_odd_names_find_their_way_back() -> None:
    tools = shape_tools(request(tools=[{**TOOL, "name": "mcp.server/tool"}]))
    short = tools.fields["tools"][0]["function"]["name"]
    assert "/" not in short and tools.names.restore(short) == "mcp.server/tool"
