"""Answers that are ended before the platform does it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from lib.canonical.events import Event
from lib.deadline import CODE, TimedEvents, in_time
from lib.errors import GatewayError
from lib.types import Trace
from tests.fakes.scripted import ADDED, CREATED, completed, delta


class Events:
    """Batches with a pause before each."""

    def __init__(self, *steps: tuple[float, Sequence[Event]]) -> None:
        self._steps = list(steps)
        self.closed = 0

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        return self

    async def __anext__(self) -> list[Event]:
        if not self._steps:
            raise StopAsyncIteration
        pause_s, batch = self._steps.pop(0)
        await asyncio.sleep(pause_s)
        return list(batch)

    async def aclose(self) -> None:
        self.closed += 1


def trace(left_s: float | None) -> Trace:
    made = Trace("req_1", 0.0)
    made.deadline_at = None if left_s is None else time.time() + left_s
    return made


async def types_of(events: TimedEvents) -> list[str]:
    found = []
    try:
        async for batch in events:
            found += [event.type for event in batch]
            if found and found[-1] in ("response.completed", "response.incomplete"):
                return found
    finally:
        await events.aclose()
    return found


def test_a_stream_in_mid_answer_ends_as_one_that_is_too_long() -> None:
    async def main() -> None:
        source, seen = Events((0, [CREATED]), (0, [ADDED, delta("Hi")]), (30, [])), trace(0.05)
        kinds = await types_of(TimedEvents(source, seen, time.time))
        assert kinds[-2:] == ["response.output_item.done", "response.incomplete"]
        assert seen.error == CODE and source.closed
        task = asyncio.current_task()
        assert task is not None and not task.cancelling()

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_reader_that_is_late_meets_the_end_at_its_next_step() -> None:
    async def main() -> None:
        events = TimedEvents(Events((0, [ADDED, delta("Hi")]), (0, [delta("more")])), trace(0.02), time.time)
        await anext(events)
        await asyncio.sleep(0.05)
        assert (await anext(events))[-1].type == "response.incomplete"
        await events.aclose()

    asyncio.run(main())


def test_a_stream_without_output_is_a_504() -> None:
    async def main() -> None:
        events = TimedEvents(Events((0, [CREATED]), (30, [])), trace(0.02), time.time)
        with pytest.raises(GatewayError) as caught:
            await types_of(events)
        assert caught.value.status == 504 and caught.value.code == CODE

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_stream_that_ends_in_time_is_untouched() -> None:
    async def main() -> None:
        events = TimedEvents(Events((0, [CREATED]), (0, [completed()])), trace(10), time.time)
        assert await types_of(events) == ["response.created", "response.completed"]

    asyncio.run(main())


def test_a_cancellation_from_elsewhere_goes_through() -> None:
    async def main() -> None:
        events = TimedEvents(Events((30, [])), trace(10), time.time)
        reading = asyncio.create_task(types_of(events))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(main())


def test_a_whole_answer_is_there_in_time_or_a_504() -> None:
    async def slow(pause_s: float) -> str:
        await asyncio.sleep(pause_s)
        return "it"

    assert asyncio.run(in_time(slow(0), trace(None), time.time)) == "it"
    assert asyncio.run(in_time(slow(0), trace(5), time.time)) == "it"
    with pytest.raises(GatewayError, match="time limit") as caught:
        asyncio.run(in_time(slow(30), trace(0.02), time.time))
    assert caught.value.status == 504
