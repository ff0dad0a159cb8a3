"""The canonical request."""

from __future__ import annotations

from lib.canonical.request import CanonicalRequest, without_reasoning

MESSAGE = {"type": "message", "role": "user", "content": []}


def test_reasoning_is_left_out_and_all_else_kept() -> None:
    request = CanonicalRequest(model="m", input=[{"type": "reasoning", "encrypted_content": "gAAA"}, MESSAGE])
    assert without_reasoning(request).input == [MESSAGE]
    assert len(request.input) == 2


def test_a_request_without_reasoning_is_the_same_request() -> None:
    request = CanonicalRequest(model="m", input=[MESSAGE])
    assert without_reasoning(request) is request


def test_content_and_keys_stay_out_of_the_repr() -> None:
    shown = repr(
        CanonicalRequest(
            model="m",
            input=[{"type": "message", "role": "user", "content": "canary"}],
            instructions="canary",
            tools=[{"type": "function", "name": "canary"}],
            prompt_cache_key="canary",
            body={"user": "canary"},
            affinity="canary",
        )
    )
    assert "canary" not in shown
