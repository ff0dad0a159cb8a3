"""Rows of the fault table that are no single request to a fake upstream: what holds, and the tests that show it."""

from __future__ import annotations

from typing import NamedTuple


class Elsewhere(NamedTuple):
    """`tests`: node ids below `tests/`, without parameters."""

    id: str
    fault: str
    holds: str
    tests: tuple[str, ...]


_CASES = "journeys/test_fault_cases.py::"
_IMAGES = "journeys/test_faults_images.py::"
_VERCEL = "api/test_vercel.py::"

ELSEWHERE = (
    Elsewhere(
        "F1, F2",
        "connection refused, unknown host, no TLS, connect timeout",
        "one more try on a fresh connection, then other accounts; 502 `upstream_unreachable`, or 504 "
        "`upstream_timeout`; no account rests",
        (f"{_CASES}test_no_connection", f"{_CASES}test_f1_no_tls"),
    ),
    Elsewhere(
        "F3",
        "401 for more accounts than one request tries",
        "an account whose token is refused is out until the token changes",
        (f"{_CASES}test_f3_refused_tokens_are_not_used_again",),
    ),
    Elsewhere(
        "F18",
        "time and number of attempts",
        "no attempt begins after `FAILOVER_BUDGET_S`, nor one more than `MAX_ATTEMPTS`",
        (f"{_CASES}test_no_attempt_begins_after_the_budget", f"{_CASES}test_number_of_accounts_for_one_request"),
    ),
    Elsewhere(
        "F12",
        "one of several pictures fails",
        "all fail with it, and the upstream's other connections are closed at once",
        (f"{_IMAGES}test_one_of_several_pictures_is_refused",),
    ),
    Elsewhere(
        "F34",
        "no account, all tokens expired, all accounts resting",
        "503 `no_account_configured`, 401 `token_expired`, 429 with the shortest wait",
        (
            f"{_CASES}test_f34_no_account",
            f"{_CASES}test_f34_every_token_expired",
            f"{_CASES}test_f34_every_account_rests",
        ),
    ),
    Elsewhere(
        "F35",
        "the client leaves",
        "the upstream's connection is closed within a second, no further attempt is made, no account rests",
        (
            "journeys/test_disconnects.py::test_before_the_first_byte",
            "journeys/test_disconnects.py::test_in_mid_stream_while_the_upstream_talks",
            "journeys/test_disconnects.py::test_during_failover",
            f"{_IMAGES}test_f35_the_client_leaves",
        ),
    ),
    Elsewhere(
        "F36",
        "the platform's deadline is near",
        "a stream that has begun ends as too long; anything else is a 504 `deadline_exceeded`",
        (
            "journeys/test_deadline.py::test_a_chat_stream_ends_as_too_long",
            "journeys/test_deadline.py::test_a_responses_stream_closes_what_is_open_and_is_incomplete",
            "journeys/test_deadline.py::test_a_messages_stream_ends_with_its_stop_reason",
            "journeys/test_deadline.py::test_an_answer_that_has_not_begun_is_a_504",
            f"{_VERCEL}test_stream_ends_cleanly_before_the_platforms_deadline",
        ),
    ),
    Elsewhere(
        "F37",
        "a request beyond the platform's limit",
        "413 `payload_too_large`, from the gateway itself",
        (
            "api/test_lambda_streaming.py::test_request_over_the_limit_is_a_413",
            "api/test_index.py::test_body_over_the_platform_limit_is_our_own_413",
        ),
    ),
    Elsewhere(
        "F38",
        "a whole answer beyond the platform's limit",
        "413 that says to ask for a stream; a stream of that length passes",
        (
            f"{_VERCEL}test_whole_answer_over_the_limit_is_a_413_and_a_stream_is_not",
            "api/test_lambda_streaming.py::test_long_answer_is_streamed_and_refused_in_one_piece",
        ),
    ),
    Elsewhere(
        "F39",
        "a stale connection, a frozen process, a replaced event loop",
        "the connection is made again; the caller never sees it",
        (
            f"{_CASES}test_f39_connection_that_went_stale_is_replaced_unseen",
            f"{_CASES}test_f39_connection_that_was_closed_while_the_process_was_frozen",
            f"{_CASES}test_f39_event_loop_that_was_replaced",
            "api/test_lambda_streaming.py::test_frozen_sandbox_goes_on_where_it_stopped",
        ),
    ),
    Elsewhere(
        "F40",
        "requests that crash platform adapters",
        "400 in the shape of an OpenAI error",
        (
            "api/test_lambda_runtime.py::test_input_that_crashes_the_adapter_is_a_400",
            "api/test_lambda_runtime.py::test_damaged_base64_is_a_400",
            "api/test_lambda_streaming.py::test_damaged_requests_are_answered_in_the_openai_shape",
        ),
    ),
    Elsewhere(
        "F41",
        "a malformed environment",
        "the function starts; the self-check and the log name the variable and the problem, never the value",
        (
            "settings/test_model.py::test_a_malformed_value_is_named_but_not_shown",
            "settings/test_model.py::test_no_text_makes_settings_raise_or_tell",
            "journeys/test_leaks.py::test_malformed_settings_keep_secrets",
        ),
    ),
    Elsewhere(
        "F42",
        "clocks five minutes apart",
        "tolerated when a token's `exp` is judged",
        (f"{_CASES}test_f42_clock_skew",),
    ),
)
