from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lib import lambda_stream
from lib.lambda_post import open_post
from lib.lambda_runtime import RuntimeClient
from lib.lambda_stream import BrokenAnswer, prelude, takes_stream
from tests.fakes.lambda_events import FRONT_DOORS, function_url
from tests.fakes.lambda_streams import DELIMITER, seen_through_url, serving_lambda
from tests.fakes.runtime_api import How, Posted, RuntimeApi
from tests.fakes.serving import wait_until

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
END = {"type": "http.response.body", "body": b""}

App = Callable[[Any, Any, Any], Awaitable[None]]


def piece(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}


def sending(*messages: dict[str, Any]) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


def posted(app: App, event: Any = None) -> Posted:
    with serving_lambda(app) as api:
        answer = api.invoke(event or function_url("GET", "/"))
        assert api.refusals == []
        return answer


def error_of(answer: Posted) -> tuple[str, Any]:
    trailers = answer.trailers
    document = json.loads(base64.b64decode(trailers["lambda-runtime-function-error-body"]))
    return trailers["lambda-runtime-function-error-type"], document


@pytest.mark.parametrize(
    ("door", "mode", "expected"),
    [
        ("function_url", None, True),
        ("function_url", "stream", True),
        ("function_url", "buffered", False),
        ("http_api", None, False),
        ("http_api", "stream", False),
        ("rest_api", None, False),
        ("rest_api", "stream", True),
        ("rest_api", "buffered", False),
        ("load_balancer", "stream", False),
        ("load_balancer_multi_value", "stream", False),
    ],
)
def test_front_doors_that_read_a_stream(door: str, mode: Any, expected: bool) -> None:
    assert takes_stream(FRONT_DOORS[door]("GET", "/"), mode) is expected


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"domainName": "abc.lambda-url.eu-west-1.on.aws", "apiId": "abc", "domainPrefix": "abc"}, True),
        ({"domainName": "abc.execute-api.eu-west-1.amazonaws.com", "apiId": "abc", "domainPrefix": "abc"}, False),
        ({"domainName": "llm.example.com", "apiId": "abc", "domainPrefix": "llm", "routeKey": "$default"}, False),
        ({"domainName": "localhost", "routeKey": "ANY /{proxy+}"}, False),
        ({"http": {"method": "GET"}}, True),
        ({}, True),
    ],
    ids=str,
)
def test_function_urls_are_told_from_http_apis(context: dict[str, Any], expected: bool) -> None:
    assert takes_stream({"version": "2.0", "requestContext": context}, None) is expected


@pytest.mark.parametrize("event", [None, 1, "x", [], {}, {"requestContext": None}, {"requestContext": []}], ids=str)
def test_nothing_else_takes_a_stream(event: Any) -> None:
    assert not takes_stream(event, "stream")


def test_prelude_joins_headers_and_keeps_cookies_apart() -> None:
    headers = [
        (b"Vary", b"origin"),
        (b"set-cookie", b"a=1; Path=/, x"),
        (b"vary", b"accept"),
        (b"Set-Cookie", b"b=2"),
        (b"content-length", b"7"),
        (b"connection", b"keep-alive"),
        (b"x-name", b"caf\xe9\0"),
    ]
    head, delimiter, rest = prelude(201, headers).partition(DELIMITER)
    assert json.loads(head) == {
        "statusCode": 201,
        "headers": {"vary": "origin, accept", "x-name": "café\0"},
        "cookies": ["a=1; Path=/, x", "b=2"],
    }
    assert (delimiter, rest, b"\0" in head) == (DELIMITER, b"", False)


def test_pieces_leave_when_they_are_sent() -> None:
    gate = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await asyncio.to_thread(gate.wait, 5)
        for data in (b"one", b"two"):
            await send(piece(data))
            await asyncio.sleep(0.05)
        await send(END)

    with serving_lambda(app) as api:
        answer = api.begin(function_url("GET", "/"))
        assert wait_until(lambda: answer.body.endswith(DELIMITER))
        gate.set()
        assert seen_through_url(answer.wait()).body == b"onetwo"
    times = [at for at, data in answer.pieces if data in (b"one", b"two")]
    assert 0.04 < times[1] - times[0] < 0.5


def test_last_chunk_waits_until_the_app_has_returned() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending(START, {**END, "body": b"all"})(scope, receive, send)
        await asyncio.sleep(0.1)
        app_returned_at.append(time.monotonic())

    app_returned_at: list[float] = []
    with serving_lambda(app) as api:
        answer = api.begin(function_url("GET", "/"))
        assert wait_until(lambda: answer.body.endswith(b"all"))
        assert not answer.ended.is_set()
        answer.wait()
        assert app_returned_at


@pytest.mark.parametrize("size", [0, 1, 70_000, 5_000_000])
def test_bodies_of_any_size_and_content_pass_both_ways(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        await send(START)
        await send({"type": "http.response.body", "body": body})

    body = data[:size] if size < 4_600_000 else data[:4_400_000]
    assert seen_through_url(posted(echo, function_url("POST", "/", body=body))).body == body


def test_cookies_come_from_the_event_and_headers_are_lower_case() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await sending(START, END)(scope, receive, send)

    posted(app, function_url("GET", "/a%20b", query="x=1&x=2") | {"cookies": ["a=1", "b=2"], "headers": {"X-Y": "z"}})
    assert dict(map(tuple, scopes[0]["headers"])) == {b"x-y": b"z", b"cookie": b"a=1; b=2"}
    assert (scopes[0]["path"], scopes[0]["query_string"]) == ("/a b", b"x=1&x=2")


def test_head_and_empty_answers_end_with_the_delimiter() -> None:
    for method, body in (("HEAD", b"no"), ("GET", b"")):
        answer = posted(sending(START, piece(body), {**END, "body": body}), function_url(method, "/"))
        assert (seen_through_url(answer).body, answer.complete) == (b"", True)


def test_request_body_is_given_once_and_then_the_end() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await receive())
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0.03)
        assert not waiting.done()
        await sending(START, END)(scope, receive, send)
        seen.append(await waiting)
        seen.append(await receive())

    posted(app, function_url("POST", "/", body="hi"))
    disconnect = {"type": "http.disconnect"}
    assert seen == [{"type": "http.request", "body": b"hi", "more_body": False}, disconnect, disconnect]


def test_failure_in_mid_stream_is_told_in_trailers() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending(START, piece(b"half"))(scope, receive, send)
        raise ValueError("secret")

    answer = posted(app)
    assert (seen_through_url(answer).body, answer.complete) == (b"half", True)
    kind, document = error_of(answer)
    assert (kind, document["errorMessage"]) == ("Runtime.StreamError", "The application raised ValueError.")
    assert "secret" not in str(document)


@pytest.mark.parametrize("messages", [[START], [START, piece(b"half")], [START, START], [START, {"type": "other"}]])
def test_answer_without_an_end_is_told_in_trailers(messages: list[dict[str, Any]]) -> None:
    assert error_of(posted(sending(*messages)))[0] == "Runtime.StreamError"


def test_failure_after_the_answer_leaves_it_whole() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending(START, {**END, "body": b"all"})(scope, receive, send)
        raise ValueError

    answer = posted(app)
    assert (seen_through_url(answer).body, answer.trailers) == (b"all", {})


@pytest.mark.parametrize("messages", [[], [END]])
def test_app_that_never_answers_is_an_error(messages: list[dict[str, Any]]) -> None:
    assert posted(sending(*messages)).kind == "error"


@pytest.mark.parametrize("how", [How(cut_after=200_000), How(refuse=(200_000, 410))], ids=["cut", "refused"])
def test_lost_client_ends_both_the_wait_and_the_sending(how: How) -> None:
    ends: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        waiting = asyncio.ensure_future(receive())
        try:
            while True:
                await send(piece(b"x" * 10_000))
        except OSError:
            ends.append(await waiting)
            raise

    with serving_lambda(app) as api:
        api.how = how
        assert not api.invoke(function_url("GET", "/")).complete
        assert wait_until(lambda: ends == [{"type": "http.disconnect"}])


def test_slow_reader_holds_the_app_back() -> None:
    sent = [0]
    hold = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for _ in range(1000):
            await send(piece(b"x" * 65_536))
            sent[0] += 65_536
        await send(END)

    with serving_lambda(app) as api:
        api.how = How(hold=hold)
        answer = api.begin(function_url("GET", "/"))
        assert wait_until(lambda: sent[0] > 0)
        time.sleep(0.2)
        held_at = sent[0]
        time.sleep(0.1)
        assert sent[0] == held_at < 12_000_000  # what the kernel's two buffers take
        hold.set()
        assert len(seen_through_url(answer.wait()).body) == 65_536_000


def test_answer_that_lambda_would_cut_off_ends_with_an_error() -> None:
    async def run(api: RuntimeApi) -> None:
        client = RuntimeClient(api.address)
        invocation = await asyncio.to_thread(client.next)

        async def opened(on_gone: Callable[[], object]) -> Any:
            return await open_post(api.address, invocation.path("response"), {}, on_gone)

        app = sending(START, *[piece(b"x" * 400)] * 4, END)
        await lambda_stream.answer(app, {"method": "GET"}, b"", opened, max_bytes=1000)
        client.close()

    with RuntimeApi() as api:
        thread = threading.Thread(target=lambda: asyncio.run(run(api)))
        thread.start()
        answer = api.invoke(function_url("GET", "/"))
        thread.join(5)
    assert seen_through_url(answer).body == b"x" * 800
    assert error_of(answer)[0] == "Function.ResponseSizeTooLarge"


def test_nothing_is_posted_when_there_is_no_runtime_api() -> None:
    async def refused(on_gone: Any) -> Any:
        raise ConnectionRefusedError

    async def swallowing(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(START)
        except OSError:
            return

    with pytest.raises(BrokenAnswer):
        asyncio.run(lambda_stream.answer(swallowing, {"method": "GET"}, b"", refused))
