from __future__ import annotations

import gzip

import pytest

from lib.types import Reply
from lib.web.routes import CATALOGUE_DATE, chat_dialect, responses_dialect
from tests.web.scripted import AUTHORIZED, CHAT, KEY, PREFIX, ScriptedRelay, ask, raw, request_bytes, served


def test_each_generating_path_reaches_its_dialect() -> None:
    relay = ScriptedRelay()
    with served(relay) as address:
        for path in ["/v1/chat/completions", "/chat/completions", "/v1/responses", "/responses/"]:
            reply = ask(address, "POST", path, body=CHAT)
            assert (reply.status, reply.body) == (200, b'{"ok":true}')
            assert reply.headers["content-type"] == "application/json"
            assert reply.headers["content-length"] == "11"
    assert [call[0] for call in relay.calls] == ["chat", "chat", "responses", "responses"]
    assert relay.calls[0][1] == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_the_callers_own_token_reaches_the_relay() -> None:
    relay = ScriptedRelay()
    with served(relay) as address:
        ask(address, "POST", "/v1/responses", {"authorization": f"Bearer {PREFIX}at-1,acc"}, b"{}")
        ask(address, "POST", "/v1/responses", {"x-api-key": KEY}, b"{}")
    assert [(call[2].token, call[2].account_id) for call in relay.calls] == [("at-1", "acc"), (None, None)]


@pytest.mark.parametrize(
    ("value", "setting", "strict"),
    [("true", False, True), ("TRUE", False, True), ("1", False, False), ("false", True, True), (None, False, False)],
)
def test_strictness_comes_from_the_header_or_the_settings(value: str | None, setting: bool, strict: bool) -> None:
    relay = ScriptedRelay()
    with served(relay, strict=setting) as address:
        ask(address, "POST", "/v1/responses", AUTHORIZED | ({"x-gateway-strict": value} if value else {}), b"{}")
    assert relay.calls[0][3] is strict


@pytest.mark.parametrize(
    ("headers", "session"),
    [
        ({"session_id": "s1"}, "s1"),
        ({"x-session-id": "x", "thread-id": "t", "conversation_id": "c"}, "c"),
        ({"session-id": "has space", "thread-id": "t"}, "t"),
        ({"session-id": "x" * 257}, None),
        ({"session-id": "é"}, None),
        ({}, None),
    ],
)
def test_the_session_header_is_passed_on(headers: dict[str, str], session: str | None) -> None:
    relay = ScriptedRelay()
    with served(relay) as address:
        ask(address, "POST", "/v1/responses", AUTHORIZED | headers, b"{}")
    assert relay.calls[0][4] == session


def test_the_replys_headers_are_sent_and_cannot_split_the_response() -> None:
    relay = ScriptedRelay(lambda relay: Reply(200, {"x-gateway-ignored": "a\r\nset-cookie: x\u2028"}, body=b"{}"))
    with served(relay) as address:
        reply = ask(address, "POST", "/v1/responses", body=b"{}")
    assert reply.headers["x-gateway-ignored"] == "a??set-cookie: x?"
    assert "set-cookie" not in reply.headers


def test_bodies_are_bounded_and_may_be_compressed() -> None:
    relay = ScriptedRelay()
    with served(relay, max_request_bytes=1000) as address:
        assert ask(address, "POST", "/v1/responses", body=b"{" + b" " * 1000 + b"}").status == 413
        head = request_bytes("POST", "/v1/responses", AUTHORIZED | {"transfer-encoding": "chunked"})
        assert raw(address, head + b"2\r\n{}\r\n0\r\n\r\n").status == 200
        assert raw(address, head + (b"200\r\n" + b" " * 512 + b"\r\n") * 2 + b"0\r\n\r\n").status == 413
        gzipped = AUTHORIZED | {"content-encoding": "gzip"}
        assert ask(address, "POST", "/v1/responses", gzipped, gzip.compress(b"{}")).status == 200
        assert ask(address, "POST", "/v1/responses", gzipped, gzip.compress(b" " * 10_000_000)).status == 413
        unknown = ask(address, "POST", "/v1/responses", AUTHORIZED | {"content-encoding": "br"}, b"{}")
        assert (unknown.status, unknown.error["code"]) == (415, "unsupported_encoding")
        form = ask(address, "POST", "/v1/responses", AUTHORIZED | {"content-type": "multipart/form-data"}, b"{}")
        assert form.status == 415
    assert len(relay.calls) == 2


def test_the_key_is_asked_for_before_the_body_is_read() -> None:
    with served(max_request_bytes=10) as address:
        for path in ["/v1/chat/completions", "/v1/responses"]:
            assert ask(address, "POST", path, {}, b"x" * 1000).status == 401
        for path in ["/v1/models", "/v1/models/x", "/v1/accTokens"]:
            assert ask(address, "GET", path, {}).status == 401


def test_the_catalogue_leaves_out_what_is_hidden(address: tuple[str, int]) -> None:
    reply = ask(address, "GET", "/v1/models?client_version=0.169.0")
    first = {
        "id": "gpt-a",
        "object": "model",
        "created": CATALOGUE_DATE,
        "owned_by": "chatgpt",
        "name": "GPT A",
        "context_length": 1000,
        "architecture": {"input_modalities": ["text", "image"]},
    }
    second = {"id": "org/gpt-b", "object": "model", "created": CATALOGUE_DATE, "owned_by": "chatgpt"}
    assert reply.json() == {"object": "list", "data": [first, second]}


def test_one_model_is_found_by_its_whole_id_hidden_or_not(address: tuple[str, int]) -> None:
    for model in ["gpt-a", "org/gpt-b", "secret"]:
        assert ask(address, "GET", f"/v1/models/{model}").json()["id"] == model
    missing = ask(address, "GET", "/models/" + "x" * 500)
    assert missing.status == 404
    assert (missing.error["code"], missing.error["param"]) == ("model_not_found", "model")
    assert len(missing.error["message"]) < 200


def test_the_accounts_are_counted(address: tuple[str, int]) -> None:
    assert ask(address, "GET", "/v1/accTokens").json() == {"count": 3, "canUseCount": 2}
    assert ask(address, "GET", "/accTokens").status == 200


def test_liveness_needs_no_key(address: tuple[str, int]) -> None:
    assert ask(address, "GET", "/ping", {}).json() == {"message": "pong"}
    assert ask(address, "GET", "/healthz", {}).json() == {"status": "ok"}


def test_the_dialects_are_the_real_ones() -> None:
    assert (chat_dialect().name, responses_dialect().name) == ("chat", "responses")
