"""What the web layer does for the Messages API: its errors, its request ids, its endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from lib.errors import GatewayError, PoolExhausted
from lib.types import Reply
from lib.web.routes import ANTHROPIC, messages_dialect
from tests.web.scripted import AUTHORIZED, CHAT, KEY, PREFIX, HttpReply, ScriptedRelay, ask, served, streamed


def error_of(reply: HttpReply) -> dict[str, Any]:
    """The error object of a reply in the shape of the Messages API, whose ids agree."""
    body = reply.json()
    assert set(body) == {"type", "error", "request_id"} and body["type"] == "error"
    assert set(body["error"]) == {"type", "message"}
    assert body["request_id"] == reply.headers["request-id"] == reply.headers["x-request-id"]
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "type"),
    [
        ("POST", "/v1/messages", {}, CHAT, 401, "authentication_error"),
        ("POST", "/v1/messages", {"x-api-key": "wrong"}, CHAT, 401, "authentication_error"),
        ("POST", "/v1/messages?beta=true", {}, CHAT, 401, "authentication_error"),
        ("POST", "/v1/messages/count_tokens", {}, CHAT, 401, "authentication_error"),
        ("POST", "/v1/messages", AUTHORIZED, b"{", 400, "invalid_request_error"),
        ("POST", "/v1/messages", AUTHORIZED, b"", 400, "invalid_request_error"),
        ("POST", "/v1/messages", AUTHORIZED, b"[]", 400, "invalid_request_error"),
        ("POST", "/v1/messages", AUTHORIZED, b'{"a":"' + b"x" * 100_000 + b'"}', 413, "request_too_large"),
        ("POST", "/v1/messages", AUTHORIZED | {"content-encoding": "br"}, b"x", 415, "invalid_request_error"),
        ("POST", "/v1/messages/count_tokens", AUTHORIZED, b"{}", 400, "invalid_request_error"),
        ("GET", "/v1/messages", AUTHORIZED, b"", 405, "invalid_request_error"),
        ("DELETE", "/messages/count_tokens", AUTHORIZED, b"", 405, "invalid_request_error"),
        ("GET", "/v1/messages", AUTHORIZED | {"upgrade": "websocket"}, b"", 426, "invalid_request_error"),
        ("POST", "/v1/messages/batches", AUTHORIZED, b"{}", 404, "not_found_error"),
        ("GET", "/v1//messages/batches/b1/", AUTHORIZED, b"", 404, "not_found_error"),
        ("POST", "/v1/messages/../x", AUTHORIZED, b"{}", 404, "not_found_error"),
        ("POST", "/messages/x", AUTHORIZED, b"{}", 404, "not_found_error"),
    ],
)
def test_every_failure_has_the_shape_of_the_api(
    address: tuple[str, int], method: str, path: str, headers: dict[str, str], body: bytes, status: int, type: str
) -> None:
    reply = ask(address, method, path, headers, body)
    assert reply.status == status
    assert error_of(reply)["type"] == type
    assert status != 405 or reply.headers["allow"] == "options, post"


@pytest.mark.parametrize("path", ["/v1/messagesx", "/v1/chat/messages", "/nowhere"])
def test_other_paths_keep_the_shape_of_openai(address: tuple[str, int], path: str) -> None:
    reply = ask(address, "POST", path, body=b"{}")
    assert (reply.status, reply.error["code"]) == (404, "not_found")
    assert "request-id" not in reply.headers


@pytest.mark.parametrize(
    ("error", "status", "type"),
    [
        (PoolExhausted("Wait.", status=429, retry_after_s=7, should_retry=True), 429, "rate_limit_error"),
        (GatewayError("Late.", status=504), 504, "timeout_error"),
        (RuntimeError("a secret"), 500, "api_error"),
        (RecursionError(), 400, "invalid_request_error"),
    ],
)
def test_failures_of_the_relay_have_it_too(error: Exception, status: int, type: str) -> None:
    def answer(relay: ScriptedRelay) -> Reply:
        raise error

    with served(ScriptedRelay(answer)) as address:
        reply = ask(address, "POST", "/v1/messages", body=CHAT)
    assert reply.status == status
    assert error_of(reply)["type"] == type
    assert b"secret" not in reply.body
    if status == 429:
        assert (reply.headers["retry-after"], reply.headers["x-should-retry"]) == ("7", "true")


def test_messages_reach_their_dialect_with_either_kind_of_key() -> None:
    relay = ScriptedRelay()
    with served(relay) as address:
        for headers in ({"x-api-key": KEY}, AUTHORIZED, {"x-api-key": f"{PREFIX}at-1,acc"}):
            session = {"x-claude-code-session-id": "s1"}
            reply = ask(address, "POST", "/v1/messages?beta=true", {**headers, **session}, CHAT)
            assert (reply.status, reply.body) == (200, b'{"ok":true}')
            assert reply.headers["request-id"] == reply.headers["x-request-id"]
    assert [(dialect, session) for dialect, _, _, _, session in relay.calls] == [("messages", "s1")] * 3
    assert [caller.token for _, _, caller, _, _ in relay.calls] == [None, None, "at-1"]


def test_a_stream_names_the_request_too() -> None:
    with served(streamed(b"event: ping\n\n")) as address:
        reply = ask(address, "POST", "/v1/messages", body=CHAT)
    assert reply.headers["request-id"].startswith("req_")
    assert reply.body == b"event: ping\n\n"


def test_tokens_are_counted_without_asking_anybody() -> None:
    relay = ScriptedRelay()
    with served(relay) as address:
        reply = ask(address, "POST", "/v1/messages/count_tokens?beta=true", body=CHAT)
    assert reply.status == 200
    assert set(reply.json()) == {"input_tokens"} and reply.json()["input_tokens"] > 0
    assert reply.headers["x-gateway-estimated"] == "input_tokens"
    assert relay.calls == []


def test_the_family_and_the_dialect_are_the_real_ones() -> None:
    assert messages_dialect().name == "messages"
    assert ANTHROPIC.envelope(GatewayError("No."), "req_1")["request_id"] == "req_1"
