from __future__ import annotations

from typing import Any

import pytest

from lib.canonical.request import CanonicalRequest
from lib.errors import InvalidRequest
from lib.prompted.tools import callable_tools
from tests.prompted.speaking import asked, function

TOOLS = [function("a", strict=True), function("b"), {"type": "custom", "name": "c", "description": "Free."}]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (None, ["a", "b", "c"]),
        ("auto", ["a", "b", "c"]),
        ("required", ["a", "b", "c"]),
        ("none", []),
        ({"type": "function", "name": "b"}, ["b"]),
        ({"type": "custom", "name": "c"}, ["c"]),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a"}]}, ["a"]),
    ],
)
def test_the_choice_says_which_tools_there_are(choice: Any, names: list[str]) -> None:
    assert list(callable_tools(asked(tools=TOOLS, tool_choice=choice))) == names


def test_tools_are_read_as_they_are_given() -> None:
    tools = callable_tools(asked(tools=TOOLS))
    assert (tools["a"].strict, tools["b"].strict) == (True, False)
    assert (tools["c"].custom, tools["c"].description) == (True, "Free.")
    assert callable_tools(asked(tools=[{"type": "function", "name": "x"}]))["x"].schema == {}


def test_a_hosted_tool_is_refused_by_the_field_that_brought_it() -> None:
    for names, param in (("function_image_gen", "function_image_gen"), ("tools", "tools[0].type")):
        request = CanonicalRequest(model=None, input=[], tools=[{"type": "image_generation"}], asked={"tools": names})
        with pytest.raises(InvalidRequest, match="which has no tools of its own") as caught:
            callable_tools(request)
        assert (caught.value.param, caught.value.code) == (param, "unsupported_value")
