"""The handler in AWS's own Python client, against an emulated Runtime API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.codex_backend import CodexBackend
from tests.fakes.codex_behaviours import stream
from tests.fakes.lambda_events import FRONT_DOORS, EventMaker, Seen, seen_by_client
from tests.fakes.runtime_api import MAX_ANSWER_BYTES, RuntimeApi, python_runtime
from tests.fakes.tokens import jwt

pytest.importorskip("awslambdaric", reason="awslambdaric is not installed on this platform")

KEY = "sk-runtime-test"
AUTHORIZED = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
DOORS = pytest.mark.parametrize(("door", "event"), FRONT_DOORS.items())

Invoke = Callable[..., Seen]


def invoker(api: RuntimeApi) -> Invoke:
    """Sends an event through the Runtime API; what the client of the front door sees."""

    def invoke(event: dict[str, Any], door: str = "function_url") -> Seen:
        posted = api.invoke(event)
        assert posted.kind == "response", posted.body
        return seen_by_client(door, json.loads(posted.body))

    return invoke


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeApi]:
    env = {"AUTH_TOKENS": KEY}
    with (
        RuntimeApi() as api,
        python_runtime(api, "api.aws_lambda.handler", cwd=tmp_path_factory.mktemp("lambda"), env=env),
    ):
        yield api
        assert api.refusals == []
        assert api.init_error is None


@pytest.fixture(scope="module")
def invoke(api: RuntimeApi) -> Invoke:
    return invoker(api)


def chat(event: EventMaker, *, body: str | bytes | None = None, **members: Any) -> dict[str, Any]:
    """A chat request to the demo upstream."""
    asked = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Grüße!"}], **members})
    return event("POST", "/v1/chat/completions", headers=AUTHORIZED, body=asked if body is None else body)


@DOORS
def test_ping_is_answered(invoke: Invoke, door: str, event: EventMaker) -> None:
    seen = invoke(event("GET", "/ping"), door)
    assert (seen.status, seen.json()) == (200, {"message": "pong"})
    assert seen.headers["access-control-allow-origin"] == "*"


@DOORS
def test_chat_is_answered_whole(invoke: Invoke, door: str, event: EventMaker) -> None:
    seen = invoke(chat(event), door)
    assert (seen.status, seen.headers["content-type"]) == (200, "application/json")
    assert seen.json()["choices"][0]["message"]["content"]


@DOORS
def test_stream_arrives_complete_and_in_order(invoke: Invoke, door: str, event: EventMaker) -> None:
    seen = invoke(chat(event, stream=True), door)
    assert seen.status == 200
    assert seen.headers["content-type"].startswith("text/event-stream")
    frames = [frame for frame in seen.body.decode().split("\n\n") if frame.startswith("data: ")]
    assert frames[-1] == "data: [DONE]"
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]][-1] == "stop"


@DOORS
def test_request_body_in_base64_is_read(invoke: Invoke, door: str, event: EventMaker) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "Grüße!"}]}, ensure_ascii=False).encode()
    assert invoke(chat(event, body=body), door).status == 200


@DOORS
def test_call_without_a_key_is_refused(invoke: Invoke, door: str, event: EventMaker) -> None:
    seen = invoke(event("POST", "/v1/chat/completions", body="{}"), door)
    assert (seen.status, seen.json()["error"]["code"]) == (401, "invalid_api_key")


@DOORS
@pytest.mark.parametrize(
    "damage",
    [
        {"headers": {"x-forwarded-port": "443,80"}},
        {"headers": {"host": "a:"}},
        {"headers": {"host": "[::1]:80"}},
        {"body": "\ud800"},
    ],
    ids=str,
)
def test_input_that_crashes_the_adapter_is_a_400(
    invoke: Invoke, door: str, event: EventMaker, damage: dict[str, Any]
) -> None:
    seen = invoke(event("POST", "/v1/responses", **damage), door)
    assert (seen.status, seen.json()["error"]["type"]) == (400, "invalid_request_error")
    assert invoke(event("GET", "/ping"), door).status == 200


@DOORS
def test_damaged_base64_is_a_400(invoke: Invoke, door: str, event: EventMaker) -> None:
    seen = invoke(event("POST", "/v1/responses") | {"body": "%%%", "isBase64Encoded": True}, door)
    assert (seen.status, seen.json()["error"]["code"]) == (400, "invalid_body")


@pytest.mark.parametrize("event", [None, [], "text", {}, {"key1": "value1"}], ids=str)
def test_test_event_of_the_console_is_a_400(invoke: Invoke, event: Any) -> None:
    assert invoke(event).status == 400


def test_answer_over_the_limit_leaves_the_process_alive(tmp_path: Path) -> None:
    with CodexBackend() as backend, RuntimeApi() as api:
        env = {"AUTH_TOKENS": KEY, "CHATGPT_ACCESS_TOKENS": jwt(), "CHATGPT_BASE_URL": backend.url}
        with python_runtime(api, "api.aws_lambda.handler", cwd=tmp_path, env=env) as process:
            invoke = invoker(api)
            backend.script(stream(huge_bytes=MAX_ANSWER_BYTES))
            seen = invoke(chat(FRONT_DOORS["function_url"], model="gpt-5.5"))
            assert (seen.status, seen.json()["error"]["code"]) == (413, "response_too_large")
            assert invoke(chat(FRONT_DOORS["function_url"], model="gpt-5.5")).status == 200
            assert process.poll() is None
            assert api.refusals == []


def test_failing_import_is_reported_and_ends_the_process(tmp_path: Path) -> None:
    with RuntimeApi() as api, python_runtime(api, "api.no_such_module.handler", cwd=tmp_path) as process:
        assert process.wait(20) == 1
        assert api.init_error is not None
        assert api.init_error["errorType"] == "Runtime.ImportModuleError"
