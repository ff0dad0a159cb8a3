"""What a caller is told of a failure that nobody expected, and of one that somebody did."""

from __future__ import annotations

from lib.errors import GatewayError, InvalidRequest
from lib.failures import told
from lib.types import Trace


def test_what_was_expected_is_told_as_it_is() -> None:
    error, trace = InvalidRequest("Change it.", code="wrong"), Trace("r", 0.0)
    assert told(error, trace) is error
    assert (trace.error, trace.failure) == ("wrong", None)


def test_what_nobody_expected_is_logged_and_not_told() -> None:
    error, trace = RuntimeError("secret words"), Trace("r", 0.0)
    failure = told(error, trace)
    assert type(failure) is GatewayError and "secret" not in failure.message
    assert (trace.error, trace.failure) == ("internal_error", error)
