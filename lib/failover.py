"""One request over several accounts: the only place where a pool and an upstream meet, and it knows neither by class.

An attempt is one lease used for one upstream call. Until the commit point (the first event that carries output) a
failure moves the request to the next account, unseen by the caller; after it nothing is replayed and the failure is
raised. What a failure means is its verdict:

    REQUEST       the caller's fault: raised at once
    UNREACHABLE   once more on a fresh connection, then the next account
    REASONING     once more without encrypted reasoning, on the same account
    CHALLENGE     one other account, no more
    others        the next account, at most `max_accounts` of them, inside `budget_s`
"""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from lib.canonical.events import COMPLETED, PREAMBLE, Event
from lib.canonical.request import CanonicalRequest, without_reasoning
from lib.errors import GatewayError, PoolExhausted, UpstreamError, Verdict, refused_tokens
from lib.types import Answer, Clock, Credentials, EventStream, Lease, Outcome, Route, Trace, Window
from lib.values import Value, replace

T = TypeVar("T")
Report = Callable[[UpstreamError | None], Awaitable[None]]
"""Tells the credentials how an attempt ended; awaited once."""

_LOG = logging.getLogger("chat2api.accounts")
_NONE_LEFT = "no_account_left"
"""What credentials say that know no more than that all were tried."""
_LONG_WAIT_S = 60.0
"""The official SDKs sleep through a `retry-after` of up to a minute; a longer one they would ignore and hammer."""


class Budget(Value, frozen=True):
    """How much one request may try."""

    max_accounts: int = 3
    total_s: float = 120.0
    """No attempt begins after this, and none goes on that has brought no output until then."""
    first_byte_s: float = 60.0
    """How long one attempt may wait for the upstream's status line."""


class _State(msgspec.Struct):
    """What the attempts of one request have in common."""

    affinity: str
    model: str | None
    deadline: float
    request: CanonicalRequest | None = None
    """None for a request that is no model request."""
    tried: list[str] = []
    repeated: set[Verdict] = set()
    """Verdicts that were already answered by a second try on the same account."""
    lease: Lease | None = None
    """Set when the next attempt stays on its account."""
    last_error: UpstreamError | None = None
    refused: list[str] = []
    """The accounts whose tokens the upstream did not take."""


class Failover:
    """Runs requests over a route's credentials."""

    def __init__(self, budget: Budget, *, now: Clock) -> None:
        self._budget = budget
        self._now = now

    def stream(self, request: CanonicalRequest, route: Route, trace: Trace) -> EventStream:
        """Batches of canonical events; the first one with events in it is the commit point, an empty one before it is
        a sign of life. Raises GatewayError. Close it (`aclose`) to let go of the upstream."""
        request = request if request.model == route.model else replace(request, model=route.model)
        state = _State(request.affinity, route.model, self._now() + self._budget.total_s, request)
        return _Stream(self, state, route, trace)

    async def call(
        self, send: Callable[[Lease, float], Awaitable[T]], route: Route, trace: Trace, *, affinity: str
    ) -> T:
        """One call that is over when `send` returns; see `begin`."""
        result, report = await self.begin(send, route, trace, affinity=affinity)
        await report(None)
        return result

    async def begin(
        self, send: Callable[[Lease, float], Awaitable[T]], route: Route, trace: Trace, *, affinity: str
    ) -> tuple[T, Report]:
        """Begins a call that is no model request. `send` gets a lease and how many seconds it may wait for the first
        byte; it is tried again as a stream is before its commit point. Returns what it returned, and what has to be
        awaited once when the rest of it has gone well or failed. Raises GatewayError."""
        state = _State(affinity, route.model, self._now() + self._budget.total_s)
        while True:
            lease = await self.lease(state, route)
            trace.accounts.append(lease.account)
            try:
                result = await send(lease, self.timeout_s(state))
            except UpstreamError as error:
                error.hide(lease.secrets())
                await route.credentials.report(lease, Outcome(error), route.model)
                self.settle(state, lease, error)
            else:
                return result, functools.partial(_report, route, lease)

    def timeout_s(self, state: _State) -> float:
        """How long an attempt that begins now may wait for the upstream's status line."""
        return max(0.001, min(self._budget.first_byte_s, state.deadline - self._now()))

    def check_time(self, state: _State, attempt: _Attempt) -> None:
        """Ends an attempt that only ever says that it lives: silence has a limit of its own, keep-alives have this."""
        if not attempt.committed and self._now() >= state.deadline:
            raise UpstreamError(
                "The upstream kept the connection alive and sent no output in the time for one request.",
                verdict=Verdict.SERVICE,
                status=504,
                code="upstream_timeout",
            )

    async def lease(self, state: _State, route: Route) -> Lease:
        error = state.last_error
        if error is not None and self._now() >= state.deadline:
            raise _final(state)
        if state.lease is not None:
            lease, state.lease = state.lease, None
            return lease
        try:
            lease = await route.credentials.lease(affinity=state.affinity, model=state.model, tried=state.tried)
        except PoolExhausted as exhausted:
            raise _final(state, exhausted) from error
        if error is not None and len(state.tried) >= self._budget.max_accounts:
            raise _final(state)  # only now: the pool knows whether any account is left that could have served
        if state.tried and state.request is not None:
            state.request = without_reasoning(state.request)
        state.tried.append(lease.account)
        return lease

    def settle(self, state: _State, lease: Lease, error: UpstreamError) -> None:
        """Decides what comes next; raises if nothing does."""
        verdict = error.verdict
        state.last_error = error
        if verdict is Verdict.REQUEST:
            raise error
        if verdict is Verdict.ACCOUNT:
            _LOG.warning("account.refused", extra={"fields": {"account": lease.account, "reason": error.code}})
            state.refused.append(lease.account)
        if verdict in (Verdict.UNREACHABLE, Verdict.REASONING) and verdict not in state.repeated:
            state.repeated.add(verdict)
            state.lease = lease
            if verdict is Verdict.REASONING and state.request is not None:
                state.request = without_reasoning(state.request)
        elif verdict is Verdict.REASONING or (verdict is Verdict.CHALLENGE and verdict in state.repeated):
            raise error
        elif verdict is Verdict.CHALLENGE:
            state.repeated.add(verdict)


class _Stream:
    """The events of one request over all its attempts. An iterator and not a generator, which would hand on every batch
    inside an exception."""

    def __init__(self, failover: Failover, state: _State, route: Route, trace: Trace) -> None:
        self._failover = failover
        self._state = state
        self._route = route
        self._trace = trace
        self._attempt: _Attempt | None = None
        self._read: Callable[[], Awaitable[list[Event]]] | None = None
        self._is_over = False

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        return self

    async def __anext__(self) -> list[Event]:
        while not self._is_over:
            try:
                batch = await (self._begin() if self._read is None else self._read())
                attempt = self._attempt
                assert attempt is not None
                if batch and batch[-1].type in COMPLETED:
                    # The sandbox may freeze once the last bytes have left: nothing may remain to be done then.
                    await attempt.report(None)
                if not attempt.committed:
                    batch = attempt.admit(batch)
                    self._failover.check_time(self._state, attempt)
                return batch
            except UpstreamError as error:
                await self._failed(error)
            except Exception:  # the end, or a failure that is no attempt's
                await self.aclose(has_left=False)
                raise
            except BaseException:
                await self.aclose()
                raise
        raise StopAsyncIteration

    async def aclose(self, *, has_left: bool = True) -> None:
        """Lets go of the upstream; harmless when called again. has_left: the account did its part, if it had begun."""
        self._is_over = True
        self._read = None
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        try:
            if has_left and attempt.committed:
                await attempt.report(None)
        finally:
            await attempt.close()

    async def _begin(self) -> list[Event]:
        """The first batch of the next attempt."""
        lease = await self._failover.lease(self._state, self._route)
        self._trace.accounts.append(lease.account)
        attempt = self._attempt = _Attempt(lease, self._route.credentials, self._route.model)
        request = self._state.request
        assert request is not None
        answer = await attempt.open(self._route, request, self._failover.timeout_s(self._state))
        self._read = answer.__aiter__().__anext__
        return await self._read()

    async def _failed(self, error: UpstreamError) -> None:
        """Makes way for the next attempt; raises if there is none."""
        attempt, self._attempt = self._attempt, None
        self._read = None
        self._is_over = True
        if attempt is None:
            raise error
        error.hide(attempt.lease.secrets())
        try:
            await attempt.report(error)
        finally:
            await attempt.close()
        if attempt.committed:
            raise error
        self._failover.settle(self._state, attempt.lease, error)
        self._is_over = False


class _Attempt:
    """One lease used for one call, reported at most once: with its failure, or before its last events leave."""

    def __init__(self, lease: Lease, credentials: Credentials, model: str | None) -> None:
        self.committed = False
        self.lease = lease
        self._credentials = credentials
        self._model = model
        self._answer: Answer | None = None
        self._held: list[Event] = []
        self._reported = False

    async def open(self, route: Route, request: CanonicalRequest, timeout_s: float) -> Answer:
        self._answer = await route.upstream.open(request, self.lease, timeout_s=timeout_s)
        return self._answer

    def admit(self, batch: list[Event]) -> list[Event]:
        """What may leave of a batch before the commit point: nothing, or all that was held back with it."""
        self._held += batch
        if all(event.type in PREAMBLE for event in batch):
            return []
        self.committed = True
        return self._held

    async def report(self, error: UpstreamError | None) -> None:
        if not self._reported:
            self._reported = True
            windows: Sequence[Window] = self._answer.windows if self._answer is not None else ()
            await self._credentials.report(self.lease, Outcome(error, tuple(windows)), self._model)

    async def close(self) -> None:
        if self._answer is not None:
            await self._answer.aclose()


async def _report(route: Route, lease: Lease, error: UpstreamError | None) -> None:
    await route.credentials.report(lease, Outcome(error), route.model)


def _final(state: _State, exhausted: PoolExhausted | None = None) -> GatewayError:
    """The one failure that the caller sees, of all that happened.

    The pool knows more than the last attempt about what all accounts have in common: how long they rest, which were
    refused, whether their tokens may still be renewed. An upstream's own words about a token are for its owner, and the
    caller of a pool is not that.
    """
    error = state.last_error
    if error is None:
        assert exhausted is not None
        return exhausted
    told: GatewayError = error
    if error.verdict in (Verdict.LIMIT, Verdict.ACCOUNT):
        if exhausted is not None and exhausted.code != _NONE_LEFT:
            told = exhausted
        elif error.verdict is Verdict.ACCOUNT:
            told = refused_tokens(state.refused, error.code)
    if told.retry_after_s is not None and told.retry_after_s > _LONG_WAIT_S:
        told.should_retry = False
    return told
