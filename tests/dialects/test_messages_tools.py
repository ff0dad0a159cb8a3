from __future__ import annotations

from typing import Any

import pytest

from lib.dialects.messages_tools import SOURCES
from lib.errors import InvalidRequest
from tests.dialects.messages_streams import request

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
LOOK = {"name": "look", "description": "Looks.", "input_schema": SCHEMA}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def test_a_custom_tool_is_a_function() -> None:
    extras = {"cache_control": {"type": "ephemeral"}, "input_examples": [{}], "defer_loading": True}
    for kind in ({}, {"type": "custom"}, {"type": None}):
        assert request(tools=[{**LOOK, **kind, **extras}]).tools == [
            {"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA}
        ]


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"type": "object", "properties": None}])
def test_a_schema_of_nothing_is_an_object_without_properties(schema: dict[str, Any]) -> None:
    (tool,) = request(tools=[{"name": "t", "input_schema": schema}]).tools
    assert tool["parameters"] == {"type": "object", "properties": {}}


def test_strict_schemas_are_not_the_upstreams_and_that_is_said() -> None:
    found = request(tools=[{**LOOK, "strict": True}])
    assert "strict" not in found.tools[0] and found.asked["tools.strict"] == "tools.strict"
    assert "tools.strict" not in request(tools=[{**LOOK, "strict": False}]).asked


def test_web_search_is_the_upstreams_own() -> None:
    location = {"type": "approximate", "city": "Kiel", "country": "DE", "region": None}
    found = request(
        tools=[{**SEARCH, "allowed_domains": ["a.example"], "user_location": location, "max_uses": 3}, LOOK]
    )
    assert found.tools[0] == {
        "type": "web_search",
        "filters": {"allowed_domains": ["a.example"]},
        "user_location": {"type": "approximate", "city": "Kiel", "country": "DE"},
    }
    assert found.include == [SOURCES]
    assert found.asked["web_search.max_uses"] == "web_search.max_uses"
    blocked = request(tools=[{**SEARCH, "type": "web_search_20260318", "blocked_domains": ["b.example"]}])
    assert blocked.tools == [{"type": "web_search"}] and "web_search.blocked_domains" in blocked.asked


def test_a_tool_search_needs_no_tool() -> None:
    found = request(tools=[{"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}, LOOK])
    assert [tool["name"] for tool in found.tools] == ["look"]


@pytest.mark.parametrize(
    ("choice", "canonical"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "look"}, {"type": "function", "name": "look"}),
        ({"type": "tool", "name": "web_search"}, {"type": "web_search"}),
    ],
)
def test_each_choice_has_its_counterpart(choice: dict[str, Any], canonical: Any) -> None:
    found = request(tools=[LOOK, SEARCH], tool_choice=choice)
    assert found.tool_choice == canonical
    assert ("tool_choice" in found.asked) is (choice["type"] != "auto")
    assert found.parallel_tool_calls is None


def test_parallel_calls_can_be_turned_off() -> None:
    found = request(tools=[LOOK], tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert found.parallel_tool_calls is False
    assert found.asked["parallel_tool_calls"] == "tool_choice.disable_parallel_tool_use"
    assert request(tools=[LOOK], tool_choice={"type": "any", "disable_parallel_tool_use": False}).parallel_tool_calls


def test_without_tools_there_is_no_choice() -> None:
    for kind in ("auto", "none"):
        found = request(tool_choice={"type": kind, "disable_parallel_tool_use": True})
        assert (found.tool_choice, found.parallel_tool_calls) == (None, None) and "tool_choice" not in found.asked


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [7]},
        {"tools": [{}]},
        {"tools": [{"name": "t"}]},
        {"tools": [{"name": "t", "input_schema": []}]},
        {"tools": [{"name": "", "input_schema": SCHEMA}]},
        {"tools": [{"name": "a b", "input_schema": SCHEMA}]},
        {"tools": [{"name": "t" * 129, "input_schema": SCHEMA}]},
        {"tools": [LOOK, LOOK]},
        {"tools": [SEARCH, {**LOOK, "name": "web_search"}]},
        {"tools": [{**SEARCH, "allowed_domains": "a.example"}]},
        {"tools": [{"type": "bash_20250124", "name": "bash"}]},
        {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]},
        {"tools": [{"type": 7, "name": "x"}]},
        {"tools": [LOOK] * 1025},
        {"tools": [LOOK], "tool_choice": {}},
        {"tools": [LOOK], "tool_choice": {"type": "some"}},
        {"tools": [LOOK], "tool_choice": {"type": "tool"}},
        {"tools": [LOOK], "tool_choice": {"type": "tool", "name": "other"}},
        {"tools": [LOOK], "tool_choice": {"type": "auto", "disable_parallel_tool_use": "x"}},
        {"tool_choice": {"type": "any"}},
    ],
    ids=lambda body: str(body)[:70],
)
def test_what_can_never_work_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request(**body)
    assert str(caught.value.param).startswith("tool")
