"""The platform's deadline: an answer ends cleanly before the function is killed in the middle of it.

A stream that has begun ends as one that has reached its limit of tokens, because that is the ending which clients
handle; a comment in the stream and the log line say what it was. What has not begun is a 504. Pictures and sound have
no such end: there it is an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from lib.canonical.cut import cut
from lib.canonical.events import PREAMBLE, Collector, Event
from lib.errors import GatewayError
from lib.types import Clock, EventStream, Trace

T = TypeVar("T")

CODE = "deadline_exceeded"
CUT_COMMENT = b": the time limit of this function is reached, so the answer ends here\n\n"


async def in_time(answer: Awaitable[T], trace: Trace, now: Clock, *, has_begun: bool = False) -> T:
    """The result, or a 504 when it is not there before `trace.deadline_at`. has_begun: of this answer something has
    left already. Raises GatewayError."""
    if trace.deadline_at is None:
        return await answer
    try:
        async with asyncio.timeout(max(0.0, trace.deadline_at - now())):
            return await answer
    except TimeoutError as error:
        raise (_out_of_time_within() if has_begun else _out_of_time()) from error


class TimedEvents:
    """An event stream that ends at `trace.deadline_at`, if it has not ended before: with the events that close what is
    open and then `response.incomplete`, or with a 504 when there was no output yet."""

    def __init__(self, events: EventStream, trace: Trace, now: Clock) -> None:
        assert trace.deadline_at is not None
        self._events = events
        self._trace = trace
        self._collector = Collector()
        self._has_output = False
        self._expired = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(max(0.0, trace.deadline_at - now()), self._expire)

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        return self

    async def __anext__(self) -> list[Event]:
        if self._expired:
            return await self._ended()
        task = self._task = asyncio.current_task()
        assert task is not None
        self._cancelling = task.cancelling()
        try:
            batch = await anext(self._events)
        except asyncio.CancelledError:
            if not self._expired or task.uncancel() > self._cancelling:
                raise
            return await self._ended()
        finally:
            self._task = None
        for event in batch:
            self._collector.feed(event)
        if not self._has_output:
            self._has_output = any(event.type not in PREAMBLE for event in batch)
        return batch

    async def aclose(self) -> None:
        self._alarm.cancel()
        await self._events.aclose()

    def _expire(self) -> None:
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    async def _ended(self) -> list[Event]:
        await self._events.aclose()
        self._trace.error = CODE
        if not self._has_output:
            raise _out_of_time()
        return cut(self._collector)


def _out_of_time() -> GatewayError:
    return GatewayError(
        "The time that this gateway has for one request is over, and there is no answer yet. Ask for a stream, for "
        "less, or for less reasoning; its operator can raise the function's time limit.",
        status=504,
        code=CODE,
        should_retry=False,
    )


def _out_of_time_within() -> GatewayError:
    return GatewayError("The time limit of this function is reached, so the answer ends here.", status=504, code=CODE)
