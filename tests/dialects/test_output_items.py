"""Output items as renderers read them."""

from __future__ import annotations

from typing import Any

import pytest

from lib.dialects.output_items import OutputItem, read_item
from lib.errors import UpstreamError

SHOWN = frozenset({"message", "function_call"})


@pytest.mark.parametrize("fields", [None, 5, [], {}, {"type": None}, {"type": ["message"]}, {"type": "compaction"}])
def test_what_is_not_shown_is_passed_over(fields: Any) -> None:
    assert read_item(fields, SHOWN) is None


def test_a_member_of_the_wrong_type_is_the_upstreams_failure() -> None:
    with pytest.raises(UpstreamError):
        read_item({"type": "message", "content": "text"}, SHOWN)


def test_a_call_has_a_payload_unless_it_was_cut() -> None:
    assert OutputItem("function_call").payload == "{}"
    assert OutputItem("function_call", arguments='{"a":1}').payload == '{"a":1}'
    assert OutputItem("function_call", status="incomplete").payload == ""
    assert OutputItem("custom_tool_call", input="free text").payload == "free text"
    assert OutputItem("custom_tool_call").is_call and not OutputItem("message").is_call
