from __future__ import annotations

from typing import Any

import pytest

from lib.dialects.messages_thinking import Display, display_of, parse_reasoning, restore, signature_of
from lib.errors import InvalidRequest


def budget(tokens: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": tokens}


@pytest.mark.parametrize(
    ("thinking", "output", "reasoning"),
    [
        (None, {}, None),
        (budget(1024), {}, {"effort": "low", "summary": "auto"}),
        (budget(4096), {}, {"effort": "medium", "summary": "auto"}),
        (budget(16383), {}, {"effort": "medium", "summary": "auto"}),
        (budget(16384), {}, {"effort": "high", "summary": "auto"}),
        ({"type": "adaptive"}, {}, {"summary": "auto"}),
        ({"type": "between_tools"}, {}, {"summary": "auto"}),
        ({"type": "adaptive", "display": "omitted"}, {}, None),
        ({"type": "disabled"}, {}, {"effort": "low"}),
        (None, {"effort": "high"}, {"effort": "high"}),
        (None, {"effort": "max"}, {"effort": "xhigh"}),
        (budget(1024), {"effort": "xhigh"}, {"effort": "xhigh", "summary": "auto"}),
        ({"type": "disabled"}, {"effort": "medium"}, {"effort": "medium"}),
    ],
)
def test_the_table_of_efforts(thinking: Any, output: dict[str, Any], reasoning: Any) -> None:
    assert parse_reasoning(thinking, output) == reasoning


@pytest.mark.parametrize("thinking", [{}, {"type": "x"}, {"type": "enabled"}, budget(0), {"type": 7}])
def test_wrong_settings_are_refused(thinking: Any) -> None:
    with pytest.raises(InvalidRequest):
        parse_reasoning(thinking, {})


def test_thinking_is_shown_to_those_who_asked() -> None:
    assert display_of(None) is display_of({"type": "disabled"}) is Display.NOTHING
    assert display_of({"type": "adaptive", "display": "omitted"}) is Display.SIGNATURE
    assert display_of(budget(1024)) is Display.TEXT


def test_a_signature_brings_the_sealed_reasoning_back() -> None:
    block = {"type": "thinking", "thinking": "…", "signature": signature_of("gAAAx")}
    assert restore(block, "p") == {"type": "reasoning", "summary": [], "encrypted_content": "gAAAx"}
    assert restore({**block, "signature": signature_of(None)}, "p") is None
    assert restore({**block, "signature": "EqQB"}, "p") is None
    assert restore({**block, "signature": 7}, "p") is None
