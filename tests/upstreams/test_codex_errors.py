"""What each failure of the Codex backend means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lib.errors import UpstreamError, Verdict
from lib.upstreams.codex_errors import from_event, from_http

NOW = 1_795_000_000.0


def http(status: int, body: object = b"", headers: dict[str, str] | None = None) -> UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return from_http(status, headers or {}, raw, [], NOW)


def api(code: str | None = None, message: str = "No.", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code, **more}}


@pytest.mark.parametrize(
    ("status", "body", "verdict", "seen_status", "code"),
    [
        (400, api("unknown_parameter"), Verdict.REQUEST, 400, "unknown_parameter"),
        (400, api("context_length_exceeded"), Verdict.REQUEST, 400, "context_length_exceeded"),
        (400, api("invalid_encrypted_content"), Verdict.REASONING, 400, "invalid_encrypted_content"),
        (400, {"detail": "Unsupported parameter: seed"}, Verdict.REQUEST, 400, "unsupported_parameter"),
        (400, {"detail": "The 'x' model is not supported when using Codex with a ChatGPT account."},
         Verdict.REQUEST, 404, "model_not_found"),
        (400, {"detail": "The 'x' model requires a newer version of Codex."},
         Verdict.REQUEST, 400, "codex_client_too_old"),
        (401, api("token_expired"), Verdict.ACCOUNT, 401, "token_expired"),
        (401, {"detail": "Unauthorized"}, Verdict.ACCOUNT, 401, "upstream_unauthorized"),
        (401, b"", Verdict.ACCOUNT, 401, "upstream_unauthorized"),
        (402, {"detail": {"code": "deactivated_workspace"}}, Verdict.FORBIDDEN, 403, "upstream_forbidden"),
        (403, {"error": {"message": "Region not supported."}}, Verdict.FORBIDDEN, 403, "upstream_forbidden"),
        (403, b"", Verdict.FORBIDDEN, 403, "upstream_forbidden"),
        (404, {"detail": "Not Found"}, Verdict.REQUEST, 404, "model_not_found"),
        (404, api(message="Item with id 'rs_1' not found."), Verdict.REQUEST, 404, "item_not_found"),
        (413, b"", Verdict.REQUEST, 400, "context_length_exceeded"),
        (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, Verdict.REQUEST, 400, "invalid_request"),
        (429, {"error": {"type": "usage_limit_reached", "message": "Used up."}},
         Verdict.LIMIT, 429, "insufficient_quota"),
        (429, b"slow down", Verdict.LIMIT, 429, "rate_limit_exceeded"),
        (500, b"oops", Verdict.SERVICE, 502, "upstream_error"),
        (502, b"<html></html>", Verdict.SERVICE, 502, "upstream_error"),
        (503, api("server_is_overloaded"), Verdict.SERVICE, 503, "upstream_overloaded"),
        (529, b"", Verdict.SERVICE, 502, "upstream_error"),
        (302, b"", Verdict.SERVICE, 502, "upstream_error"),
        (200, api("rate_limit_exceeded"), Verdict.LIMIT, 429, "rate_limit_exceeded"),
        (200, {"detail": "Instructions are required"}, Verdict.REQUEST, 400, "invalid_request"),
        (200, {"object": "response"}, Verdict.SERVICE, 502, "upstream_bad_response"),
        (200, b"<!DOCTYPE html><html></html>", Verdict.SERVICE, 502, "upstream_bad_response"),
    ],
)  # fmt: skip
def test_every_answer_has_a_verdict(
    status: int, body: object, verdict: Verdict, seen_status: int, code: str | None
) -> None:
    error = http(status, body)
    assert (error.verdict, error.status, error.code) == (verdict, seen_status, code)


@pytest.mark.parametrize(
    ("body", "headers", "asked"),
    [
        (b"<!DOCTYPE html><title>Just a moment...</title>", {}, "browser check"),
        (b"<html>Attention Required</html>", {}, "network address"),
        (b'{"detail": "turnstile token is required"}', {}, "turnstile token is required"),
        (b'{"detail": "Arkose token missing"}', {}, "Arkose token is required"),
        (b'{"detail": "proofofwork missing"}', {}, "proof of work is required"),
        (b"", {"cf-mitigated": "challenge"}, "web page"),
        (b"<html>secret-canary</html>", {}, "web page"),
    ],
)
def test_a_challenge_is_named_and_never_echoed(body: bytes, headers: dict[str, str], asked: str) -> None:
    error = http(403, body, headers)
    assert (error.verdict, error.status, error.code) == (Verdict.CHALLENGE, 503, "upstream_challenge")
    assert asked in error.message
    assert "canary" not in error.message and "<" not in error.message


def test_a_page_under_503_is_a_challenge_and_json_is_not() -> None:
    assert http(503, b"<html></html>").verdict is Verdict.CHALLENGE
    assert http(503, {"error": {"message": "down"}}).verdict is Verdict.SERVICE


def test_a_limit_carries_its_wait() -> None:
    assert http(429, b"", {"retry-after": "20"}).retry_after_s == 20
    assert http(429, {"error": {"resets_in_seconds": 5400}}, {"retry-after": "20"}).retry_after_s == 5400


def test_the_callers_message_and_param_are_kept() -> None:
    error = http(400, api("string_above_max_length", "Too long.", param="input[1].call_id"))
    assert (error.message, error.param, error.type) == ("Too long.", "input[1].call_id", "invalid_request_error")
    assert len(http(400, api(message="x" * 10_000)).message) == 2000


@pytest.mark.parametrize(
    ("fields", "verdict", "status", "code"),
    [
        ({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded",
          "message": "try again in 2s"}}}, Verdict.LIMIT, 429, "rate_limit_exceeded"),
        ({"type": "response.failed", "response": {"error": {"code": "context_length_exceeded", "message": "m"}}},
         Verdict.REQUEST, 400, "context_length_exceeded"),
        ({"type": "error", "error": {"code": "server_is_overloaded", "message": "m"}},
         Verdict.SERVICE, 503, "upstream_overloaded"),
        ({"type": "error", "code": "server_error", "message": "m", "param": None},
         Verdict.SERVICE, 502, "upstream_error"),
        ({"type": "response.failed", "response": {"error": {"code": None,
          "message": "Selected model is at capacity. Please try a different model."}}},
         Verdict.SERVICE, 503, "upstream_overloaded"),
        ({"type": "error", "error": {"type": "invalid_request_error", "code": "image_too_large", "message": "m"}},
         Verdict.REQUEST, 400, "image_too_large"),
        ({"type": "response.failed", "response": {"error": {"code": "invalid_image_format", "message": "m"}}},
         Verdict.REQUEST, 400, "invalid_image_format"),
        ({"type": "error", "status": 429, "error": {"message": "m"}, "headers": {"Retry-After": "7"}},
         Verdict.LIMIT, 429, "rate_limit_exceeded"),
        ({"type": "response.failed", "response": {"error": None}}, Verdict.SERVICE, 502, "upstream_error"),
        ({"type": "response.failed"}, Verdict.SERVICE, 502, "upstream_error"),
    ],
)  # fmt: skip
def test_every_failure_event_has_a_verdict(fields: dict[str, Any], verdict: Verdict, status: int, code: str) -> None:
    error = from_event(fields, [], NOW)
    assert (error.verdict, error.status, error.code) == (verdict, status, code)


def test_an_event_says_when_to_come_back() -> None:
    failed = {
        "type": "response.failed",
        "response": {"error": {"code": "rate_limit_exceeded", "message": "try again in 11.054s"}},
    }
    assert from_event(failed, [], NOW).retry_after_s == pytest.approx(11.054)
    packed = {"type": "error", "status": 429, "error": {"message": "m"}, "headers": {"Retry-After": "7"}}
    assert from_event(packed, [], NOW).retry_after_s == 7
