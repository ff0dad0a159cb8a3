from __future__ import annotations

import asyncio
import gc

import pytest

from lib.loops import PerLoop


class Things:
    def __init__(self) -> None:
        self.made = 0
        self.closed: list[int] = []
        self.per_loop = PerLoop(self._make, self._close)

    def _make(self) -> int:
        self.made += 1
        return self.made

    async def _close(self, number: int) -> None:
        self.closed.append(number)


def test_a_loop_keeps_its_value_until_it_ends() -> None:
    things = Things()

    async def main() -> list[int]:
        found = [await things.per_loop.get(), await things.per_loop.get()]
        assert things.closed == []
        return found

    assert asyncio.run(main()) == [1, 1]
    assert things.closed == [1]
    asyncio.run(things.per_loop.get())
    assert things.closed == [1, 2]


def test_a_value_that_was_closed_is_made_anew() -> None:
    things = Things()

    async def main() -> None:
        await things.per_loop.aclose()
        await things.per_loop.get()
        await things.per_loop.aclose()
        await things.per_loop.aclose()
        assert (await things.per_loop.get(), things.closed) == (2, [1])

    asyncio.run(main())
    assert things.closed == [1, 2]


def test_a_value_outlives_its_owner_until_the_loop_ends() -> None:
    closed = []

    async def main() -> None:
        things = Things()
        closed.append(things.closed)
        await things.per_loop.get()
        del things
        gc.collect()
        await asyncio.sleep(0)
        assert closed == [[]]

    asyncio.run(main())
    assert closed == [[1]]


def test_the_value_of_a_loop_that_died_before_it_is_closed_by_the_next() -> None:
    things = Things()
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(things.per_loop.get()) == 1
    loop.close()
    assert things.closed == []

    async def next_one() -> None:
        await things.per_loop.get()
        assert things.closed == [1]
        assert len(things.per_loop._loops) == 1

    asyncio.run(next_one())
    assert things.closed == [1, 2]


def test_what_cannot_be_made_is_tried_again() -> None:
    def make() -> int:
        raise ValueError("no")

    async def close(_: int) -> None:
        raise AssertionError

    per_loop = PerLoop(make, close)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            asyncio.run(per_loop.get())
