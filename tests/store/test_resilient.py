from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

import pytest

from lib.errors import StoreError
from lib.keeping import MAX_STORED_BYTES, Store
from lib.store.memory import MemoryStore
from lib.store.resilient import ResilientStore
from tests.store.logged import told
from tests.store.rules import (
    RULES,
    deletes_only_what_it_was_told,
    keeps_what_was_put,
    of_many_swaps_one_wins,
    takes_values_up_to_the_limit,
)


class Remote(MemoryStore):
    """A remote store that fails, hangs or works, as it is told, and counts."""

    name = "fake"
    durable = True
    limit_s = 0.05
    cold_limit_s = 0.3

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Callable[[], Awaitable[None]] | None = None
        self.asked = 0
        self.prepared = 0

    async def prepare(self) -> None:
        self.prepared += 1

    async def get(self, keys: object) -> dict[str, bytes]:
        await self._meet()
        return await super().get(keys)  # type: ignore[arg-type]

    async def put(self, key: str, value: bytes, *, life_s: float) -> None:
        await self._meet()
        await super().put(key, value, life_s=life_s)

    async def delete(self, key: str, *, old: bytes | None = None) -> None:
        await self._meet()
        await super().delete(key, old=old)

    async def _meet(self) -> None:
        self.asked += 1
        if self.trouble is not None:
            await self.trouble()


class Bench:
    """A resilient store around a remote one, with a clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.remote = Remote()
        self.store = ResilientStore(self.remote, pause_s=10, now=lambda: self.now)

    def fail(self) -> None:
        async def trouble() -> None:
            raise StoreError("ConnectionError")

        self.remote.trouble = trouble

    def heal(self) -> None:
        self.remote.trouble = None


async def _awaited(work: Awaitable[None]) -> None:
    await work


@pytest.mark.parametrize(
    ("rule", "is_down"),
    [(rule, False) for rule in RULES if rule is not takes_values_up_to_the_limit]
    + [(rule, True) for rule in (keeps_what_was_put, of_many_swaps_one_wins, deletes_only_what_it_was_told)],
)
def test_it_keeps_the_rules_of_a_store_up_or_down(
    rule: Callable[[Store, str, str], Awaitable[None]], is_down: bool
) -> None:
    bench = Bench()
    if is_down:
        bench.fail()
    asyncio.run(_awaited(rule(bench.store, "a", "b")))


def test_a_failure_is_told_once_and_the_store_is_left_alone_for_a_while(lines: list[logging.LogRecord]) -> None:
    async def main() -> None:
        bench = Bench()
        bench.fail()
        for asked, pause_s in enumerate((1, 2, 4, 8, 10, 10), 1):
            for _ in range(20):
                assert await bench.store.get(["a"]) == {}
            bench.now += pause_s - 0.1
            await bench.store.get(["a"])
            assert bench.remote.asked == asked
            bench.now += 0.1
        bench.heal()
        for _ in range(3):
            await bench.store.get(["a"])
        assert (bench.remote.asked, bench.remote.prepared) == (9, 1)

    asyncio.run(main())
    assert told(lines) == [("store.down", "ConnectionError"), ("store.up", None)]
    assert lines[1].__dict__["fields"] == {"store": "fake", "down_s": 35.0}


def test_the_pauses_of_the_next_failure_begin_anew() -> None:
    async def main() -> None:
        bench = Bench()
        for asked in (2, 4, 6):
            bench.fail()
            await bench.store.get(["a"])
            bench.heal()
            bench.now += 1
            await bench.store.get(["a"])
            assert bench.remote.asked == asked

    asyncio.run(main())


def test_a_store_that_hangs_costs_one_long_wait_and_then_short_ones(lines: list[logging.LogRecord]) -> None:
    async def main() -> None:
        bench = Bench()
        bench.remote.trouble = asyncio.Event().wait  # type: ignore[assignment]
        for least_s, most_s in ((0.3, 1.0), (0.05, 0.3), (0.05, 0.3)):
            began = time.monotonic()
            for _ in range(10):
                await bench.store.put("a", b"1", life_s=60)
            assert await bench.store.get(["a"]) == {"a": b"1"}
            assert least_s <= time.monotonic() - began < most_s
            bench.now += 10

    asyncio.run(main())
    assert told(lines) == [("store.down", "timeout")]


@pytest.mark.parametrize("idle_s", [0.0, 11.0])
def test_the_first_answer_may_take_longer_and_so_may_one_after_a_silence(
    idle_s: float, lines: list[logging.LogRecord]
) -> None:
    async def main() -> None:
        bench = Bench()
        if idle_s:
            await bench.store.get(["a"])
            bench.now += idle_s
        bench.remote.trouble, bench.remote.cold_limit_s = lambda: asyncio.sleep(0.08), 5
        await bench.store.put("a", b"1", life_s=60)
        bench.heal()
        assert await bench.remote.get(["a"]) == {"a": b"1"}

    asyncio.run(main())
    assert told(lines) == []


def test_what_one_operation_could_not_write_in_time_the_next_one_writes() -> None:
    async def main() -> None:
        bench = Bench()
        bench.remote.trouble = asyncio.Event().wait  # type: ignore[assignment]
        await bench.store.put("a", b"1", life_s=100)
        bench.heal()
        bench.now += 1
        await bench.store.get(["another"])
        assert await bench.remote.get(["a"]) == {"a": b"1"}

    asyncio.run(main())


def test_a_store_that_has_just_answered_is_not_down_for_one_operation_that_took_too_long(
    lines: list[logging.LogRecord],
) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.store.get(["a"])
        bench.remote.trouble = asyncio.Event().wait  # type: ignore[assignment]
        await bench.store.put("a", b"1", life_s=100)
        bench.heal()
        assert await bench.store.get(["a"]) == await bench.remote.get(["a"]) == {"a": b"1"}
        assert told(lines) == []
        bench.remote.trouble = asyncio.Event().wait  # type: ignore[assignment]
        bench.now += 1.1
        await bench.store.get(["a"])
        assert told(lines) == []  # nor for one a little later
        bench.heal()
        await bench.store.get(["a"])
        bench.remote.trouble = asyncio.Event().wait  # type: ignore[assignment]
        bench.now += 1.1
        await bench.store.get(["a"])
        assert told(lines) == []
        await bench.store.get(["a"])

    asyncio.run(main())
    assert told(lines) == [("store.down", "timeout")]


def test_one_operation_tries_the_store_again_and_others_do_not_wait_for_it() -> None:
    async def main() -> None:
        bench = Bench()
        bench.fail()
        await bench.store.get(["a"])
        bench.remote.trouble = asyncio.Event().wait  # type: ignore[assignment]
        bench.now += 10
        trial = asyncio.ensure_future(bench.store.get(["a"]))
        await asyncio.sleep(0)
        async with asyncio.timeout(0.02):
            await bench.store.get(["a"])
        assert bench.remote.asked == 2
        assert await trial == {}

    asyncio.run(main())


def test_a_success_that_began_before_the_failure_does_not_count_as_recovery(lines: list[logging.LogRecord]) -> None:
    async def main() -> None:
        bench, gate = Bench(), asyncio.Event()
        bench.remote.trouble = gate.wait  # type: ignore[assignment]
        early = asyncio.ensure_future(bench.store.get(["a"]))
        await asyncio.sleep(0)
        bench.fail()
        await bench.store.get(["a"])
        gate.set()
        assert await early == {}

    asyncio.run(main())
    assert told(lines) == [("store.down", "ConnectionError")]


def test_what_was_written_while_it_was_down_is_handed_over_before_the_next_read() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.store.put("kept", b"old", life_s=600)
        await bench.store.put("gone", b"old", life_s=600)
        await bench.store.put("changed", b"theirs", life_s=600)
        bench.fail()
        await bench.store.put("kept", b"new", life_s=600)
        assert await bench.store.swap("lock", None, b"me", life_s=30)
        assert not await bench.store.swap("lock", None, b"you", life_s=30)
        await bench.store.delete("gone")
        await bench.store.delete("changed", old=b"ours")
        assert await bench.store.get(["kept", "gone", "lock"]) == {"kept": b"new", "lock": b"me"}
        bench.heal()
        bench.now += 10
        keys = ["kept", "gone", "lock", "changed"]
        assert await bench.store.get(keys) == {"kept": b"new", "changed": b"theirs"}

    asyncio.run(main())


def test_what_could_not_be_handed_over_waits_for_the_next_time(lines: list[logging.LogRecord]) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.store.put("gone", b"1", life_s=600)
        bench.fail()
        for number in range(5):
            await bench.store.put(f"{number}", b"1", life_s=600)
        await bench.store.delete("gone")
        bench.now += 10
        assert await bench.store.get(["0", "4", "gone"]) == {"0": b"1", "4": b"1"}
        bench.heal()
        bench.now += 10
        assert set(await bench.store.get(["0", "1", "2", "3", "4", "gone"])) == {"0", "1", "2", "3", "4"}

    asyncio.run(main())
    assert told(lines) == [("store.down", "ConnectionError"), ("store.up", None)]


def test_what_takes_long_to_hand_over_is_handed_over_without_a_pause(lines: list[logging.LogRecord]) -> None:
    async def main() -> None:
        bench = Bench()
        bench.fail()
        for number in range(100):
            await bench.store.put(f"{number}", b"1", life_s=600)

        async def far() -> None:
            await asyncio.sleep(0.002)

        bench.remote.trouble = far
        bench.now += 10
        for _ in range(40):  # 50 ms each, and the clock of the pauses stands still
            with contextlib.suppress(StoreError):
                assert await bench.store.strict.get(["0", "99"]) == {"0": b"1", "99": b"1"}
                break
        else:
            raise AssertionError("the store came back and is left alone")

    asyncio.run(main())
    assert told(lines) == [("store.down", "ConnectionError"), ("store.up", None)]


def test_a_value_that_is_too_large_is_not_kept_and_is_no_failure(lines: list[logging.LogRecord]) -> None:
    async def main() -> None:
        bench, large = Bench(), bytes(MAX_STORED_BYTES + 1)
        await bench.store.put("a", large, life_s=60)
        assert not await bench.store.swap("a", None, large, life_s=60)
        for write in (
            bench.store.strict.put("a", large, life_s=60),
            bench.store.strict.swap("a", None, large, life_s=1),
        ):
            with pytest.raises(StoreError, match="too large"):
                await write
        assert bench.remote.asked == 0
        assert await bench.store.get(["a"]) == {}

    asyncio.run(main())
    assert told(lines) == [("store.too_large", None)] * 2


def test_the_strict_side_fails_instead_of_going_on_alone() -> None:
    async def main() -> None:
        bench = Bench()
        strict: Store = bench.store.strict
        assert strict.durable
        await strict.put("a", b"1", life_s=60)
        assert await strict.swap("a", b"1", b"2", life_s=60)
        assert await bench.store.get(["a"]) == await strict.get(["a"]) == {"a": b"2"}
        await strict.delete("a")
        asked = bench.remote.asked
        bench.fail()
        for work in (
            strict.get(["a"]),
            strict.put("a", b"1", life_s=60),
            strict.swap("a", None, b"1", life_s=60),
            strict.delete("a"),
        ):
            with pytest.raises(StoreError):
                await work
        assert bench.remote.asked == asked + 1
        await strict.aclose()

    asyncio.run(main())
