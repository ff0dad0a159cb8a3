"""What AWS's client finds in the module, and the loop around the events."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

import api.aws_lambda
from api.aws_lambda import RESPONSE_MODE, serve
from lib.lambda_adapter import Adapter
from lib.lambda_runtime import RuntimeApiError, RuntimeClient
from tests.fakes.lambda_events import FRONT_DOORS, EventMaker, function_url, rest_api, seen_by_client
from tests.fakes.lambda_streams import seen_through_url, serving_lambda
from tests.fakes.runtime_api import How, RuntimeApi

DOORS = pytest.mark.parametrize(("door", "event"), FRONT_DOORS.items())


class Recorder:
    """An ASGI application that says "ok" and keeps what it was asked."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.trace_ids: list[str | None] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.loops.append(asyncio.get_running_loop())
        self.trace_ids.append(os.environ.get("_X_AMZN_TRACE_ID"))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(autouse=True)
def trace_id() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_X_AMZN_TRACE_ID", "none yet")
        yield


def test_handler_is_made_when_it_is_asked_for() -> None:
    first = api.aws_lambda.handler
    try:
        assert api.aws_lambda.handler is first
        assert first(function_url("GET", "/ping"), None)["statusCode"] == 200
    finally:
        asyncio.get_event_loop().close()
        asyncio.set_event_loop(None)
        del api.aws_lambda.handler


def test_module_has_no_other_lazy_name() -> None:
    with pytest.raises(AttributeError):
        api.aws_lambda.handlers  # noqa: B018


@DOORS
def test_every_front_door_is_answered_in_its_own_form(door: str, event: EventMaker) -> None:
    with serving_lambda(Recorder()) as runtime_api:
        posted = runtime_api.invoke(event("GET", "/"))
        assert posted.is_streamed == (door == "function_url")
        seen = seen_through_url(posted) if posted.is_streamed else seen_by_client(door, json.loads(posted.body))
        assert (seen.status, seen.headers["content-type"], seen.body) == (200, "text/plain", b"ok")
        assert runtime_api.refusals == []


def test_mode_turns_streaming_on_for_rest_apis_and_off_for_all() -> None:
    with serving_lambda(Recorder(), mode="stream") as runtime_api:
        assert seen_through_url(runtime_api.invoke(rest_api("GET", "/"))).body == b"ok"
    with serving_lambda(Recorder(), mode="buffered") as runtime_api:
        assert not runtime_api.invoke(function_url("GET", "/")).is_streamed


@pytest.mark.parametrize(("value", "mode"), [("stream", "stream"), (" Buffered", "buffered"), ("", None), ("on", None)])
def test_mode_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, mode: str | None
) -> None:
    monkeypatch.setenv(RESPONSE_MODE, value)
    assert api.aws_lambda._response_mode() == mode


def test_one_loop_and_the_event_s_own_deadline_and_trace() -> None:
    app = Recorder()
    with serving_lambda(app, remaining_s=30) as runtime_api:
        runtime_api.invoke(function_url("GET", "/"))
        runtime_api.invoke(rest_api("GET", "/"))
    assert app.loops[0] is app.loops[1]
    assert all(29 < scope["chat2api.deadline_at"] - time.time() < 31 for scope in app.scopes)
    assert [trace_id[:7] for trace_id in app.trace_ids if trace_id] == ["Root=1-", "Root=1-"]


def test_calls_share_one_connection_and_each_stream_has_its_own() -> None:
    with serving_lambda(Recorder()) as runtime_api:
        for event in (function_url, rest_api, function_url):
            runtime_api.invoke(event("GET", "/"))
        streams = {port for kind, port in runtime_api.calls if kind == "response"}
        assert len({port for kind, port in runtime_api.calls if kind == "next"}) == 1
        assert len(streams) == 3


@pytest.mark.parametrize("event", [None, [], "text", {}, {"source": "aws.events", "detail": {}}, b"{", b"[" * 5000])
def test_event_that_is_not_http_gets_a_whole_400(event: Any) -> None:
    with serving_lambda(Recorder()) as runtime_api:
        posted = runtime_api.invoke(event)
        assert not posted.is_streamed
        assert seen_by_client("function_url", json.loads(posted.body)).json()["error"]["code"] == "invalid_request"
        assert runtime_api.invoke(function_url("GET", "/")).complete


@pytest.mark.parametrize(
    "damage",
    [{"body": "%%%", "isBase64Encoded": True}, {"body": "\ud800"}, {"headers": {"host": "a:"}}, {"requestContext": {}}],
    ids=str,
)
def test_unreadable_request_of_a_streaming_url_is_a_streamed_400(damage: dict[str, Any]) -> None:
    app = Recorder()
    with serving_lambda(app) as runtime_api:
        seen = seen_through_url(runtime_api.invoke(function_url("POST", "/") | damage))
        assert (seen.status, seen.json()["error"]["type"]) == (400, "invalid_request_error")
        assert seen.headers["x-request-id"].startswith("req_0000")
        assert app.scopes == []


def test_failure_before_the_answer_is_reported_without_its_text() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("secret")

    with serving_lambda(app) as runtime_api:
        for _ in range(2):
            posted = runtime_api.invoke(function_url("GET", "/"))
            assert (posted.kind, posted.headers["lambda-runtime-function-error-type"]) == (
                "error",
                "Runtime.RuntimeError",
            )
            assert b"secret" not in posted.body
            assert json.loads(posted.body)["stackTrace"]


def test_runtime_goes_on_after_an_answer_that_nobody_took() -> None:
    with serving_lambda(Recorder()) as runtime_api:
        for how in (How(cut_after=1), How(refuse=(1, 413)), How(cut_after=1, forget=True)):
            runtime_api.how = how
            assert not runtime_api.invoke(function_url("GET", "/")).complete
        assert runtime_api.begun().kind == "error"  # the API waited for an answer, so it got this one
        runtime_api.how = How()
        assert seen_through_url(runtime_api.invoke(function_url("GET", "/"))).body == b"ok"
        assert runtime_api.refusals == ["403 InvalidStateTransition: next"]


def test_loop_ends_when_the_runtime_api_is_gone() -> None:
    with RuntimeApi() as runtime_api:
        address = runtime_api.address
    with asyncio.Runner() as runner, pytest.raises(RuntimeApiError):
        serve(RuntimeClient(address), Adapter(Recorder(), runner.get_loop()), None)
