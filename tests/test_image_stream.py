"""Calls side by side: whatever happens, nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from lib.image_stream import Piece, SideBySide
from tests.fakes.scripted_images import b64, result


class Calls:
    """Makes calls that record how they ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def make(self, name: str, wait_s: float, error: Exception | None = None) -> AsyncGenerator[Piece, None]:
        try:
            await asyncio.sleep(wait_s)
            if error is not None:
                raise error
            yield result(b64())
            self.ended.append(f"{name} done")
        finally:
            self.ended.append(f"{name} closed")


def test_pieces_come_in_the_order_in_which_they_are_ready() -> None:
    async def main() -> None:
        calls = Calls()
        both = SideBySide([calls.make("slow", 0.03), calls.make("quick", 0)])
        assert await both.wait(1)
        assert len([piece async for piece in both]) == 2
        assert calls.ended == ["quick done", "quick closed", "slow done", "slow closed"]
        await both.aclose()

    asyncio.run(main())


def test_the_first_failure_ends_all_of_them() -> None:
    async def main() -> None:
        calls = Calls()
        both = SideBySide([calls.make("slow", 10), calls.make("bad", 0, ValueError("x"))])
        with pytest.raises(ValueError):
            await anext(both)
        assert calls.ended == ["bad closed", "slow closed"]
        with pytest.raises(StopAsyncIteration):
            await anext(both)

    asyncio.run(main())


def test_waiting_has_an_end_and_loses_nothing() -> None:
    async def main() -> None:
        calls = Calls()
        one = SideBySide([calls.make("one", 0.05)])
        assert not await one.wait(0.01)
        assert len([piece async for piece in one]) == 1

    asyncio.run(main())


def test_closing_cancels_what_runs_and_may_be_repeated() -> None:
    async def main() -> None:
        calls = Calls()
        both = SideBySide([calls.make("one", 10), calls.make("two", 10)])
        assert not await both.wait(0.01)
        await both.aclose()
        await both.aclose()
        assert calls.ended == ["one closed", "two closed"]
        never = SideBySide([calls.make("three", 10)])
        await never.aclose()
        assert len(calls.ended) == 2

    asyncio.run(main())
