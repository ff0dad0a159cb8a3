"""Small endpoints, and errors as the SDK's exception classes."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from tests.fakes.codex_behaviours import bad_gateway, http_error, raw, stream, token_refused, usage_limit
from tests.fakes.codex_errors import error_body
from tests.journeys.conftest import Start
from tests.journeys.gateway import TOKENS
from tests.journeys.secrets_kept import account_jwt
from tests.journeys.seen import PATHS, ask, body_of

MODELS = ["gpt-5.6-sol", "gpt-5.6-luna", "gpt-5.5"]


@pytest.mark.parametrize("path", ["/v1/models", "/models", "//models", "/v1//models/", "/models?client_version=0.1.2"])
def test_models(start: Start, path: str) -> None:
    body = start().send("GET", path).json()
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == MODELS
    assert all(type(model["created"]) is int and model["object"] == "model" for model in body["data"])


def test_models_through_the_sdk_are_asked_for_once(start: Start) -> None:
    gateway = start()
    client = gateway.sdk()
    assert [model.id for model in client.models.list()] == MODELS
    assert client.models.retrieve("gpt-5.5").owned_by == "codex"
    with pytest.raises(openai.NotFoundError) as refusal:
        client.models.retrieve("gpt-none")
    assert refusal.value.code == "model_not_found"
    assert len(gateway.backend.requests) == 1


def test_models_fail_over(start: Start) -> None:
    gateway = start()
    gateway.backend.script(token_refused(), path="/backend-api/codex/models")
    assert len(gateway.send("GET", "/v1/models").json()["data"]) == 3
    assert gateway.usable() == 2


@pytest.mark.parametrize("path", ["/v1/accTokens", "/accTokens"])
def test_acc_tokens(start: Start, path: str) -> None:
    gateway = start(chatgpt_access_tokens=",".join([*TOKENS, account_jwt("acct-4")]))
    gateway.backend.script(usage_limit(600))
    ask(gateway, "chat", False)
    assert gateway.send("GET", path).json() == {"count": 4, "canUseCount": 3}


@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
def test_websocket_upgrade_is_426(start: Start, path: str) -> None:
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    answer = start().send("GET", path, headers=headers)
    assert answer.status_code == 426
    assert answer.json()["error"]["code"] == "upgrade_required"


def test_preflight_of_a_browser(start: Start) -> None:
    asked = "authorization,content-type,x-stainless-arch,x-stainless-retry-count"
    headers = {
        "origin": "https://chat.example.org",
        "access-control-request-method": "POST",
        "access-control-request-headers": asked,
    }
    answer = httpx.request("OPTIONS", start().url + PATHS["chat"], headers=headers, verify=False, trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["access-control-allow-headers"].replace(" ", "") == asked
    assert int(answer.headers["access-control-max-age"]) > 0


def test_browsers_may_read_errors(start: Start) -> None:
    answer = start().send("POST", PATHS["chat"], key="wrong", headers={"origin": "null"}, json=body_of("chat"))
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "*")
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


def test_pages_without_a_key(start: Start) -> None:
    gateway = start()
    found = [gateway.http.get(gateway.url + path) for path in ("/ping", "/healthz", "/")]
    assert [answer.status_code for answer in found] == [200, 200, 200]
    assert found[0].json() == {"message": "pong"}


def test_unknown_path_names_the_nearest(start: Start) -> None:
    answer = start().send("POST", "/v1/chat/completions/chat/completions", json={})
    assert answer.status_code == 404
    assert "Did you mean /v1/chat/completions?" in answer.json()["error"]["message"]


@pytest.mark.parametrize("dialect", ["chat", "responses"])
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("behaviour", "kind", "code"),
    [
        (
            http_error(400, error_body("Too long.", code="context_length_exceeded")),
            "BadRequestError",
            "context_length_exceeded",
        ),
        (http_error(403, {"detail": "No."}), "PermissionDeniedError", "upstream_forbidden"),
        (http_error(404, error_body("None.", code="model_not_found")), "NotFoundError", "model_not_found"),
        (usage_limit(30), "RateLimitError", None),
        (bad_gateway(), "InternalServerError", "upstream_error"),
        (raw(b""), "InternalServerError", "upstream_empty_response"),
        (token_refused(), "AuthenticationError", None),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_failures_are_the_sdks_exceptions(
    start: Start, dialect: str, streamed: bool, behaviour: Any, kind: str, code: str | None
) -> None:
    gateway = start()
    gateway.backend.always(behaviour)
    client = gateway.sdk()
    create: Any = client.chat.completions.create if dialect == "chat" else client.responses.create
    with pytest.raises(getattr(openai, kind)) as failure:
        create(**body_of(dialect, stream=streamed))
    assert code is None or failure.value.code == code
    assert failure.value.request_id


@pytest.mark.parametrize("dialect", ["chat", "responses"])
def test_a_broken_stream_is_the_sdks_exception(start: Start, dialect: str) -> None:
    gateway = start()
    gateway.backend.always(stream("failed_midstream", pause_s=0.01))
    client = gateway.sdk()
    create: Any = client.chat.completions.create if dialect == "chat" else client.responses.create
    with pytest.raises(openai.APIError, match="An error occurred") as failure:
        list(create(**body_of(dialect, stream=True)))
    assert failure.value.code == "upstream_error"


def test_a_wrong_key(start: Start) -> None:
    gateway = start()
    with pytest.raises(openai.AuthenticationError) as refusal:
        gateway.sdk(api_key="sk-wrong").models.list()
    assert refusal.value.code == "invalid_api_key"
    assert gateway.backend.requests == []


def test_the_sdk_tries_again_where_that_helps(start: Start) -> None:
    gateway = start(max_attempts=1)
    gateway.backend.script(bad_gateway())
    client = gateway.sdk(max_retries=1)
    assert client.responses.create(model="gpt-5.5", input="Hi").output_text == "You said: Hi"
    assert len(gateway.backend.requests) == 2


def test_the_sdk_does_not_try_again_where_it_cannot_help(start: Start) -> None:
    gateway = start()
    gateway.backend.always(usage_limit(5400))
    with pytest.raises(openai.RateLimitError):
        gateway.sdk(max_retries=2).responses.create(model="gpt-5.5", input="Hi")
    assert len(gateway.backend.requests) == 3  # one attempt for each account


@pytest.mark.parametrize("dialect", ["chat", "responses"])
def test_passthrough_of_a_callers_own_token(start: Start, dialect: str) -> None:
    token = account_jwt("acct-9")
    gateway = start(access_token_prefix="private-prefix-", secrets=(token, "private-prefix-"))
    answer = gateway.send("POST", PATHS[dialect], key=f"private-prefix-{token}", json=body_of(dialect))
    assert answer.status_code == 200
    assert gateway.accounts() == ["acct-9"]


def test_passthrough_with_an_account_id_and_a_refused_token(start: Start) -> None:
    token = account_jwt(None)
    gateway = start(access_token_prefix="private-prefix-", secrets=(token,))
    gateway.backend.script(token_refused(), account="acct-7")
    key = f"private-prefix-{token},acct-7"
    answers = [gateway.send("POST", PATHS["responses"], key=key, json=body_of("responses")) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 200]
    assert gateway.accounts() == ["acct-7", "acct-7"]
    assert gateway.usable() == 3
