"""Messages requests → the canonical form."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lib.dialects.fields import Treatment
from lib.dialects.messages_request import FIELDS
from lib.errors import InvalidRequest
from lib.upstreams.codex_request import ACCEPTS
from tests.dialects.messages_streams import request

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
USER = [{"role": "user", "content": "Hi"}]


def refusal(**body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        request(**body)
    return caught.value


def ignored(**body: Any) -> set[str]:
    """What the Codex upstream would have named as ignored."""
    return {name for field, name in request(**body).asked.items() if field not in ACCEPTS}


def test_a_small_request_has_its_canonical_form() -> None:
    found = request(system="Be brief.", stream=True)
    assert found.model == "claude-asked"
    assert found.instructions == "Be brief."
    assert found.input == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello there"}]}
    ]
    assert found.stream is True
    assert found.parameters == {"max_output_tokens": 100}
    assert found.reasoning is None and found.tools == [] and found.include == []


@pytest.mark.parametrize("name", ["messages", "max_tokens"])
def test_what_the_api_requires_is_required(name: str) -> None:
    wrong: list[Any] = [None, {}]
    for value in wrong:
        error = refusal(**{name: value})
        assert error.param == name and name in error.message


@pytest.mark.parametrize(
    "body",
    [
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"max_tokens": True},
        {"temperature": 1.1},
        {"top_k": -1},
        {"stop_sequences": [""]},
        {"stop_sequences": ["a"] * 33},
        {"stop_sequences": "a"},
        {"system": {"type": "text"}},
        {"system": [{"type": "image"}]},
        {"thinking": {"type": "on"}},
        {"thinking": {}},
        {"thinking": {"type": "enabled"}},
        {"output_config": {"effort": "huge"}},
        {"output_config": {"format": {"type": "text"}}},
        {"output_config": {"format": {"type": "json_schema"}}},
        {"output_format": {}},
        {"mcp_servers": [{"url": "https://a.example/"}]},
        {"metadata": {"user_id": 7}},
        {"metadata": {"user_id": "a\nb"}},
        {"stream": "yes"},
        {"a\nb": 1},
    ],
    ids=str,
)
def test_wrong_parameters_are_refused(body: dict[str, Any]) -> None:
    assert refusal(**body).status == 400


@pytest.mark.parametrize("row", FIELDS.values(), ids=lambda row: row.name)
def test_null_is_as_good_as_absent(row: Any) -> None:
    if not row.required:
        assert request(**{row.name: None}).asked == request().asked


def test_what_an_upstream_cannot_take_is_named_by_the_callers_name() -> None:
    body = {
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 3,
        "container": "c1",
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "some_beta": {"x": 1},
    }
    assert ignored(**body) == {"max_tokens", *body}
    passed = request(**body).parameters
    assert (passed["temperature"], passed["top_p"], passed["top_k"]) == (0.5, 0.5, 3)


def test_what_the_gateway_serves_by_itself_is_not_named() -> None:
    body = {
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
        "cache_control": {"type": "ephemeral"},
        "service_tier": "standard_only",
        "speed": "standard",
        "temperature": 1,
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "tools": [{"name": "t", "input_schema": SCHEMA}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    }
    assert ignored(**body) == {"max_tokens"}


def test_every_passed_field_has_a_name_that_no_other_parameter_has() -> None:
    passed = [row.canonical for row in FIELDS.values() if row.treatment is Treatment.PASSED]
    assert len(set(passed)) == len(passed)
    assert set(passed) - {"max_output_tokens", "temperature", "top_p", "top_k"} == {
        name for name in passed if str(name).startswith("anthropic.")
    }


def test_system_blocks_are_joined_and_the_attribution_of_claude_code_is_no_prompt() -> None:
    attribution = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197.1; cch=0aaa9;"}
    blocks = [{"type": "text", "text": "One."}, {"type": "text", "text": ""}, {"type": "text", "text": "Two."}]
    assert request(system=[attribution, *blocks]).instructions == "One.\n\nTwo."
    assert request(system=attribution["text"] + "\nOne.").instructions == "One."
    assert request(system=[blocks[0], attribution]).instructions == f"One.\n\n{attribution['text']}"
    assert request(system=[attribution]).instructions is None
    changed = {**attribution, "text": attribution["text"].replace("0aaa9", "ead88")}
    assert request(system=[attribution, *blocks]).affinity == request(system=[changed, *blocks]).affinity


def test_fast_is_the_priority_tier() -> None:
    assert request(speed="fast").service_tier == "priority"
    assert request(speed="standard", service_tier="auto").service_tier is None


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_structured_output_is_a_text_format(name: str) -> None:
    shape = {"type": "json_schema", "schema": SCHEMA}
    found = request(**{name: {"format": shape} if name == "output_config" else shape})
    assert found.text == {"format": {"type": "json_schema", "name": "response", "schema": SCHEMA}}
    assert "text" in found.asked


def test_an_effort_without_thinking_is_asked_for() -> None:
    found = request(output_config={"effort": "low", "task_budget": {}})
    assert found.reasoning == {"effort": "low"}
    assert found.asked["reasoning"] == "output_config.effort"
    assert found.asked["output_config.task_budget"] == "output_config.task_budget"


def test_threads_are_not_kept() -> None:
    assert request(thread=None).asked == request().asked
    assert refusal(thread={"type": "create"}).code == "thread_unsupported_request"


def test_a_conversation_keeps_its_affinity_as_it_grows() -> None:
    first = request(system="s", messages=USER)
    later = request(system="s", messages=[*USER, {"role": "assistant", "content": "Yes?"}, *USER])
    assert first.affinity == later.affinity != request(system="other", messages=USER).affinity
    named = [request(system=each, metadata={"user_id": "session-1"}).affinity for each in ("a", "b")]
    assert named == ["session-1", "session-1"]


def test_the_body_is_kept_for_the_renderer() -> None:
    assert request(stop_sequences=["x"]).body["stop_sequences"] == ["x"]
    assert "Hello there" not in repr(request())


def test_a_real_request_of_claude_code_parses() -> None:
    """The shape of version 2.1.197 in print mode, its texts shortened."""
    body = {
        "model": "claude-opus-4-8",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>Today is Saturday.</system-reminder>"},
                    {"type": "text", "text": "say hi", "cache_control": {"type": "ephemeral"}},
                ],
            },
            {"role": "system", "content": "Available agent types for the Agent tool:"},
        ],
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197.123; cc_entrypoint=sdk-cli;"},
            {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
        ],
        "tools": [{"name": "Bash", "description": "Runs a command.", "input_schema": SCHEMA}],
        "metadata": {"user_id": '{"device_id":"d","account_uuid":"","session_id":"6721790a"}'},
        "max_tokens": 64000,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "stream": True,
    }
    found = request(**msgspec.json.decode(msgspec.json.encode(body)))
    assert [item.get("role") for item in found.input] == ["user", "system"]
    assert found.reasoning == {"effort": "high", "summary": "auto"}
    assert ignored(**body) == {"max_tokens"}
