from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lib.keeping import Store
from lib.store.memory import MemoryStore
from tests.store.rules import RULES


@pytest.mark.parametrize("rule", RULES)
def test_it_keeps_the_rules_of_a_store(rule: Any) -> None:
    store: Store = MemoryStore()
    asyncio.run(rule(store, "a", "b"))
    assert store.durable is False


def test_a_value_ends() -> None:
    async def main() -> None:
        now = 100.0
        store = MemoryStore(now=lambda: now)
        await store.put("a", b"one", life_s=5)
        now = 104.9
        assert await store.get(["a"]) == {"a": b"one"}
        now = 105
        assert await store.get(["a"]) == {}
        assert len(store) == 0
        assert await store.swap("a", None, b"two", life_s=5)

    asyncio.run(main())


def test_what_ends_first_goes_first_when_there_is_too_much() -> None:
    async def main() -> None:
        store = MemoryStore(max_bytes=10_000)
        await store.put("long", b"token", life_s=1e6)
        for number in range(100):
            await store.put(f"{number}", bytes(800), life_s=100 + number)
            assert len(store) <= 10
        kept = await store.get(["long", *map(str, range(100))])
        assert {"long", "99", "98", "97"} <= set(kept)
        assert "0" not in kept

    asyncio.run(main())


def test_replaced_and_deleted_values_make_room() -> None:
    async def main() -> None:
        store = MemoryStore(max_bytes=3000)
        await store.put("other", b"", life_s=1)
        for _ in range(50):
            await store.put("a", bytes(2000), life_s=60)
            await store.delete("a")
        assert await store.get(["other"]) == {"other": b""}

    asyncio.run(main())


def test_values_are_taken_out_with_what_is_left_of_their_lives() -> None:
    async def main() -> None:
        now = 100.0
        store = MemoryStore(now=lambda: now)
        await store.put("a", b"one", life_s=5)
        now = 107
        assert store.pop() == ("a", b"one", -2.0)
        with pytest.raises(KeyError):
            store.pop()

    asyncio.run(main())


def test_it_has_no_failure_to_keep_from_anybody() -> None:
    store = MemoryStore()
    assert store.strict is store
    asyncio.run(store.aclose())
