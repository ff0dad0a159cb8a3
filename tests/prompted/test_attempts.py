from __future__ import annotations

import asyncio

import pytest

from lib.canonical.events import COMPLETED, Event
from lib.errors import UpstreamError
from lib.prompted.attempts import JudgedAnswer, RejectedError, usage_of
from tests.prompted.speaking import LEASE, Speaking, asked


class Judge:
    """Rejects the first `refused` answers."""

    def __init__(self, refused: int) -> None:
        self.begun = 0
        self._refused = refused

    def begin(self) -> None:
        self.begun += 1

    def take(self, batch: list[Event]) -> list[Event]:
        if batch[-1].type not in COMPLETED:
            return []
        if self.begun <= self._refused:
            raise RejectedError("It was not good", "not_good", [{"type": "message"}], usage_of(batch[-1]))
        return batch


def judged(upstream: Speaking, judge: Judge) -> Event:
    """The terminal event."""

    async def run() -> Event:
        request = asked()
        first = await upstream.open(request, LEASE, timeout_s=7)
        answer = JudgedAnswer(first, judge, upstream, request, LEASE, 7)
        try:
            batches = [batch async for batch in answer]
        finally:
            await answer.aclose()
        return batches[-1][-1]

    return asyncio.run(run())


def test_a_good_answer_is_asked_for_once() -> None:
    upstream = Speaking("x")
    assert judged(upstream, Judge(0)).fields["response"]["usage"]["total_tokens"] == 15
    assert len(upstream.requests) == 1


def test_a_rejected_answer_is_closed_and_its_tokens_are_counted() -> None:
    upstream = Speaking("x", "y")
    usage = judged(upstream, Judge(1)).fields["response"]["usage"]
    assert (usage["total_tokens"], usage["output_tokens_details"]["reasoning_tokens"]) == (30, 0)
    assert [answer.closed for answer in upstream.answers] == [True, True]
    assert upstream.requests[1].input == [*upstream.requests[0].input, {"type": "message"}]


def test_the_second_rejection_is_final() -> None:
    upstream = Speaking("x", "y", "z")
    with pytest.raises(UpstreamError, match="It was not good") as caught:
        judged(upstream, Judge(2))
    assert caught.value.code == "not_good"
    assert len(upstream.requests) == 2
