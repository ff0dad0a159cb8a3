from __future__ import annotations

import pytest

from lib.prompted.blocks import WAIT, Scanner
from lib.prompted.pieces import Call
from lib.prompted.tagged import FUNCTION, INVOKE, TaggedCall, ToolCall, Wrapped
from tests.prompted.replies import TOOLS
from tests.prompted.test_blocks import scan


def function() -> Scanner:
    return TaggedCall(FUNCTION, TOOLS)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("<function=bare></function>", 26),
        ("<function=bare> \n </function>", 29),
        ("<function=unknown>", -1),
        ("<function=not\n", -1),
        ("<function=bare>text", -15),
        ("<function=f><parameter=x>1</parameter>text</function>", WAIT),
        ("<function=f><parameter=x>1</parameter></function>", 49),
        ("<function=f><parameter=x>1</parameter></parameter></function>", 61),
        ("<function=f><parameter=x><![CDATA[</parameter></function>", WAIT),
        ("<function=" + "x" * 600, -1),
    ],
)
def test_a_call_in_tags_ends_where_nothing_else_can_follow(text: str, length: int) -> None:
    assert scan(function(), text) == function().scan(text, 0) == length


def test_values_belong_to_their_names() -> None:
    scanner = function()
    text = "<function=f><parameter=x>\n a \n</parameter><parameter=n>2</parameter></function>"
    assert scan(scanner, text) == len(text)
    assert scanner.read(text, TOOLS) == [Call("f", '{"x":" a ","n":2}')]


def test_a_group_holds_many_calls_and_a_tool_call_only_one() -> None:
    two = "<function=bare></function>\n<function=bare></function>"
    group = Wrapped(3, "</g>", function, many=True)
    assert scan(group, f"<g>{two}</g>", marker=3) == len(two) + 7
    assert len(group.read(f"<g>{two}</g>", TOOLS) or ()) == 2
    assert scan(ToolCall(11, TOOLS), f"<tool_call>{two}</tool_call>", marker=11) < 0
    assert scan(Wrapped(3, "</g>", function, many=True), "<g></g>", marker=3) < 0


def test_entities_are_those_of_xml() -> None:
    scanner = TaggedCall(INVOKE, TOOLS)
    text = '<invoke name="f"><parameter name="x">&lt;&quot;&apos;&gt;&#10;&amp;lt;</parameter></invoke>'
    assert scan(scanner, text) == len(text)
    assert scanner.read(text, TOOLS) == [Call("f", '{"x":"<\\"\'>\\n&lt;"}')]
