from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lib.lambda_adapter import Adapter, LambdaHandler
from tests.fakes.lambda_events import FRONT_DOORS, EventMaker, Seen, function_url, seen_by_client

CONTEXT = SimpleNamespace(aws_request_id="3f2a", get_remaining_time_in_millis=lambda: 5000)
DOORS = pytest.mark.parametrize(("door", "event"), FRONT_DOORS.items())


class Recorder:
    """An ASGI application that answers with a given body and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, Any], bytes]] = []
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.content_type = b"application/json"
        self.body = b"{}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests.append((scope, (await receive())["body"]))
        self.loops.append(asyncio.get_running_loop())
        headers = [(b"content-type", self.content_type)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        middle = len(self.body) // 2
        await send({"type": "http.response.body", "body": self.body[:middle], "more_body": True})
        await send({"type": "http.response.body", "body": self.body[middle:]})


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def app() -> Recorder:
    return Recorder()


@pytest.fixture
def handler(app: Recorder, loop: asyncio.AbstractEventLoop) -> LambdaHandler:
    return Adapter(app, loop).whole


def call(handler: LambdaHandler, event: Any, door: str = "function_url") -> Seen:
    return seen_by_client(door, handler(event, CONTEXT))


@DOORS
def test_request_of_every_front_door_reaches_the_app(
    handler: LambdaHandler, app: Recorder, door: str, event: EventMaker
) -> None:
    sent = event("POST", "/v1/chat/completions", headers={"authorization": "Bearer k"}, body='{"é":1}', query="a=1&b=")
    assert call(handler, sent, door).status == 200
    scope, body = app.requests[0]
    assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/v1/chat/completions", b"a=1&b=")
    assert dict(map(tuple, scope["headers"]))[b"authorization"] == b"Bearer k"
    assert body == '{"é":1}'.encode()


@DOORS
def test_binary_request_arrives_unchanged(handler: LambdaHandler, app: Recorder, door: str, event: EventMaker) -> None:
    call(handler, event("POST", "/v1/audio", body=bytes(range(256))), door)
    assert app.requests[0][1] == bytes(range(256))


@DOORS
def test_event_stream_leaves_as_text_and_bytes_as_base64(
    handler: LambdaHandler, app: Recorder, door: str, event: EventMaker
) -> None:
    app.content_type, app.body = b"text/event-stream; charset=utf-8", "data: é\u2028\n\n".encode()
    answer = handler(event("GET", "/"), CONTEXT)
    assert answer["isBase64Encoded"] is False
    assert seen_by_client(door, answer).body == app.body
    app.content_type, app.body = b"audio/mpeg", bytes(range(256))
    assert call(handler, event("GET", "/"), door).body == app.body


@DOORS
@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-port": "443,80"},
        {"x-forwarded-port": "9" * 5000},
        {"host": "a:"},
        {"host": "[::1]:80"},
        {"host": "a:b"},
        {"x-custom": "\ud800"},
        {"cookie\ud800": "a"},
    ],
    ids=str,
)
def test_header_that_mangum_cannot_read_is_a_400(
    handler: LambdaHandler, app: Recorder, door: str, event: EventMaker, headers: dict[str, str]
) -> None:
    seen = call(handler, event("GET", "/ping", headers=headers), door)
    assert (seen.status, seen.json()["error"]["type"]) == (400, "invalid_request_error")
    assert seen.headers["x-request-id"] == "req_3f2a"
    assert app.requests == []


@DOORS
def test_damaged_body_is_a_400(handler: LambdaHandler, app: Recorder, door: str, event: EventMaker) -> None:
    for damage in ({"body": "%%%", "isBase64Encoded": True}, {"body": "\ud800", "isBase64Encoded": False}):
        seen = call(handler, event("POST", "/v1/responses") | damage, door)
        assert (seen.status, seen.json()["error"]["code"]) == (400, "invalid_body")
    assert app.requests == []


@pytest.mark.parametrize("event", [{}, [], "text", None, 7, {"Records": []}, {"version": "2.0", "requestContext": {}}])
def test_event_that_is_not_http_is_a_400(handler: LambdaHandler, event: Any) -> None:
    seen = call(handler, event)
    assert (seen.status, seen.json()["error"]["code"]) == (400, "invalid_request")


@DOORS
def test_answer_over_the_limit_becomes_an_error_that_says_what_to_do(
    handler: LambdaHandler, app: Recorder, door: str, event: EventMaker
) -> None:
    app.body = b"x" * 6_300_000
    seen = call(handler, event("GET", "/"), door)
    assert (seen.status, seen.json()["error"]["code"]) == (413, "response_too_large")
    app.content_type, app.body = b"image/png", b"x" * 4_800_000  # in base64 it is too long as well
    assert call(handler, event("GET", "/"), door).status == 413


def test_one_loop_serves_all_invocations(handler: LambdaHandler, app: Recorder, loop: Any) -> None:
    call(handler, function_url("GET", "/"))
    asyncio.run(asyncio.sleep(0))  # leaves the thread without a current loop, as library code may
    call(handler, function_url("GET", "/"))
    assert app.loops == [loop, loop]


def test_failing_app_is_a_500_and_the_next_request_is_served(loop: Any) -> None:
    answers = iter([False, True])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if not next(answers):
            raise RuntimeError("broken")
        await Recorder()(scope, receive, send)

    handler = Adapter(app, loop).whole
    assert [call(handler, function_url("GET", "/")).status for _ in range(2)] == [500, 200]


@DOORS
def test_answer_that_breaks_off_is_an_error_and_the_next_one_is_whole(loop: Any, door: str, event: EventMaker) -> None:
    answers = iter([False, True])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if next(answers):
            await Recorder()(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"audio/mpeg")]})
        await send({"type": "http.response.body", "body": b"ID3", "more_body": True})

    handler = Adapter(app, loop).whole
    broken = call(handler, event("GET", "/"), door)
    assert (broken.status, broken.json()["error"]["code"]) == (502, "upstream_truncated")
    assert call(handler, event("GET", "/"), door).status == 200


@DOORS
def test_app_is_told_when_the_invocation_ends(
    handler: LambdaHandler, app: Recorder, door: str, event: EventMaker
) -> None:
    called_at = time.time()
    call(handler, event("GET", "/"), door)
    deadline_at = app.requests[0][0]["chat2api.deadline_at"]
    assert called_at + 5 <= deadline_at <= time.time() + 5


def test_call_without_a_context_is_answered(handler: LambdaHandler, app: Recorder) -> None:
    assert handler(function_url("GET", "/"), None)["statusCode"] == 200
    assert "chat2api.deadline_at" not in app.requests[0][0]
    assert handler({}, None)["statusCode"] == 400
