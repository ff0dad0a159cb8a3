"""The exception tree and its defaults."""

from __future__ import annotations

import pytest

from lib.errors import (
    AuthenticationError,
    GatewayError,
    InvalidRequest,
    NotAllowed,
    NotFound,
    PayloadTooLarge,
    PoolExhausted,
    UpstreamError,
    Verdict,
    ended_early,
    refused_tokens,
)


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "should_retry"),
    [
        (GatewayError("m"), 500, "server_error", None, None),
        (InvalidRequest("m"), 400, "invalid_request_error", None, False),
        (AuthenticationError("m"), 401, "invalid_request_error", "invalid_api_key", False),
        (NotAllowed("m"), 403, "permission_error", "key_not_allowed", False),
        (NotFound("m"), 404, "invalid_request_error", "not_found", False),
        (PayloadTooLarge("m"), 413, "invalid_request_error", "payload_too_large", False),
        (PoolExhausted("m"), 503, "server_error", "no_account_configured", False),
    ],
)
def test_each_kind_has_its_status(
    error: GatewayError, status: int, kind: str, code: str | None, should_retry: bool | None
) -> None:
    assert (error.status, error.should_retry) == (status, should_retry)
    assert error.envelope() == {"error": {"message": "m", "type": kind, "param": None, "code": code}}


def test_what_is_given_wins_over_the_kind() -> None:
    error = InvalidRequest("m", status=422, type="t", param="p", code="c", retry_after_s=3, should_retry=True)
    assert error.envelope() == {"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}
    assert (error.status, error.retry_after_s, error.should_retry) == (422, 3, True)


@pytest.mark.parametrize("verdict", Verdict)
def test_the_verdict_says_whether_another_try_makes_sense(verdict: Verdict) -> None:
    worth = verdict in (Verdict.UNREACHABLE, Verdict.SERVICE, Verdict.CHALLENGE, Verdict.LIMIT)
    assert UpstreamError("m", verdict=verdict).should_retry is worth
    assert UpstreamError("m", verdict=verdict, should_retry=not worth).should_retry is not worth


def test_refused_tokens_are_named_by_slot_alone() -> None:
    error = refused_tokens(["a1-3f9c2b", "a3-aaaaaa"], "token_expired")
    assert "(a1, a3)" in error.message and "3f9c2b" not in error.message and error.code == "token_expired"


def test_a_stream_that_ended_early_was_empty_or_cut() -> None:
    empty, cut = ended_early(has_begun=False), ended_early(has_begun=True)
    assert (empty.code, cut.code) == ("upstream_empty_response", "upstream_truncated")
    assert empty.verdict is cut.verdict is Verdict.SERVICE and empty.should_retry and cut.should_retry
