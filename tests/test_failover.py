"""Attempts, verdicts and the commit point."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import GatewayError, InvalidRequest, PoolExhausted, UpstreamError, Verdict
from lib.failover import Budget, Failover
from lib.types import Lease, Route, Trace, Window
from tests.fakes.scripted import (
    ADDED,
    CREATED,
    ScriptedCredentials,
    ScriptedUpstream,
    completed,
    delta,
    failure,
    good,
)


def run(
    upstream: ScriptedUpstream,
    credentials: ScriptedCredentials | None = None,
    *,
    budget: Budget | None = None,
    now: Callable[[], float] = lambda: 0.0,
    request: CanonicalRequest | None = None,
) -> tuple[list[list[Event]], GatewayError | None, ScriptedCredentials, Trace]:
    """(batches, the error that ended them, credentials, trace)"""
    credentials = credentials or ScriptedCredentials()
    trace = Trace("req_1", 0.0)
    batches: list[list[Event]] = []

    async def main() -> GatewayError | None:
        route = Route(upstream, credentials, "m")
        stream = Failover(budget or Budget(), now=now).stream(request or REQUEST, route, trace)
        try:
            async for batch in stream:
                batches.append(batch)
        except GatewayError as error:
            return error
        return None

    return batches, asyncio.run(main()), credentials, trace


REQUEST = CanonicalRequest(
    model="asked", input=[{"type": "reasoning", "encrypted_content": "gAAA"}, {"type": "message"}]
)


def types(batches: list[list[Event]]) -> list[str]:
    return [event.type.removeprefix("response.") for batch in batches for event in batch]


def test_preamble_waits_for_output_and_says_that_it_lives() -> None:
    batches, error, credentials, trace = run(ScriptedUpstream(good()))
    assert error is None
    assert batches[0] == []
    assert [event.type for event in batches[1]] == [CREATED.type, ADDED.type, "response.output_text.delta"]
    assert credentials.verdicts == [("a1", None)] and trace.accounts == ["a1"]


def test_the_route_names_the_model() -> None:
    upstream = ScriptedUpstream(good())
    run(upstream)
    assert upstream.requests[0][0].model == "m"


@pytest.mark.parametrize(
    "verdict", [Verdict.LIMIT, Verdict.SERVICE, Verdict.ACCOUNT, Verdict.FORBIDDEN, Verdict.CHALLENGE]
)
@pytest.mark.parametrize("at_open", [True, False])
def test_a_failure_before_output_moves_to_the_next_account(verdict: Verdict, at_open: bool) -> None:
    error = failure(verdict)
    upstream = ScriptedUpstream(error if at_open else [[CREATED], error], good("from a2"))
    batches, ended, credentials, _ = run(upstream)
    assert ended is None and upstream.accounts == ["a1", "a2"]
    assert types(batches) == ["created", "output_item.added", "output_text.delta", "completed"]
    assert credentials.verdicts == [("a1", verdict), ("a2", None)]
    assert all(answer.closed for answer in upstream.answers)


def test_nothing_is_replayed_after_output() -> None:
    broken = failure(Verdict.SERVICE)
    upstream = ScriptedUpstream([[CREATED, ADDED, delta("Hi")], broken], good())
    batches, error, credentials, _ = run(upstream)
    assert error is broken and len(upstream.requests) == 1
    assert types(batches) == ["created", "output_item.added", "output_text.delta"]
    assert credentials.verdicts == [("a1", Verdict.SERVICE)] and upstream.answers[0].closed


def test_the_callers_own_fault_is_raised_at_once() -> None:
    upstream = ScriptedUpstream(failure(Verdict.REQUEST, status=400), good())
    _, error, credentials, _ = run(upstream)
    assert error is not None and error.status == 400 and len(upstream.requests) == 1
    assert credentials.verdicts == [("a1", Verdict.REQUEST)]


def test_an_unreachable_upstream_is_tried_once_more_on_the_same_account() -> None:
    gone = failure(Verdict.UNREACHABLE)
    upstream = ScriptedUpstream(gone, gone, gone, gone)
    _, error, _, trace = run(upstream)
    assert upstream.accounts == ["a1", "a1", "a2", "a3"] == trace.accounts
    assert error is gone


def test_foreign_reasoning_is_dropped_and_tried_once_more() -> None:
    upstream = ScriptedUpstream(failure(Verdict.REASONING), good())
    _, error, _, _ = run(upstream)
    assert error is None and upstream.accounts == ["a1", "a1"]
    assert [len(request.input) for request, _, _ in upstream.requests] == [2, 1]
    again = ScriptedUpstream(failure(Verdict.REASONING), failure(Verdict.REASONING))
    assert isinstance(run(again)[1], UpstreamError) and len(again.requests) == 2


def test_reasoning_does_not_follow_to_another_account() -> None:
    upstream = ScriptedUpstream(failure(Verdict.LIMIT), good())
    run(upstream)
    assert [len(request.input) for request, _, _ in upstream.requests] == [2, 1]


def test_a_challenge_is_met_twice_at_most() -> None:
    upstream = ScriptedUpstream(failure(Verdict.CHALLENGE), failure(Verdict.CHALLENGE), good())
    _, error, _, _ = run(upstream)
    assert isinstance(error, UpstreamError) and upstream.accounts == ["a1", "a2"]


def test_three_accounts_are_enough() -> None:
    upstream = ScriptedUpstream(*[failure(Verdict.SERVICE)] * 5)
    _, error, _, _ = run(upstream)
    assert isinstance(error, UpstreamError) and upstream.accounts == ["a1", "a2", "a3"]


def test_the_pool_speaks_for_limited_accounts_and_the_upstream_for_itself() -> None:
    limited = run(ScriptedUpstream(failure(Verdict.LIMIT, status=429, retry_after_s=99)), ScriptedCredentials(1))[1]
    assert limited is not None and (limited.code, limited.retry_after_s) == ("rate_limit_exceeded", 7)
    broken = run(ScriptedUpstream(failure(Verdict.SERVICE)), ScriptedCredentials(1))[1]
    assert isinstance(broken, UpstreamError)


def test_a_long_wait_is_not_worth_a_retry() -> None:
    error = run(ScriptedUpstream(*[failure(Verdict.LIMIT, retry_after_s=5000, should_retry=True)] * 3))[1]
    assert error is not None and error.should_retry is False


def test_an_empty_pool_says_so() -> None:
    _, error, _, _ = run(ScriptedUpstream(), ScriptedCredentials(0))
    assert error is not None and error.status == 429


def test_no_attempt_begins_after_the_budget() -> None:
    clock = iter([0.0, 0.0, 50.0])  # start, first attempt, after it
    upstream = ScriptedUpstream(failure(Verdict.SERVICE), good())
    _, error, _, _ = run(upstream, budget=Budget(total_s=40, first_byte_s=60), now=lambda: next(clock))
    assert isinstance(error, UpstreamError) and len(upstream.requests) == 1
    assert upstream.requests[0][2] == 40


def test_an_answer_of_nothing_but_signs_of_life_ends_with_the_budget() -> None:
    clock = iter([0.0, 0.0, 20.0, 39.0, 40.0, 41.0])  # start, first attempt, three signs of life, after it
    upstream = ScriptedUpstream([[CREATED], [], [], [ADDED]], good())
    batches, error, credentials, _ = run(upstream, budget=Budget(total_s=40), now=lambda: next(clock))
    assert error is not None and (error.status, error.code, error.should_retry) == (504, "upstream_timeout", True)
    assert batches == [[], []] and upstream.answers[0].closed
    assert credentials.verdicts == [("a1", Verdict.SERVICE)]


def test_an_answer_that_has_begun_is_not_bound_by_the_budget() -> None:
    clock = iter([0.0, 0.0])
    upstream = ScriptedUpstream([[ADDED, delta("Hi")], [], [delta("!")], [completed()]])
    assert run(upstream, now=lambda: next(clock))[1] is None


def test_the_account_is_reported_before_the_last_events_leave() -> None:
    window = Window("codex", 42.0, 300, 1.0)
    upstream = ScriptedUpstream([[CREATED, ADDED], [completed()]], windows=[window])
    credentials = ScriptedCredentials()

    async def main() -> None:
        stream = Failover(Budget(), now=lambda: 0.0).stream(REQUEST, Route(upstream, credentials, "m"), Trace("r", 0.0))
        await anext(stream)
        assert credentials.reports == []
        await anext(stream)
        assert credentials.reports[0][1].windows == (window,)
        await stream.aclose()
        assert len(credentials.reports) == 1

    asyncio.run(main())


def test_a_caller_who_leaves_closes_the_upstream() -> None:
    upstream = ScriptedUpstream(good())
    credentials = ScriptedCredentials()

    async def main() -> None:
        stream = Failover(Budget(), now=lambda: 0.0).stream(REQUEST, Route(upstream, credentials, "m"), Trace("r", 0.0))
        await anext(stream)
        await anext(stream)
        await stream.aclose()

    asyncio.run(main())
    assert upstream.answers[0].closed and credentials.verdicts == [("a1", None)]


def test_a_request_the_upstream_cannot_take_tells_nothing_of_the_account() -> None:
    class Refusing(ScriptedUpstream):
        async def open(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            raise InvalidRequest("No audio here.")

    _, error, credentials, _ = run(Refusing())
    assert isinstance(error, InvalidRequest) and credentials.reports == []


def test_resting_accounts_speak_before_refused_ones() -> None:
    limited, refused = failure(Verdict.LIMIT, status=429), failure(Verdict.ACCOUNT, status=401, code="token_expired")
    for order in ((limited, refused), (refused, limited)):
        error = run(ScriptedUpstream(*order), ScriptedCredentials(2))[1]
        assert error is not None and (error.status, error.retry_after_s) == (429, 7)


def test_refused_tokens_are_named_by_slot_and_not_in_the_upstreams_words() -> None:
    refused = failure(Verdict.ACCOUNT, status=401, code="token_expired")
    error = run(ScriptedUpstream(refused, refused, refused))[1]
    assert error is not None and (error.status, error.code) == (401, "token_expired")
    assert "a1, a2, a3" in error.message and "it failed" not in error.message


def test_tokens_that_may_still_be_renewed_need_not_be_replaced() -> None:
    class Renewing(ScriptedCredentials):
        async def lease(self, **asked: Any) -> Lease:
            if asked["tried"]:
                raise PoolExhausted("Try again in 60 s.", code="token_renewal_failed", should_retry=True)
            return await super().lease(**asked)

    error = run(ScriptedUpstream(failure(Verdict.ACCOUNT, status=401, code="token_expired")), Renewing())[1]
    assert error is not None
    assert (error.status, error.code, error.should_retry) == (503, "token_renewal_failed", True)


def test_a_broken_upstream_is_not_hidden_behind_an_empty_pool() -> None:
    class Single(ScriptedCredentials):
        async def lease(self, **asked: Any) -> Lease:
            if asked["tried"]:
                raise PoolExhausted("No other account is left to try.", code="no_account_left")
            return await super().lease(**asked)

    error = run(ScriptedUpstream(failure(Verdict.CHALLENGE, status=503, code="upstream_challenge")), Single())[1]
    assert error is not None and (error.code, error.should_retry) == ("upstream_challenge", True)


def test_a_second_try_on_the_same_account_keeps_to_the_budget_too() -> None:
    clock = iter([0.0, 0.0, 50.0])
    upstream = ScriptedUpstream(failure(Verdict.UNREACHABLE), good())
    _, error, _, _ = run(upstream, budget=Budget(total_s=40), now=lambda: next(clock))
    assert isinstance(error, UpstreamError) and len(upstream.requests) == 1


def call(*steps: str | UpstreamError, credentials: ScriptedCredentials, budget: Budget | None = None) -> str:
    """The result of a call that plays one step for each attempt."""
    left = list(steps)

    async def send(lease: Lease, timeout_s: float) -> str:
        assert 0 < timeout_s <= 60
        step = left.pop(0)
        if isinstance(step, UpstreamError):
            raise step
        return f"{step} of {lease.account}"

    route = Route(ScriptedUpstream(), credentials, None)
    failover = Failover(budget or Budget(), now=lambda: 0.0)
    return asyncio.run(failover.call(send, route, Trace("req_1", 0.0), affinity="x"))


def test_a_call_goes_to_the_next_account_like_a_stream() -> None:
    credentials = ScriptedCredentials()
    assert call(failure(Verdict.LIMIT), failure(Verdict.ACCOUNT), "it", credentials=credentials) == "it of a3"
    assert credentials.verdicts == [("a1", Verdict.LIMIT), ("a2", Verdict.ACCOUNT), ("a3", None)]


def test_a_call_stays_on_its_account_for_a_fresh_connection() -> None:
    credentials = ScriptedCredentials()
    assert call(failure(Verdict.UNREACHABLE), "it", credentials=credentials) == "it of a1"


def test_a_call_that_is_the_callers_fault_is_not_repeated() -> None:
    credentials = ScriptedCredentials()
    with pytest.raises(UpstreamError):
        call(failure(Verdict.REQUEST), "never", credentials=credentials)
    assert credentials.verdicts == [("a1", Verdict.REQUEST)]


def test_a_call_ends_with_the_accounts() -> None:
    with pytest.raises(GatewayError) as caught:
        call(*(failure(Verdict.SERVICE) for _ in range(3)), credentials=ScriptedCredentials())
    assert caught.value.status == 502
