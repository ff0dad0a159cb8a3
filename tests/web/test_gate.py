from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import msgspec
import pytest

from lib.errors import NotFound, PoolExhausted
from lib.types import Reply, Trace
from lib.web.asgi import Message, Receive, Scope, Send, behind_head, send_whole
from lib.web.gate import Gate
from lib.web.logs import configure
from lib.web.paths import Endpoint, Table
from tests.fakes.serving import serving
from tests.web.scripted import (
    AUTHORIZED,
    CHAT,
    KEY,
    TOKEN,
    ScriptedRelay,
    ask,
    connect,
    gateway,
    raw,
    request_bytes,
    served,
)

EXPOSED = (
    "x-request-id, request-id, retry-after, x-should-retry, x-gateway-ignored, x-gateway-estimated, "
    "openai-processing-ms, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    "x-gateway-ratelimit-scope, server-timing, x-gateway-upstream, x-gateway-account, x-gateway-attempts, "
    "x-gateway-ttfb-ms"
)


def failing(error: Exception) -> ScriptedRelay:
    def answer(relay: ScriptedRelay) -> Reply:
        raise error

    return ScriptedRelay(answer)


def test_every_answer_has_a_request_id_and_cors(address: tuple[str, int]) -> None:
    for method, path, status in [
        ("GET", "/ping", 200),
        ("GET", "/nowhere", 404),
        ("POST", "/ping", 405),
        ("POST", "/v1/responses", 400),
    ]:
        reply = ask(address, method, path)
        assert reply.status == status
        assert re.fullmatch(r"req_[0-9a-f]{32}", reply.headers["x-request-id"])
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-expose-headers"] == EXPOSED
        assert "access-control-allow-credentials" not in reply.headers
        assert int(reply.headers["openai-processing-ms"]) >= 0


def test_a_plain_request_id_of_the_client_is_kept_and_another_is_not(address: tuple[str, int]) -> None:
    assert ask(address, "GET", "/ping", {"x-request-id": "abc-1._Z"}).headers["x-request-id"] == "abc-1._z"
    for given in ["a b", "x" * 65, "", "a\tb", "é", "<b>"]:
        assert ask(address, "GET", "/ping", {"x-request-id": given}).headers["x-request-id"].startswith("req_")


def test_a_preflight_needs_no_key_and_echoes_the_headers_it_asks_for(address: tuple[str, int]) -> None:
    asked = "authorization,x-stainless-os, X-Stainless-Lang,bad name,a\x7fb," + "y" * 65
    headers = {
        "origin": "http://app",
        "access-control-request-method": "POST",
        "access-control-request-headers": asked.replace("\x7f", "{"),
    }
    for path in ["/v1/chat/completions", "/responses", "/nowhere"]:
        reply = ask(address, "OPTIONS", path, headers)
        assert (reply.status, reply.body) == (200, b"ok")
        assert reply.headers["access-control-allow-headers"] == "authorization, x-stainless-os, x-stainless-lang"
        assert reply.headers["access-control-allow-methods"] == "get, head, post, delete, options"
        assert reply.headers["access-control-max-age"] == "86400"
        assert reply.headers["access-control-allow-origin"] == "*"


def test_options_without_an_origin_tells_the_methods(address: tuple[str, int]) -> None:
    assert ask(address, "OPTIONS", "/v1/models", {}).headers["allow"] == "get, head, options"
    assert ask(address, "OPTIONS", "/nowhere", {}).status == 404


def test_a_wrong_method_is_a_405_in_openai_shape(address: tuple[str, int]) -> None:
    for method in ["GET", "PUT", "DELETE", "PATCH", "TRACE", "HEAD", "PROPFIND"]:
        reply = ask(address, method, "/v1/chat/completions")
        assert (reply.status, reply.headers["allow"]) == (405, "options, post")
        assert method == "HEAD" or reply.error["code"] == "method_not_allowed"
    override = ask(address, "GET", "/v1/chat/completions", {**AUTHORIZED, "x-http-method-override": "POST"})
    assert override.status == 405


def test_head_is_get_without_a_body(address: tuple[str, int]) -> None:
    for path in ["/", "/ping", "/v1/models", "/models/gpt-a"]:
        got, head = ask(address, "GET", path), ask(address, "HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.body))


def test_a_connection_goes_on_after_head(address: tuple[str, int]) -> None:
    with connect(address) as client:
        client.sendall(
            b"HEAD /ping HTTP/1.1\r\nhost: a\r\n\r\nGET /ping HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        )
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200") == 2 and received.endswith(b'{"message":"pong"}')


def test_head_has_no_body_on_servers_that_leave_that_to_the_app() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise NotImplementedError

    scope = {"type": "http", "method": "HEAD", "path": "/ping", "headers": []}
    asyncio.run(gateway()(scope, receive, send))
    assert [message.get("body", b"") for message in sent] == [b"", b""]


@pytest.mark.parametrize(("method", "body"), [("GET", b"x"), ("HEAD", b"")])
def test_what_is_sent_behind_the_head_misses_no_layer_that_it_concerns(method: str, body: bytes) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise NotImplementedError

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await behind_head(send)({"type": "http.response.body", "body": b"x"})

    gate = Gate(Table([Endpoint("/a", {"GET": app}, "A")]), now=time.time)
    asyncio.run(gate({"type": "http", "method": method, "path": "/a", "headers": []}, receive, send))
    assert [message.get("body") for message in sent] == [None, body]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("//v1//models/", 200),
        ("/models", 200),
        ("/v1/models?key=x&a=b", 200),
        ("http://evil.example/v1/models", 200),
        ("/v1/%6dodels", 200),
        ("/v1/%2e%2e/models", 404),
        ("/v1/../models", 404),
        ("/v1/models%00", 404),
        ("/v1/models/%0d%0aset-cookie:%20a=b", 404),
        ("/V1/models", 404),
        ("/v1/%FF%FE", 404),
    ],
)
def test_paths_are_decided_on_the_path_alone(address: tuple[str, int], target: str, status: int) -> None:
    for host in ["gateway", "localhost:4000/#@evil", "a:", "[::1]:80"]:
        head = f"GET {target} HTTP/1.1\r\nhost: {host}\r\nx-forwarded-host: evil\r\nx-forwarded-port: 443,80\r\n"
        reply = raw(address, f"{head}authorization: Bearer {KEY}\r\nconnection: close\r\n\r\n".encode())
        assert reply.status == status
        assert "set-cookie" not in reply.headers
        assert status == 200 or reply.error["code"] == "not_found"


def test_an_unknown_path_names_the_nearest(address: tuple[str, int]) -> None:
    reply = ask(address, "POST", "/v1/chat/completions/chat/completions", body=CHAT)
    assert (reply.status, reply.headers["x-should-retry"]) == (404, "false")
    assert "Did you mean /v1/chat/completions?" in reply.error["message"]


def test_a_websocket_handshake_is_told_to_use_http(address: tuple[str, int]) -> None:
    upgrade = {"upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    for path in ["/v1/responses", "/responses"]:
        reply = raw(
            address,
            request_bytes("GET", path, {**upgrade, **AUTHORIZED}),
        )
        assert (reply.status, reply.headers["upgrade"]) == (426, "http/1.1")
        assert reply.error["code"] == "upgrade_required"
    assert ask(address, "GET", "/v1/responses").status == 405


@pytest.mark.parametrize(("path", "status"), [("/v1/responses", 426), ("/nowhere", 404)])
def test_a_websocket_scope_is_refused_in_http_where_the_server_can(path: str, status: int) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    scope: dict[str, Any] = {"type": "websocket", "path": path, "headers": []}
    asyncio.run(gateway()({**scope, "extensions": {"websocket.http.response": {}}}, receive, send))
    assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert sent[0]["status"] == status
    asyncio.run(gateway()(scope, receive, send))
    assert sent[-1]["type"] == "websocket.close"


def test_a_gateway_error_is_answered_with_its_status_and_hints() -> None:
    error = PoolExhausted("All accounts rest.", status=429, code="rate_limit", retry_after_s=2.5, should_retry=True)
    with served(failing(error)) as address:
        reply = ask(address, "POST", "/v1/chat/completions", body=CHAT)
    assert (reply.status, reply.headers["retry-after"], reply.headers["x-should-retry"]) == (429, "3", "true")
    assert reply.error["code"] == "rate_limit"


@pytest.mark.parametrize("error", [RuntimeError(f"{KEY} {TOKEN}"), RecursionError("deep"), ValueError("\ud800")])
def test_an_unexpected_error_is_in_openai_shape_and_says_nothing(
    error: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    configure("INFO", "logfmt")
    with served(failing(error)) as address:
        reply = ask(address, "POST", "/v1/chat/completions", body=CHAT)
    assert reply.status == (400 if isinstance(error, RecursionError) else 500)
    assert "canary" not in str(reply.error)
    log = capfd.readouterr().err
    assert f"error={type(error).__name__}" in log
    assert "canary" not in log


def test_an_error_after_the_head_breaks_the_answer_off(capfd: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "logfmt")
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) > 1:
            raise NotFound("too late")

    async def receive() -> Message:
        raise NotImplementedError

    asyncio.run(gateway()({"type": "http", "method": "GET", "path": "/ping", "headers": []}, receive, send))
    assert len(sent) == 2
    assert "status=200 error=not_found" in capfd.readouterr().err


def test_the_lifespan_closes_what_was_opened() -> None:
    closed: list[bool] = []
    app = gateway()

    async def close() -> None:
        closed.append(True)

    app._close = close
    messages: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan"}, receive, send))
    assert (sent, closed) == (["lifespan.startup.complete", "lifespan.shutdown.complete"], [True])


def test_the_log_line_of_a_request(address: tuple[str, int], capfd: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json")
    ask(address, "POST", "/chat/completions?key=canary", {**AUTHORIZED, "x-request-id": "r1"}, CHAT)
    [line] = [line for line in capfd.readouterr().err.splitlines() if "request.done" in line]
    fields = msgspec.json.decode(line)
    assert fields.pop("duration_s") < 1
    assert re.fullmatch("[0-9a-f]{8}", fields.pop("caller"))
    assert fields == {
        "event": "request.done",
        "level": "info",
        "request_id": "r1",
        "method": "POST",
        "path": "/chat/completions",
        "dialect": "chat",
        "model": "m",
        "upstream": "scripted",
        "accounts": "a1-abcdef",
        "attempts": 1,
        "status": 200,
    }


def test_a_model_answer_says_where_it_comes_from_and_no_other_does(address: tuple[str, int]) -> None:
    reply = ask(address, "POST", "/v1/chat/completions", body=CHAT)
    told = {name: value for name, value in reply.headers.items() if name.startswith("x-gateway-")}
    assert told == {
        "x-gateway-upstream": "scripted",
        "x-gateway-account": "a1-abcdef",
        "x-gateway-attempts": "1",
    }
    assert re.fullmatch(r"total;dur=\d+", reply.headers["server-timing"])
    for method, path in (("GET", "/ping"), ("GET", "/nowhere"), ("POST", "/v1/messages/count_tokens")):
        assert not any(
            name.startswith(("x-gateway-up", "server-timing")) for name in ask(address, method, path).headers
        )


def test_the_trace_knows_the_row_and_not_only_the_path() -> None:
    traces: list[Trace] = []

    def note(trace: Trace, *, now: float) -> None:
        traces.append(trace)

    async def done(scope: Scope, receive: Receive, send: Send) -> None:
        await send_whole(send, 200, b"", [])

    gate = Gate(Table([Endpoint("/v1/models/{id}", {"GET": done}, "")]), now=time.time, log=note)
    with serving(gate) as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        ask(address, "GET", "/models/x")
        ask(address, "GET", "/nowhere")
    assert [(trace.path, trace.endpoint) for trace in traces] == [("/models/x", "/v1/models/{id}"), ("/nowhere", "")]


def test_an_answer_that_the_platform_would_not_carry_is_ours_to_refuse() -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await send_whole(send, 200, bytes(3001), [])

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(3001), "more_body": False})

    rows = [Endpoint("/large", {"GET": large}, ""), Endpoint("/stream", {"GET": stream}, "")]
    with serving(Gate(Table(rows), now=time.time, max_answer_bytes=3000)) as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        refused = ask(address, "GET", "/large")
        assert (refused.status, refused.json()["error"]["code"]) == (413, "response_too_large")
        assert ask(address, "HEAD", "/large").status == 200
        assert ask(address, "GET", "/stream").status == 200
    with serving(Gate(Table(rows), now=time.time)) as url:
        assert ask(("127.0.0.1", int(url.rpartition(":")[2])), "GET", "/large").status == 200
