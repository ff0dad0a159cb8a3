from typing import Any

import pytest

from lib.dialects.tool_rules import MAX_TOOLS, check_count, offered_by, pick, pick_allowed, tool_name
from lib.errors import InvalidRequest

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "look"},
    {"type": "web_search", "name": "ignored"},
    {"type": "namespace", "name": "docs", "tools": [{"type": "function", "name": "read"}, "junk", {"type": 5}]},
    {"type": "custom", "name": []},
]
OFFERED = offered_by(TOOLS)


def test_what_is_on_offer_goes_by_type_and_name() -> None:
    assert {("function", "look"), ("web_search", ""), ("namespace", ""), ("function", "read")} < OFFERED


def test_pick_is_flat_and_keeps_its_members() -> None:
    assert pick({"type": "function", "function": {"name": "look"}}, OFFERED, "p") == TOOLS[0]
    assert pick({"type": "function", "name": "read", "namespace": "docs"}, OFFERED, "p")["namespace"] == "docs"
    assert pick({"type": "function", "name": "anything"}, None, "p")["name"] == "anything"


def test_names_and_counts_are_bounded() -> None:
    assert tool_name({"name": "a" * 128}, "p") == "a" * 128
    for name in ("", "a\n", "a" * 129, "é"):
        with pytest.raises(InvalidRequest):
            tool_name({"name": name}, "p")
    check_count([1] * MAX_TOOLS, "p")
    with pytest.raises(InvalidRequest):
        check_count([1] * (MAX_TOOLS + 1), "p")


def test_each_allowed_tool_is_on_offer() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "look"}}]}
    assert pick_allowed(allowed, OFFERED, "p") == {"type": "allowed_tools", "mode": "required", "tools": [TOOLS[0]]}
    with pytest.raises(InvalidRequest) as caught:
        pick_allowed({"mode": "auto", "tools": [TOOLS[0], {"type": "function", "name": "x"}]}, OFFERED, "p")
    assert caught.value.param == "p.tools[1].name"
