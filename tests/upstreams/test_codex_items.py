"""Input items as the backend takes them; more in test_codex_request.py, through the whole body."""

from __future__ import annotations

from typing import Any

import pytest

from lib.upstreams.codex_items import mentions_json, shape_input
from lib.upstreams.tool_names import Names


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"type": "message", "content": [{"type": "input_text", "text": "As JSON, please"}]}, True),
        ({"type": "function_call_output", "output": "no json here"}, True),
        ({"type": "function_call_output", "output": [{"type": "input_text", "text": "{}"}]}, False),
        ({"type": "message", "content": [{"type": "input_image", "image_url": "json"}]}, False),
        ({"type": "foo", "content": 5}, False),
        ({"type": "foo", "output": True}, False),
    ],
)
def test_only_text_mentions_json(item: dict[str, Any], expected: bool) -> None:
    assert mentions_json([item]) is expected


def test_the_callers_items_are_not_changed() -> None:
    part: dict[str, Any] = {
        "type": "input_image",
        "image_url": "https://example.org/a.png",
        "detail": None,
        "cache_control": {},
    }
    item = {"type": "message", "role": "system", "id": "m", "content": [part]}
    _, shaped = shape_input([item], Names([]), keep_system=True)
    assert shaped == [
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_image", "image_url": "https://example.org/a.png"}],
        }
    ]
    assert item["role"] == "system" and "cache_control" in part


def test_a_message_without_content_is_left_out() -> None:
    empty = {"type": "message", "role": "assistant", "content": []}
    user = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    assert shape_input([empty, user], Names([]), keep_system=False) == ("", [user])
