from __future__ import annotations

from typing import get_args

import pytest
from anthropic.types import ErrorResponse
from anthropic.types.shared import ErrorType
from anthropic.types.thread_unsupported_request_error_details import ThreadUnsupportedRequestErrorDetails

from lib.dialects.messages_errors import envelope, error_type
from lib.errors import GatewayError, InvalidRequest


@pytest.mark.parametrize(
    ("status", "type"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (413, "request_too_large"),
        (415, "invalid_request_error"),
        (426, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_each_status_has_the_apis_name(status: int, type: str) -> None:
    assert error_type(status) == type
    assert type == "request_too_large" or type in get_args(ErrorType)


def test_the_envelope_is_the_apis() -> None:
    error = InvalidRequest("No.", param="n", code="c")
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": "No."}}
    assert envelope(error) == body
    assert envelope(error, "req_1") == body | {"request_id": "req_1"}
    ErrorResponse.model_validate(envelope(error, "req_1"), strict=True)


def test_the_refusal_of_threads_has_the_details_that_sdks_look_for() -> None:
    details = envelope(InvalidRequest("No.", code="thread_unsupported_request"))["error"]["details"]
    ThreadUnsupportedRequestErrorDetails.model_validate(details, strict=True)


def test_a_prompt_that_is_too_long_is_called_so() -> None:
    error = GatewayError("Over 272000 tokens.", status=400, code="context_length_exceeded")
    assert envelope(error)["error"]["message"] == "prompt is too long: Over 272000 tokens."
    error.message = "prompt is too long: 9 > 8"
    assert envelope(error)["error"]["message"] == "prompt is too long: 9 > 8"
