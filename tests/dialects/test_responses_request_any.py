"""Whatever JSON comes in, the answer is a request or a refusal."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lib.dialects.responses_request import FIELDS, parse
from lib.errors import InvalidRequest

Fields = dict[str, Any]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
WORDS = st.sampled_from(
    [
        *[
            "message",
            "function_call",
            "function_call_output",
            "custom_tool_call",
            "custom_tool_call_output",
            "reasoning",
        ],
        *[
            "item_reference",
            "local_shell_call",
            "tool_search_output",
            "input_text",
            "input_image",
            "input_file",
            "text",
        ],
        *["input_audio", "output_text", "refusal", "image_url", "file", "user", "assistant", "auto", "required"],
        *["function", "custom", "namespace", "allowed_tools", "web_search", "json_schema", "https://example.org", "c1"],
    ]
)
MEMBERS = st.sampled_from(
    [
        *[
            "type",
            "role",
            "content",
            "text",
            "image_url",
            "url",
            "file",
            "file_url",
            "file_data",
            "input_audio",
            "output",
        ],
        *["call_id", "name", "arguments", "input", "id", "function", "tools", "mode", "parameters", "strict", "detail"],
        *["effort", "format", "schema", "verbosity", "summary", "generate_summary", "include_obfuscation"],
    ]
)
LIKELY = st.recursive(
    WORDS | JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from([*FIELDS, "other", "a\nb"]), LIKELY, max_size=5), LIKELY)
def test_any_json_is_parsed_or_refused(body: Fields, value: Any) -> None:
    for whole in ({"input": value, **body}, {"input": [value], "tools": [value], **body}):
        try:
            request = parse(whole)
        except InvalidRequest as error:
            assert error.message
        else:
            assert all(type(item["type"]) is str for item in request.input)
            assert all(type(item["content"]) is list for item in request.input if item["type"] == "message")
