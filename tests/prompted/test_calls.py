from __future__ import annotations

import pytest

from lib.prompted.calls import read_list, read_object, read_values
from lib.prompted.pieces import Call
from tests.prompted.replies import TOOLS


def test_other_members_do_no_harm_in_our_own_block_alone() -> None:
    text = '{"id": 1, "name": "f", "arguments": {"x": "q"}}'
    assert read_object(text, TOOLS, own=True) == Call("f", '{"x": "q"}')
    assert read_object(text, TOOLS, own=False) is None


def test_arguments_must_validate_in_any_other_block() -> None:
    text = '{"name": "f", "arguments": {}}'
    assert read_object(text, TOOLS, own=True) == Call("f", "{}")
    assert read_object(text, TOOLS, own=False) is None


@pytest.mark.parametrize(
    "entry",
    [
        '{"name": "bare", "arguments": {}}',
        '{"index": 0, "id": "c", "type": "function", "function": {"name": "bare", "arguments": "{}"}}',
    ],
)
def test_a_list_is_flat_or_nested(entry: str) -> None:
    assert read_list(f'{{"tool_calls": [{entry}, {entry}]}}', TOOLS) == [Call("bare", "{}")] * 2


@pytest.mark.parametrize("entry", ["{}", '{"name": "unknown"}', '{"function": {}}', "5", '{"nome": "bare"}'])
def test_a_list_with_anything_else_is_none(entry: str) -> None:
    assert read_list(f'{{"tool_calls": [{{"name": "bare"}}, {entry}]}}', TOOLS) is None


def test_values_of_an_unknown_tool_are_none() -> None:
    assert read_values("unknown", [], TOOLS, trimmed=True) is None
    assert read_values("bare", [], TOOLS, trimmed=True) == Call("bare", "{}")
