"""One bounded retry of an upstream call, for what can only be judged when the answer is there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest, Item
from lib.errors import UpstreamError, Verdict
from lib.types import Answer, Lease, Upstream, Window
from lib.values import replace

MAX_ATTEMPTS = 2

UNKNOWN_SHAPE = (TypeError, ValueError, LookupError, AttributeError, RecursionError)
"""What reading an event raises whose members are not what they should be."""


class Judge(Protocol):
    """Looks at the answers to one request."""

    def begin(self) -> None:
        """A new answer begins; nothing of the last one was handed out."""

    def take(self, batch: list[Event]) -> list[Event]:
        """What may go out now; nothing before it is certain that this answer stands. Raises RejectedError when it
        does not, and nothing of it went out."""


class RejectedError(Exception):
    """An answer that does not keep to what was asked for."""

    def __init__(self, problem: str, code: str, reminder: Sequence[Item], usage: Mapping[str, Any] | None) -> None:
        """problem: for the caller, should it stay like that. reminder: what the input of another try ends in."""
        super().__init__(problem)
        self.problem = problem
        self.code = code
        self.reminder = reminder
        self.usage = usage


class JudgedAnswer:
    """`lib.types.Answer`: the first answer that the judge lets pass.

    Raises UpstreamError after the last one that it does not. Tokens of rejected answers are counted, too.
    """

    def __init__(
        self,
        answer: Answer,
        judge: Judge,
        upstream: Upstream,
        request: CanonicalRequest,
        lease: Lease,
        timeout_s: float,
    ) -> None:
        self._answer = answer
        self._judge = judge
        self._upstream = upstream
        self._request = request
        self._lease = lease
        self._timeout_s = timeout_s
        self._earlier: list[Window] = []
        self._spent: list[Mapping[str, Any]] = []

    @property
    def windows(self) -> Sequence[Window]:
        return [*self._earlier, *self._answer.windows]

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        return self._batches()

    async def aclose(self) -> None:
        await self._answer.aclose()

    async def _batches(self) -> AsyncGenerator[list[Event], None]:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                async with aclosing(self._judged()) as batches:
                    async for batch in batches:
                        yield batch
                return
            except RejectedError as rejected:
                if attempt == MAX_ATTEMPTS:
                    raise _unmet(rejected) from rejected
                await self._again(rejected)

    async def _judged(self) -> AsyncGenerator[list[Event], None]:
        self._judge.begin()
        async for batch in self._answer:
            try:
                passed = self._judge.take(batch)
            except UNKNOWN_SHAPE as error:
                raise malformed() from error
            if self._spent and passed and passed[-1].type.startswith("response."):
                passed[-1] = _with_usage(passed[-1], self._spent)
            yield passed

    async def _again(self, rejected: RejectedError) -> None:
        self._earlier += self._answer.windows
        if rejected.usage:
            self._spent.append(rejected.usage)
        await self._answer.aclose()
        request = replace(self._request, input=[*self._request.input, *rejected.reminder])
        self._answer = await self._upstream.open(request, self._lease, timeout_s=self._timeout_s)


def _unmet(rejected: RejectedError) -> UpstreamError:
    return UpstreamError(
        rejected.problem,
        verdict=Verdict.REQUEST,  # no other account would answer better
        status=502,
        type="server_error",
        code=rejected.code,
        should_retry=False,
    )


def malformed() -> UpstreamError:
    """For an event that cannot be read: it is not the gateway that failed."""
    return UpstreamError(
        "The upstream sent an event of an unknown shape.",
        verdict=Verdict.SERVICE,
        code="upstream_bad_response",
        should_retry=True,
    )


def usage_of(event: Event) -> Mapping[str, Any] | None:
    """The usage that a terminal event reports."""
    usage = event.fields["response"].get("usage")
    return usage if isinstance(usage, Mapping) else None


def _with_usage(event: Event, spent: Sequence[Mapping[str, Any]]) -> Event:
    """A terminal event with these counts on top; any other event as it is."""
    response = event.fields.get("response")
    if not isinstance(response, Mapping) or not isinstance(response.get("usage"), Mapping):
        return event
    usage = response["usage"]
    for more in spent:
        usage = _sum(usage, more)
    return Event.of({**event.fields, "response": {**response, "usage": usage}})


def _sum(one: Any, other: Any) -> Any:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {**other, **{key: _sum(value, other[key]) if key in other else value for key, value in one.items()}}
    return one + other if isinstance(one, int) and isinstance(other, int) else one
