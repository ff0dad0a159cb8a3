from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lib.errors import InvalidRequest
from tests.upstreams.demo_requests import WEATHER, called, events, request, response, text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_a_demanded_tool_is_called_with_fitting_arguments(choice: Any) -> None:
    [call] = response(request(tools=[WEATHER], tool_choice=choice))["output"]
    assert (call["name"], msgspec.json.decode(call["arguments"])) == ("get_weather", {"city": "demo"})


def test_named_tools_are_called_and_others_not() -> None:
    tools = [WEATHER, {**WEATHER, "name": "get_time"}]
    both = request("get_weather and get_time", tools=tools)
    assert [item["name"] for item in response(both)["output"]] == ["get_weather", "get_time"]
    assert len(response(request("get_weather and get_time", tools=tools, parallel_tool_calls=False))["output"]) == 1
    assert "You said" in text(request("get_weather2", tools=tools))
    assert "You said" in text(request("get_weather", tools=tools, tool_choice="none"))


def test_a_tool_is_called_when_its_subject_comes_up() -> None:
    tools = ["get_time", "get_weather", "weatherForecast", "read-file", "HTTPStatus"]
    assert called("What's the weather like in San Francisco?", tools) == ["get_weather"]
    assert called("WEATHER please", tools) == ["get_weather"]
    assert called("any forecast?", tools) == ["weatherForecast"]
    assert called("Open this file.", tools) == ["read-file"]
    assert called("a status", tools) == ["HTTPStatus"]
    assert called("Use weatherForecast, not the time!", tools) == ["weatherForecast"]
    assert called("用get_weather查询。", tools) == ["get_weather"]


@pytest.mark.parametrize("content", ["Search and find it", "Create an API", "my_weather2 is nice", "whether", ""])
def test_no_tool_is_called_for_a_common_word_or_half_a_word(content: str) -> None:
    assert called(content, ["search_api", "find_weather", "create_it"]) == []


def test_dotted_names_are_recognised_at_the_end_of_a_sentence() -> None:
    assert called("Please call mcp.docs/fetch.", ["mcp.docs/fetch", "docs"]) == ["mcp.docs/fetch"]
    assert called("See docs.", ["mcp.docs/fetch", "docs"]) == ["docs"]


def test_few_of_many_named_tools_are_called() -> None:
    names = [f"t{number}" for number in range(100)]
    assert called(" ".join(names), names) == names[:16]


def test_allowed_tools_narrow_the_choice() -> None:
    tools = [WEATHER, {**WEATHER, "name": "get_time"}]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_time"}]}
    assert response(request(tools=tools, tool_choice=allowed))["output"][0]["name"] == "get_time"


def test_a_custom_tool_gets_text() -> None:
    [call] = response(request("run shout", tools=[{"type": "custom", "name": "shout"}]))["output"]
    assert call["type"] == "custom_tool_call"
    assert call["input"].endswith("run shout")


@pytest.mark.parametrize("format", ["text", 5, None, {"type": "text"}])
def test_a_custom_tool_of_any_format_but_a_grammar_is_played(format: Any) -> None:
    assert called("Hi", [{"type": "custom", "name": "shout", "format": format}], tool_choice="required") == ["shout"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "f"}, {"type": "web_search"}])
def test_a_demand_without_such_a_tool_is_refused(choice: Any) -> None:
    with pytest.raises(InvalidRequest):
        events(request(tools=[], tool_choice=choice))


def test_a_demand_is_met_by_a_tool_that_can_be_played() -> None:
    assert called("Hi", [{"type": "web_search"}, {"type": "function"}, "f"], tool_choice="required") == ["f"]


@pytest.mark.parametrize(
    "tool",
    [{"type": "file_search"}, {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}}],
)
def test_a_demanded_tool_that_cannot_be_played_is_refused(tool: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        events(request(tools=[tool], tool_choice="required"))
    assert caught.value.param == "tool_choice"
    assert "You said" in text(request(tools=[tool]))
