"""Tools and the choice among them."""

from __future__ import annotations

from typing import Any

import pytest

from lib.canonical.hosted import FLAGS
from lib.dialects.chat_request import FIELDS
from lib.dialects.chat_tools import Tools, parse_tools
from lib.dialects.fields import Fields, read
from lib.dialects.tool_rules import MAX_TOOLS
from lib.errors import InvalidRequest

EMPTY = {"type": "object", "properties": {}}
LOOKUP = {"type": "function", "function": {"name": "lookup", "description": "d", "parameters": EMPTY}}
PATCH = {"type": "custom", "custom": {"name": "patch"}}
FLAT_LOOKUP = {"type": "function", "name": "lookup", "description": "d", "parameters": EMPTY}


def fields_of(**body: Any) -> Fields:
    return read(FIELDS, {"messages": []} | body)


def parsed(**body: Any) -> Tools:
    return parse_tools(fields_of(**body))


def refusal(**body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parsed(**body)
    return caught.value


def function(**members: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f"} | members}


def test_function_is_flattened_whichever_way_it_came() -> None:
    assert parsed(tools=[LOOKUP]).tools == [FLAT_LOOKUP]
    assert parsed(tools=[FLAT_LOOKUP]).tools == [FLAT_LOOKUP]


def test_strict_is_said_only_if_the_client_said_it() -> None:
    assert "strict" not in parsed(tools=[function(strict=None)]).tools[0]
    assert parsed(tools=[function(strict=True)]).tools[0]["strict"] is True
    assert parsed(tools=[function(strict=False)]).tools[0]["strict"] is False


def test_function_without_parameters_takes_none() -> None:
    assert parsed(tools=[function()]).tools == [{"type": "function", "name": "f", "parameters": EMPTY}]


def test_schema_is_kept_as_it_is() -> None:
    schema = {"$ref": "#", "x-order": [3, 1], "maximum": 10**30}
    assert parsed(tools=[function(parameters=schema)]).tools[0]["parameters"] is schema


def test_custom_tool_is_flattened_with_its_grammar() -> None:
    grammar = {"syntax": "lark", "definition": "start: X"}
    nested = {"type": "grammar", "grammar": grammar}
    for shape in (nested, {"type": "grammar"} | grammar):
        tool = {"type": "custom", "custom": {"name": "p", "description": "d", "format": shape}}
        assert parsed(tools=[tool]).tools == [
            {"type": "custom", "name": "p", "description": "d", "format": {"type": "grammar"} | grammar}
        ]
    text = {"type": "custom", "name": "p", "format": {"type": "text"}}
    assert parsed(tools=[text]).tools == [text]


def test_tool_of_another_type_passes_as_it_is() -> None:
    search = {"type": "web_search", "filters": {"allowed_domains": ["example.org"]}}
    assert parsed(tools=[search], tool_choice={"type": "web_search"}) == Tools([search], {"type": "web_search"}, None)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", "none"),
        ("auto", "auto"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "lookup"}}, {"type": "function", "name": "lookup"}),
        ({"type": "function", "name": "lookup"}, {"type": "function", "name": "lookup"}),
        ({"type": "custom", "custom": {"name": "patch"}}, {"type": "custom", "name": "patch"}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "lookup"}},
                        {"type": "custom", "name": "patch"},
                    ],
                },
            },
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "lookup"}, {"type": "custom", "name": "patch"}],
            },
        ),
    ],
)
def test_choice_takes_its_responses_form(choice: Any, expected: Any) -> None:
    assert parsed(tools=[LOOKUP, PATCH], tool_choice=choice).choice == expected


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("maybe", "tool_choice"),
        ({}, "tool_choice.type"),
        ({"type": 5}, "tool_choice.type"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "function", "function": "lookup"}, "tool_choice.function"),
        ({"type": "function", "function": {"name": "other"}}, "tool_choice.function.name"),
        ({"type": "custom", "custom": {"name": "lookup"}}, "tool_choice.custom.name"),
        ({"type": "web_search"}, "tool_choice.type"),
        ({"type": "allowed_tools"}, "tool_choice.allowed_tools.mode"),
        ({"type": "allowed_tools", "allowed_tools": []}, "tool_choice.allowed_tools"),
        (
            {"type": "allowed_tools", "mode": "none", "tools": [{"type": "custom", "name": "patch"}]},
            "tool_choice.allowed_tools.mode",
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "custom", "name": "x"}]},
            "tool_choice.allowed_tools.tools[0].name",
        ),
    ],
)
def test_choice_that_is_not_on_offer_is_refused(choice: Any, param: str) -> None:
    assert refusal(tools=[LOOKUP, PATCH], tool_choice=choice).param == param


def test_allowed_tools_are_bounded() -> None:
    allowed = {"mode": "auto", "tools": [LOOKUP] * 100_000}
    error = refusal(tools=[LOOKUP], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert (error.param, error.code) == ("tool_choice.allowed_tools.tools", "array_above_max_length")


def test_name_in_the_choice_of_a_hosted_tool_is_a_string() -> None:
    assert refusal(tools=[{"type": "mcp"}], tool_choice={"type": "mcp", "name": 5}).param == "tool_choice.name"


@pytest.mark.parametrize(
    ("body", "choice"),
    [
        ({"functions": [{"name": "f"}], "tool_choice": "none"}, "none"),
        ({"functions": [{"name": "f"}], "tool_choice": "none", "function_call": "none"}, "none"),
        ({"tools": [LOOKUP], "function_call": "none"}, "none"),
        ({"tools": [LOOKUP], "function_call": "none", "tool_choice": "none"}, "none"),
        ({"tools": [LOOKUP], "function_call": "auto", "tool_choice": "required"}, "required"),
        ({"functions": [{"name": "f"}], "tool_choice": "required"}, "required"),
    ],
)
def test_choice_is_honoured_however_it_is_said(body: dict[str, Any], choice: str) -> None:
    assert parsed(**body).choice == choice


def test_choices_that_contradict_each_other_are_refused() -> None:
    assert refusal(tools=[LOOKUP], function_call="none", tool_choice="required").param == "function_call"
    assert refusal(functions=[{"name": "f"}], function_call="auto", tool_choice="none").param == "tool_choice"


@pytest.mark.parametrize("choice", [None, "none", "auto"])
def test_without_tools_there_is_no_choice_and_no_parallelism(choice: str | None) -> None:
    fields = fields_of(tools=[], tool_choice=choice, parallel_tool_calls=False)
    assert parse_tools(fields) == Tools([])
    assert fields.asked == {}


def test_choice_without_tools_is_refused() -> None:
    assert refusal(tool_choice="required").message == "'tool_choice' is only allowed when 'tools' are specified."
    assert refusal(function_call={"name": "f"}).param == "function_call"


def test_legacy_functions_become_tools_that_are_called_one_at_a_time() -> None:
    found = parsed(functions=[LOOKUP["function"]], function_call={"name": "lookup"}, parallel_tool_calls=True)
    assert found == Tools([FLAT_LOOKUP], {"type": "function", "name": "lookup"}, False)
    assert parsed(functions=[{"name": "f"}], function_call="none").choice == "none"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"functions": [{"name": "f"}], "tools": [LOOKUP]}, "functions"),
        ({"functions": ["f"]}, "functions[0]"),
        ({"functions": [{"name": "f"}, {"name": "f"}]}, "functions[1].name"),
        ({"functions": [{"name": "f"}], "function_call": "required"}, "function_call"),
        ({"functions": [{"name": "f"}], "function_call": {}}, "function_call.name"),
        ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call.name"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [{"type": ""}]}, "tools[0].type"),
        ({"tools": [{"type": []}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": 5}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [function(name="")]}, "tools[0].function.name"),
        ({"tools": [function(name='a"b')]}, "tools[0].function.name"),
        ({"tools": [function(name="a\nb")]}, "tools[0].function.name"),
        ({"tools": [function(name="a" * 500)]}, "tools[0].function.name"),
        ({"tools": [function(parameters=[])]}, "tools[0].function.parameters"),
        ({"tools": [function(strict="yes")]}, "tools[0].function.strict"),
        ({"tools": [function(description=5)]}, "tools[0].function.description"),
        ({"tools": [function(), PATCH, {"type": "custom", "name": "f"}]}, "tools[2].name"),
        ({"tools": [{"type": "custom", "name": "p", "format": {}}]}, "tools[0].format.type"),
        ({"tools": [{"type": "custom", "name": "p", "format": {"type": "grammar"}}]}, "tools[0].format.syntax"),
        ({"tools": [function(name=f"f{i}") for i in range(2000)]}, "tools"),
        ({"web_search_options": {"search_context_size": "huge"}}, "web_search_options.search_context_size"),
        ({"web_search_options": {"user_location": "Oslo"}}, "web_search_options.user_location"),
    ],
)
def test_broken_tools_are_refused_by_their_place(body: dict[str, Any], param: str) -> None:
    error = refusal(**body)
    assert error.param == param
    assert len(error.message) < 250 and "\n" not in error.message


def test_as_many_tools_as_allowed_pass() -> None:
    assert len(parsed(tools=[function(name=f"mcp__server.tool-{i}") for i in range(MAX_TOOLS)]).tools) == MAX_TOOLS


def test_web_search_options_become_the_hosted_tool() -> None:
    near = {"city": "Oslo", "country": "NO", "region": None}
    options = {"search_context_size": "low", "user_location": {"type": "approximate", "approximate": near}}
    assert parsed(web_search_options=options).tools == [
        {
            "type": "web_search",
            "search_context_size": "low",
            "user_location": {"type": "approximate", "city": "Oslo", "country": "NO"},
        }
    ]
    fields = fields_of(web_search_options={"filters": {}})
    parse_tools(fields)
    assert "web_search_options.filters" in fields.asked
    assert parsed(web_search_options={}, tools=[LOOKUP]).tools == [FLAT_LOOKUP, {"type": "web_search"}]


@pytest.mark.parametrize(("flag", "tool"), FLAGS.items())
def test_flag_adds_its_tool_once(flag: str, tool: dict[str, Any]) -> None:
    assert parsed(**{flag: True}).tools == [tool]
    assert parsed(**{flag: False}).tools == parsed(**{flag: None}).tools == []
    assert parsed(tools=[LOOKUP], **{flag: True}).tools == [FLAT_LOOKUP, tool]
    there = {**tool, "own": 1}
    assert parsed(tools=[there], **{flag: True}).tools == [there]
    assert parsed(functions=[{"name": "f"}], **{flag: True}).tools[1] == tool
    assert parsed(tool_choice={"type": tool["type"]}, **{flag: True}).choice == {"type": tool["type"]}
    parsed(**{flag: True}).tools[0]["type"] = "changed"
    assert parsed(**{flag: True}).tools == [tool]


def test_all_ways_to_ask_for_a_search_are_one_tool() -> None:
    options = {"search_context_size": "low"}
    for tools in ([], [{"type": "web_search"}]):
        found = parsed(tools=tools, web_search_options=options, function_web_search=True).tools
        assert found == [{"type": "web_search", "search_context_size": "low"}]
    preview = {"type": "web_search_preview", "search_context_size": "high"}
    assert parsed(tools=[preview], web_search_options=options).tools == [preview]
