"""Whatever JSON comes in, the answer is a request or a refusal."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lib.dialects.messages_count import count_tokens
from lib.dialects.messages_request import FIELDS, parse
from lib.errors import InvalidRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
WORDS = st.sampled_from(
    [
        *["user", "assistant", "system", "text", "image", "document", "tool_use", "tool_result", "thinking"],
        *["redacted_thinking", "server_tool_use", "web_search_tool_result", "search_result", "tool_reference"],
        *["base64", "url", "file", "content", "image/png", "application/pdf", "text/plain", "https://example.org/a"],
        *["reasoning.v1:gAAA", "reasoning.v1:", "c1", "custom", "web_search_20250305", "auto", "any", "tool", "none"],
        *["enabled", "adaptive", "disabled", "high", "json_schema", "object", "iVBORw0KGgo=", "compaction"],
    ]
)
MEMBERS = st.sampled_from(
    [
        *["type", "role", "content", "text", "source", "media_type", "data", "url", "id", "name", "input", "title"],
        *["tool_use_id", "is_error", "thinking", "signature", "cache_control", "citations", "enabled", "context"],
        *["input_schema", "properties", "strict", "allowed_domains", "user_location", "budget_tokens", "effort"],
        *["format", "schema", "user_id", "disable_parallel_tool_use", "tool_name"],
    ]
)
LIKELY = st.recursive(
    WORDS | JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=5),
    max_leaves=20,
)
ROLES = st.sampled_from(["user", "assistant", "system"])
MESSAGES = st.lists(st.fixed_dictionaries({"role": ROLES, "content": LIKELY}), max_size=3)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from([*FIELDS, "other", "a\nb"]), LIKELY, max_size=5), LIKELY, MESSAGES)
def test_any_json_is_parsed_or_refused(body: dict[str, Any], value: Any, messages: list[Any]) -> None:
    bodies: list[dict[str, Any]] = [body, {"messages": [value], "max_tokens": 1, **body}]
    bodies.append({**body, "messages": messages, "max_tokens": 1, "tools": [value]})
    bodies.append({"messages": messages, "max_tokens": 1})
    for each in bodies:
        try:
            request = parse(each)
        except InvalidRequest as error:
            assert error.message
        else:
            assert all(type(item["type"]) is str for item in request.input)
            assert all(type(item["content"]) is list for item in request.input if item["type"] == "message")
            assert count_tokens(each)["input_tokens"] > 0
