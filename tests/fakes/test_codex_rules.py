from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes import tokens
from tests.fakes.codex_backend import WHOAMI, CodexBackend
from tests.fakes.codex_requests import PNG, Fields, body, call, function, part, post, result, said, send
from tests.fakes.codex_streams import parse


@pytest.fixture
def backend() -> Iterator[CodexBackend]:
    with CodexBackend() as running:
        yield running


EDGE = [
    (body(temperature=1), "Unsupported parameter: temperature"),
    (body(unheard_of=1), "Unsupported parameter: unheard_of"),
    (body(stream_options={"include_usage": True}), "Unsupported parameter: stream_options"),
    (body(instructions=None), "Instructions are required"),
    (body(instructions=...), "Instructions are required"),
    (body(store=True), "Store must be set to false"),
    (body(stream=...), "Stream must be set to true"),
    (body(input="hi"), "Input must be a list"),
    (body(input=[{"type": "message", "role": "system", "content": []}]), "System messages are not allowed"),
    (body(service_tier="flex"), "Unsupported service_tier: flex"),
    (body(model="gpt-4o"), "The 'gpt-4o' model is not supported when using Codex with a ChatGPT account."),
    (body(model="gpt-5.3-codex-spark"), "The 'gpt-5.3-codex-spark' model is not supported"),
]


@pytest.mark.parametrize(("sent", "detail"), EDGE)
def test_the_edge_refuses(backend: CodexBackend, sent: Fields, detail: str) -> None:
    answer = post(backend, sent)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(detail)


API = [
    (body(input=[said("x") | {"name": "bo"}]), 400, "unknown_parameter", "input[0].name"),
    (body(input=[call("c" * 65)]), 400, "string_above_max_length", "input[0].call_id"),
    (body(input=[said("x") | {"id": "rs_1"}]), 400, "invalid_value", "input[0].id"),
    (body(input=[call()]), 400, None, "input"),
    (body(input=[result()]), 400, None, "input"),
    (body(input=[result(), call()]), 400, None, "input"),
    (body(input=[{"type": "item_reference", "id": "msg_1"}]), 404, None, "input"),
    (body(input=[{"type": "reasoning", "id": "rs_1", "summary": []}]), 404, None, "input"),
    (
        body(input=[{"type": "reasoning", "summary": [], "encrypted_content": tokens.sealed("acct-2")}]),
        *(400, "invalid_encrypted_content", None),
    ),
    (part(type="output_text", text="x"), 400, "invalid_value", "input[0].content[0]"),
    (part(type="input_image", image_url={"url": PNG}), 400, "invalid_type", "input[0].content[0].image_url"),
    (part(type="input_image", image_url="data:image/png;base64,AAAA"), 400, "invalid_value", None),
    (part(type="input_image", image_url="data:image/svg+xml;base64,AAAA"), 400, "invalid_value", None),
    (part(type="input_text", text="x", cache_control={}), 400, "unknown_parameter", None),
    (body(tools=[]), 400, "empty_array", "tools"),
    (body(tool_choice="auto"), 400, "invalid_value", "tool_choice"),
    (body(tools=[function(name="n" * 65)]), 400, "string_above_max_length", "tools[0].name"),
    (body(tools=[function(name="a.b")]), 400, "invalid_value", "tools[0].name"),
    (body(tools=[function(strict=None)]), 400, "missing_required_parameter", "tools[0].strict"),
    (body(tools=[function(strict=True)]), 400, "invalid_function_parameters", "tools[0].parameters"),
    (body(tools=[{"type": "web_search_preview"}]), 400, "invalid_value", "tools[0].type"),
    (body(tools=[function()], tool_choice={"type": "function", "name": "fly"}), 400, None, "tool_choice"),
    (body(reasoning={"effort": "minimal"}), 400, "unsupported_value", "reasoning.effort"),
    (body(include=["logprobs"]), 400, "invalid_value", "include[0]"),
    (body(text={"format": {"type": "json_object"}}), 400, None, "input"),
    (
        body(text={"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}}),
        *(400, "invalid_json_schema", "text.format.schema"),
    ),
    (body(parallel_tool_calls=True), 400, "invalid_value", "parallel_tool_calls"),
]


@pytest.mark.parametrize(("sent", "status", "code", "param"), API)
def test_the_api_layer_refuses(
    backend: CodexBackend, sent: Fields, status: int, code: str | None, param: str | None
) -> None:
    answer = post(backend, sent)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert param in (None, error["param"])
    assert backend.requests[0].refused == answer.json()


GOOD = [
    body(input=[call(), result(), said("and now?")], tools=[function()], parallel_tool_calls=False),
    body(input=[{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": tokens.sealed("acct-1", "a")}]),
    part(type="input_image", image_url=PNG, detail="low"),
    part(type="input_image", image_url="https://example.org/a.png"),
    part(type="input_file", filename="a.pdf", file_data="data:application/pdf;base64,QUFB"),
    body(input=[said("Reply in JSON.")], text={"format": {"type": "json_object"}, "verbosity": "low"}),
    body(include=["reasoning.encrypted_content"], prompt_cache_key="k", service_tier="priority"),
    body(model="gpt-5.6-sol", reasoning={"effort": "max", "summary": "auto"}),
]


@pytest.mark.parametrize("sent", GOOD)
def test_a_good_request_gets_a_whole_stream(backend: CodexBackend, sent: Fields) -> None:
    answer = post(backend, sent)
    assert answer.status_code == 200, answer.text
    events = parse(answer.content)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed"
    assert answer.headers["x-codex-plan-type"] == "plus"


AUTH: list[tuple[dict[str, str | None], Any]] = [
    ({"authorization": None}, "Unauthorized"),
    ({"authorization": "Bearer sk-local"}, "Unauthorized"),
    ({"chatgpt_account_id": "acct-2"}, "Unauthorized"),
    ({"authorization": f"Bearer {tokens.at_token()}", "chatgpt_account_id": None}, "Unauthorized"),
    ({"authorization": f"Bearer {tokens.jwt(expires_in_s=-1)}"}, "token_expired"),
]


@pytest.mark.parametrize(("changes", "expected"), AUTH)
def test_bad_credentials_are_401(backend: CodexBackend, changes: dict[str, str | None], expected: str) -> None:
    answer = post(backend, body(), changes=changes)
    assert answer.status_code == 401
    found = answer.json()
    assert expected in (found.get("detail"), found.get("error", {}).get("code"))


def test_an_at_token_works_with_its_account_id_and_whoami_tells_it(backend: CodexBackend) -> None:
    bearer = f"Bearer {tokens.at_token('acct-7')}"
    assert post(backend, body(), changes={"authorization": bearer, "chatgpt_account_id": "acct-7"}).status_code == 200
    assert backend.requests[0].account == "acct-7"
    told = send("GET", backend.url + WHOAMI, headers={"authorization": bearer}).json()
    assert (told["chatgpt_account_id"], told["chatgpt_plan_type"]) == ("acct-7", "business")


def test_a_revoked_token_gets_its_code(backend: CodexBackend) -> None:
    token = tokens.jwt()
    backend.accounts.revoked[token] = "account_deactivated"
    answer = post(backend, body(), changes={"authorization": f"Bearer {token}"})
    assert answer.json()["error"]["code"] == "account_deactivated"
    assert answer.headers["x-openai-authorization-error"] == "account_deactivated"


@pytest.mark.parametrize(
    "changes",
    [
        {"cookie": "a=b"},
        {"x_forwarded_for": "192.0.2.1"},
        {"openai_organization": "org"},
        {"x_stainless_lang": "python"},
        {"user_agent": "codex_cli_rs/0.154.0"},
        {"user_agent": "Mozilla/5.0"},
        {"user_agent": "python-httpx/0.28"},
        {"originator": "codex_cli_rs"},
        {"x_codex_turn_state": tokens.turn_state("acct-2")},
        {"accept": "application/json"},
    ],
)
def test_what_an_honest_client_never_sends_is_a_violation(changes: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="violations"), CodexBackend() as backend:
        assert post(backend, body(), changes=changes).status_code == 400


def test_an_old_client_is_told_to_upgrade(backend: CodexBackend) -> None:
    answer = post(backend, body(model="gpt-5.6-sol"), changes={"version": "0.143.9"})
    assert "requires a newer version of Codex" in answer.json()["detail"]
    assert (
        post(backend, body(), changes={"version": None}).status_code == 400
    )  # honest-test/1.0 names no client version
