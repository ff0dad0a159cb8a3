"""Whatever a model writes: the properties that hold for every text and every cut."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.prompted import arguments
from lib.prompted.encode import encode_call
from lib.prompted.pieces import Call
from lib.prompted.tools import CallableTool
from lib.prompted.trigger import closing, opening
from tests.prompted.replies import BLOCK, KEY, joined, parsed

FRAGMENTS = (
    *(opening(KEY), closing(KEY), BLOCK, '{"name": "f", "arguments": {"x": "', '"}}', "{", "}", '"', "\\", "'", "`"),
    *("<tool_call>", "</tool_call>", "<function=f>", "<parameter=x>", "</parameter>", "</function>", "<", ">", "&lt;"),
    *('<invoke name="f">', '<parameter name="x">', "</invoke>", "<function_calls>", "</function_calls>", "\n", "\n\n"),
    *('{"tool_calls": [', "]}", "```", "```json\n", "~~~", "<think>", "</think>", "<![CDATA[", "]]>", "> ", " ", "a"),
    '{"name": "f", "arguments": {"x": "q"}}',
)
REPLIES = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=24).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
MARKED = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), max_size=6).map("".join)


@settings(max_examples=300, deadline=None)
@given(REPLIES, st.lists(st.integers(0, 200), max_size=6))
def test_no_cut_changes_the_result_and_nothing_is_lost(text: str, places: list[int]) -> None:
    whole = parsed([text])
    assert joined(whole) == text
    assert parsed(text) == whole
    ends = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    assert parsed(text[start:end] for start, end in zip(ends, ends[1:], strict=False)) == whole


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), st.dictionaries(MARKED, VALUES | MARKED, max_size=4)), max_size=3))
def test_what_is_encoded_is_parsed_back(said: list[tuple[str, dict[str, Any]]]) -> None:
    calls = [Call(name, msgspec.json.encode(values).decode()) for name, values in said]
    tools = {name: CallableTool(name) for name, _ in said}
    text = "Here you are.\n\n" + "\n".join(encode_call(call, KEY) for call in calls)
    found = [piece.call for piece in parsed([text], tools) if piece.call is not None]
    assert found == calls
    for call, (_, values) in zip(found, said, strict=True):
        assert msgspec.json.decode(call.arguments) == values


@settings(max_examples=150, deadline=None)
@given(MARKED)
def test_any_text_reaches_a_custom_tool(text: str) -> None:
    tools = {"free": CallableTool("free", custom=True)}
    call = Call("free", text, custom=True)
    assert [piece.call for piece in parsed([encode_call(call, KEY)], tools)] == [call]


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_arguments_are_written_as_they_were_read(value: Any) -> None:
    text = msgspec.json.encode(value).decode()
    assert msgspec.json.decode(arguments.encode(arguments.decode(text))) == value
