"""Refusals of OpenAI-compatible servers, in the shapes that they really have."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lib.errors import UpstreamError, Verdict
from lib.upstreams.openai_errors import QUOTA_REST_S, error_of, from_http, from_object

NOW = 1_795_000_000.0


def refused(status: int, body: Any = None, **headers: str) -> UpstreamError:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body or {})
    return from_http(status, {name.replace("_", "-"): value for name, value in headers.items()}, data, NOW)


def error(message: str = "It is so.", **members: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **members}}


@pytest.mark.parametrize("status", [400, 404, 409, 413, 415, 422])
def test_what_blames_the_request_keeps_the_upstream_s_words(status: int) -> None:
    found = refused(status, error("Too long.", type="odd_error", param="messages", code="context_length_exceeded"))
    assert (found.verdict, found.status, found.message) == (Verdict.REQUEST, status, "Too long.")
    assert (found.type, found.param, found.code) == ("odd_error", "messages", "context_length_exceeded")
    assert found.should_retry is False


@pytest.mark.parametrize(
    ("status", "verdict", "told"),
    [
        (401, Verdict.ACCOUNT, 401),
        (402, Verdict.LIMIT, 429),
        (403, Verdict.FORBIDDEN, 403),
        (408, Verdict.SERVICE, 504),
        (429, Verdict.LIMIT, 429),
        (500, Verdict.SERVICE, 502),
        (502, Verdict.SERVICE, 502),
        (503, Verdict.SERVICE, 503),
        (504, Verdict.SERVICE, 504),
        (529, Verdict.SERVICE, 503),
    ],
)
def test_a_status_says_whose_fault_it_is(status: int, verdict: Verdict, told: int) -> None:
    for body in (error(), b"", b"some words"):
        found = refused(status, body)
        assert (found.verdict, found.status) == (verdict, told)


@pytest.mark.parametrize("status", [401, 403])
def test_words_about_a_key_are_not_repeated(status: int) -> None:
    found = refused(status, error("Incorrect API key provided: 0123secret. See …", code="0123secret"))
    assert "secret" not in found.message and "secret" not in str(found.code)


def test_credentials_are_cut_out_of_other_messages() -> None:
    found = refused(400, error("Bad header Bearer abc123 and sk-proj-abcdefghijklmnop1234"))
    assert "abc" not in found.message and "[removed]" in found.message


def test_messages_are_bounded() -> None:
    assert len(refused(400, error("x" * 100_000)).message) <= 2000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        ([{"error": {"code": 404, "message": "m"}}], "m"),
        ({"object": "error", "message": "m", "type": "NotFoundError", "code": 404}, "m"),
        ({"object": "error", "message": {"detail": ["d"]}}, '{"detail":["d"]}'),
        ({"detail": "m"}, "m"),
        ({"detail": [{"msg": "m"}]}, '[{"msg":"m"}]'),
        ({"message": "m"}, "m"),
    ],
)
def test_errors_are_found_in_every_shape(body: Any, message: str) -> None:
    found = error_of(body)
    assert found is not None and found["message"] == message
    assert refused(404, body).message == message


@pytest.mark.parametrize("body", [None, [], {}, 5, {"choices": [], "message": "m"}, {"error": None, "output": []}])
def test_what_is_no_error_is_none(body: Any) -> None:
    assert error_of(body) is None


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after_ms": "1500", "retry_after": "7"}, 1.5),
        ({"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "6m0.5s"}, 360.5),
        ({"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "120ms"}, 0.12),
        ({"x_ratelimit_remaining_requests": "9", "x_ratelimit_reset_requests": "8h0m0s"}, None),
        ({"x_ratelimit_reset": str(int(NOW + 30) * 1000)}, 30),
        ({"x_ratelimit_reset": str(int(NOW + 30))}, 30),
        ({"x_ratelimit_reset": "nonsense"}, None),
        ({}, None),
    ],
)
def test_a_limit_says_how_long(headers: dict[str, str], wait: float | None) -> None:
    assert refused(429, error(), **headers).retry_after_s == (None if wait is None else pytest.approx(wait))


def test_a_key_without_credit_rests_long() -> None:
    for found in (
        refused(429, error(code="insufficient_quota")),
        refused(402, error()),
        refused(429, error(type="insufficient_quota")),
    ):
        assert found.code == "insufficient_quota" and found.retry_after_s == QUOTA_REST_S


def test_an_overload_says_when_to_come_back() -> None:
    found = refused(503, error(code="server_overloaded"), retry_after="3")
    assert (found.code, found.retry_after_s) == ("server_overloaded", 3)


def test_encrypted_reasoning_of_another_account_is_told_apart() -> None:
    assert refused(400, error(code="invalid_encrypted_content")).verdict is Verdict.REASONING


def test_moderated_input_blames_the_request_and_not_the_key() -> None:
    body = {"error": {"code": 403, "message": "Flagged.", "metadata": {"reasons": ["violence"]}}}
    found = refused(403, body)
    assert (found.verdict, found.message) == (Verdict.REQUEST, "Flagged.")


@pytest.mark.parametrize(
    ("status", "verdict"), [(403, Verdict.CHALLENGE), (404, Verdict.SERVICE), (502, Verdict.SERVICE)]
)
def test_pages_never_reach_the_caller(status: int, verdict: Verdict) -> None:
    found = refused(status, b"<!DOCTYPE html><title>Just a moment...</title>marked")
    assert found.verdict is verdict and "marked" not in found.message


def test_a_redirect_is_not_followed() -> None:
    assert "redirect" in refused(307).message


@pytest.mark.parametrize(
    ("members", "verdict", "status"),
    [
        ({"code": "rate_limit_exceeded"}, Verdict.LIMIT, 429),
        ({"code": 429}, Verdict.LIMIT, 429),
        ({"code": "503"}, Verdict.SERVICE, 503),
        ({"code": 502}, Verdict.SERVICE, 502),
        ({"type": "invalid_request_error"}, Verdict.REQUEST, 400),
        ({"type": "BadRequestError", "code": 400}, Verdict.REQUEST, 400),
        ({"code": "image_parse_error"}, Verdict.REQUEST, 400),
        ({"code": "invalid_api_key"}, Verdict.ACCOUNT, 401),
        ({"type": "overloaded_error"}, Verdict.SERVICE, 503),
        ({"code": "who_knows"}, Verdict.SERVICE, 502),
        ({"code": True}, Verdict.SERVICE, 502),
        ({}, Verdict.SERVICE, 502),
    ],
)
def test_an_error_in_a_good_answer_is_read_by_its_members(
    members: dict[str, Any], verdict: Verdict, status: int
) -> None:
    found = from_object({"message": "m", **members}, NOW)
    assert (found.verdict, found.status, found.type != "") == (verdict, status, True)
