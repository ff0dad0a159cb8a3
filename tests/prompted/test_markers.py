from __future__ import annotations

import pytest

from lib.prompted.markers import PARTIAL, Markers
from lib.prompted.trigger import opening

KEY = "k7m2p9xq4a3b"
WHOLE = {
    opening(KEY): "native",
    "<tool_call>": "tool_call",
    "<function=": "function",
    "<invoke name=": "invoke",
    "<function_calls>": "group",
    "<think>": "think",
    "<thinking>": "think",
    "</think>": "thought",
    '{"tool_calls"': "tool_calls",
    '{\n  "tool_calls"': "tool_calls",
    '```json\n{"name"': "fenced",
    '``` \r\n { "arguments"': "fenced",
}


@pytest.mark.parametrize("text", WHOLE)
def test_a_marker_is_found_whole_and_every_beginning_of_it_is_partial(text: str) -> None:
    markers = Markers(KEY)
    found = markers.find(f"a{text} b", 1)
    assert found is not None and found.kind == WHOLE[text]
    for end in range(1, len(text)):
        assert markers.find(text[:end], 0) is PARTIAL, text[:end]


@pytest.mark.parametrize("text", [*WHOLE, "<tool_call:", "```json", "{"])
def test_what_cannot_become_a_marker_is_none(text: str) -> None:
    changed = text[:-1] + "!" if text in WHOLE else text + "!"
    assert Markers(KEY).find(changed, 0) is None


def test_blank_space_in_a_marker_is_bounded() -> None:
    assert Markers(KEY).find("{" + " " * 40, 0) is None
