from __future__ import annotations

import pytest

from lib.canonical.hosted import field_of, unavailable
from lib.canonical.request import CanonicalRequest


def asked(*names: str) -> CanonicalRequest:
    return CanonicalRequest(model=None, input=[], asked={"tools": ", ".join(names)} if names else {})


@pytest.mark.parametrize(
    ("kind", "names", "field"),
    [
        ("code_interpreter", ["function_code_interpreter"], "function_code_interpreter"),
        ("image_generation", ["tools", "function_image_gen"], "function_image_gen"),
        ("web_search_preview", ["function_web_search", "tools"], "function_web_search"),
        ("web_search", ["web_search_options"], "web_search_options"),
        ("web_search", ["tools", "function_image_gen"], None),
        ("function", ["function_web_search"], None),
        ("web_search", [], None),
    ],
)
def test_the_field_that_brought_a_tool_is_found(kind: str, names: list[str], field: str | None) -> None:
    assert field_of(asked(*names), kind) == field


def test_a_tool_that_is_not_there_is_refused_by_the_callers_name_for_it() -> None:
    error = unavailable(asked("function_code_interpreter"), "code_interpreter", "tools[0].type", "the upstream 'codex'")
    assert (error.status, error.code, error.param) == (400, "unsupported_value", "function_code_interpreter")
    assert "'function_code_interpreter'" in error.message and "the upstream 'codex'" in error.message
    error = unavailable(asked("tools"), "mcp", "tools[3].type")
    assert (error.code, error.param) == ("unsupported_value", "tools[3].type")
    assert "'mcp'" in error.message
