"""Tool calls out of pieces, as servers really cut them."""

from __future__ import annotations

from typing import Any

import pytest

from lib.upstreams.openai_chat_tools import arguments_of
from lib.upstreams.tool_names import Names
from tests.fakes.openai_chat import call_chunks, call_piece, chunk
from tests.upstreams.openai_asking import TOOL
from tests.upstreams.openai_chunks import read, response

CUSTOM = {"type": "custom", "name": "patch"}


def piece(index: int | None = None, id: str | None = None, name: str | None = None, arguments: Any = None) -> Any:
    members = {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in members.items() if value is not None}


def calls(*pieces: Any, finish: str = "tool_calls", **fields: Any) -> list[tuple[str, str, str]]:
    """(name, arguments or input, call id) of each call in the answer."""
    events = read(*(call_piece(each) for each in pieces), chunk({}, finish), **fields)
    output = response(events)["output"]
    return [(item["name"], item.get("arguments", item.get("input")), item["call_id"]) for item in output]


@pytest.mark.parametrize(
    "pieces",
    [
        [
            piece(0, "a", "f", ""),
            piece(1, "b", "g", ""),
            piece(0, None, None, '{"x"'),
            piece(1, None, None, "{}"),
            piece(0, None, None, ":1}"),
        ],
        [piece(0, "a", "f", '{"x":1}'), piece(1, "b", "g", "{}")],
        [piece(None, "a", "f", '{"x":1}'), piece(None, "b", "g", "{}")],
        [piece(0, "a", "f", '{"x":1}'), piece(0, "b", "g", "{}")],
        [piece(0, "a", "f", '{"x"'), piece(0, "a", "f", ":1}"), piece(1, "b", "g", "{}")],
        [piece(0, "a", "f", {"x": 1}), piece(1, "b", "g", {})],
        [piece(0, "a", None, '{"x":1}'), piece(0, None, "f", None), piece(1, "b", "g", None)],
        [piece(None, "a", "f", '{"x"'), piece(None, "a", None, ":1}"), piece(None, "b", "g", "")],
        [piece(None, "a", "f", '{"x"'), piece(None, None, None, ":1}"), piece(None, "b", "g", "")],
        [piece(0, "a", "f", '{"x"'), piece(0, "new", "f", ":1}"), piece(1, "b", "g", "{}")],
        [piece(5, "a", "f", '{"x":1}'), piece(9, "b", "g", "{}")],
    ],
)
@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
def test_the_calls_are_the_same_however_they_are_cut(pieces: list[Any], finish: str) -> None:
    assert calls(*pieces, finish=finish) == [("f", '{"x":1}', "a"), ("g", "{}", "b")]


def test_calls_without_any_id_get_one() -> None:
    pieces = [piece(None, None, "f", '{"x":1}'), piece(None, None, "g", '{"y":'), piece(None, None, None, "2}")]
    assert calls(*pieces) == [("f", '{"x":1}', "call_made0"), ("g", '{"y":2}', "call_made1")]


def test_several_calls_in_one_chunk_are_told_apart() -> None:
    events = read(call_piece(piece(0, "a", "f", "{}"), piece(1, "b", "g", "{}")), chunk({}, "tool_calls"))
    assert [item["call_id"] for item in response(events)["output"]] == ["a", "b"]


def test_a_custom_call_gets_its_text_back() -> None:
    text = "*** begin\n”quoted”\n"
    chunks = call_chunks(("patch", arguments_of(text)), ("look_up", "{}"))
    events = read(*chunks, chunk({}, "tool_calls"), tools=[CUSTOM, TOOL])
    kinds = [(item["type"], item.get("input", item.get("arguments"))) for item in response(events)["output"]]
    assert kinds == [("custom_tool_call", text), ("function_call", "{}")]


def test_odd_names_are_restored() -> None:
    tool = {**TOOL, "name": "mcp.server/tool"}
    short = Names([tool["name"]]).short(tool["name"])
    assert calls(piece(0, "a", short, "{}"), tools=[tool]) == [("mcp.server/tool", "{}", "a")]


def test_a_call_of_the_legacy_kind_is_read() -> None:
    said = [chunk({"function_call": {"name": "f", "arguments": ""}}), chunk({"function_call": {"arguments": "{}"}})]
    events = read(*said, chunk({}, "function_call"))
    [item] = response(events)["output"]
    assert (item["name"], item["arguments"], item["call_id"]) == ("f", "{}", "call_made0")


def test_a_call_that_never_got_a_name_is_no_call() -> None:
    assert calls(piece(0, "a", None, "{}")) == []


def test_text_may_stand_on_both_sides_of_a_call() -> None:
    said = [chunk({"content": "a"}), call_piece(piece(0, "c", "f", "{}")), chunk({"content": "b"}), chunk({}, "stop")]
    assert [item["type"] for item in response(read(*said))["output"]] == ["message", "function_call", "message"]
