"""One streamed reply over scripted events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from lib.canonical.events import Event
from lib.errors import GatewayError, UpstreamError, Verdict
from lib.relay_stream import RelayStream
from lib.types import Trace
from tests.fakes.scripted import ADDED, completed, delta, failure

Step = list[Event] | Exception | float
"""A batch, what is raised in its place, or seconds of silence."""


class Events:
    def __init__(self, steps: Sequence[Step]) -> None:
        self.closed = 0
        self._steps = list(steps)

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        return self

    async def __anext__(self) -> list[Event]:
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, Exception):
                raise step
            if isinstance(step, list):
                return step
            await asyncio.sleep(step)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1


class Words:
    """Renders the deltas as they are, and `!` for the end; a delta of `?` cannot be rendered."""

    keep_alive = b":"

    def feed(self, event: Event) -> bytes:
        text = str(event.fields.get("delta", ""))
        if text == "?":
            raise failure(Verdict.SERVICE, code="upstream_bad_response")
        return text.encode()

    def finish(self) -> bytes:
        return b"!"

    def fail(self, error: GatewayError) -> bytes:
        return f"<{error.code}>".encode()

    def body(self, response: object) -> dict[str, object]:
        raise AssertionError


class Told:
    """A stream's pieces and what it did beside them."""

    def __init__(self, *steps: Step, wait_s: float = 1, keeps: bool = False) -> None:
        self.events = Events(steps)
        self.trace = Trace("req_1", 0.0)
        self.kept_behind: list[bytes] | None = None
        self.pieces: list[bytes] = []
        asyncio.run(self._read(wait_s, keeps))

    async def _read(self, wait_s: float, keeps: bool) -> None:
        async def keep() -> None:
            assert self.events.closed
            self.kept_behind = list(self.pieces)

        stream = RelayStream(self.events, Words(), self.trace, lambda: 7.0, keep if keeps else None)
        await stream.open(wait_s)
        async for piece in stream:
            self.pieces.append(piece)
        await stream.aclose()


def test_each_batch_is_one_piece_and_an_empty_one_is_none() -> None:
    told = Told([ADDED, delta("a"), delta("b")], [], [ADDED], [delta("c")], [delta("d"), completed()])
    assert told.pieces == [b"ab", b"c", b"d!"]
    assert (told.trace.first_byte_at, told.trace.output_tokens, told.trace.error) == (7.0, 2, None)


def test_all_is_done_before_the_last_piece_leaves() -> None:
    told = Told([delta("a")], [completed()], keeps=True)
    assert (told.pieces, told.kept_behind) == ([b"a", b"!"], [b"a"])


def test_what_was_rendered_before_a_failure_stays() -> None:
    told = Told([delta("a")], [delta("b"), delta("c"), delta("?"), delta("d")], [completed()])
    assert told.pieces == [b"a", b"bc<upstream_bad_response>"]
    assert told.events.closed
    assert told.trace.error == "upstream_bad_response"


@pytest.mark.parametrize("broken", [[delta("?")], failure(Verdict.SERVICE, code="upstream_bad_response")])
def test_a_stream_that_breaks_says_so_and_ends(broken: Step) -> None:
    assert Told([delta("a")], broken, [delta("b")]).pieces == [b"a", b"<upstream_bad_response>"]


def test_a_stream_may_begin_late_and_its_first_piece_counts() -> None:
    told = Told([], 0.05, [delta("a")], [completed()], wait_s=0.01)
    assert (told.pieces, told.trace.first_byte_at) == ([b"a", b"!"], 7.0)


def test_a_failure_counts_as_the_first_piece_of_a_late_stream() -> None:
    told = Told([], 0.05, failure(Verdict.SERVICE, code="x"), wait_s=0.01)
    assert (told.pieces, told.trace.first_byte_at, told.trace.error) == ([b"<x>"], 7.0, "x")


def test_a_failure_before_anything_is_raised_and_all_is_closed() -> None:
    events = Events([failure(Verdict.SERVICE)])
    stream = RelayStream(events, Words(), Trace("req_1", 0.0), lambda: 7.0)
    with pytest.raises(UpstreamError):
        asyncio.run(stream.open(1))
    assert events.closed


def test_closing_a_late_stream_ends_the_wait() -> None:
    async def main() -> None:
        events = Events([[], 60.0, [delta("a")]])
        stream = RelayStream(events, Words(), Trace("req_1", 0.0), lambda: 7.0)
        await stream.open(0.01)
        await stream.aclose()
        assert events.closed
        assert [piece async for piece in stream] == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
