"""What every store keeps to. Each rule is given a fresh pair of keys."""

from __future__ import annotations

import asyncio

import pytest

from lib.errors import StoreError
from lib.keeping import MAX_STORED_BYTES, Store


async def keeps_what_was_put(store: Store, key: str, other: str) -> None:
    assert await store.get([]) == {}
    assert await store.get([key, other]) == {}
    await store.put(key, b"one", life_s=60)
    await store.put(other, bytes(range(256)), life_s=60)
    assert await store.get([key, other, key, f"{key}-no"]) == {key: b"one", other: bytes(range(256))}
    await store.put(key, b"two", life_s=60)
    assert await store.get([key]) == {key: b"two"}


async def swaps_only_what_it_was_told(store: Store, key: str, other: str) -> None:
    assert not await store.swap(key, b"something", b"a", life_s=60)
    assert await store.swap(key, None, b"a", life_s=60)
    assert not await store.swap(key, None, b"b", life_s=60)
    assert not await store.swap(key, b"b", b"c", life_s=60)
    assert await store.get([key]) == {key: b"a"}
    assert await store.swap(key, b"a", b"d", life_s=60)
    assert await store.get([key]) == {key: b"d"}


async def of_many_swaps_one_wins(store: Store, key: str, other: str) -> None:
    async def taken(value: bytes) -> bool:
        return await store.swap(key, None, value, life_s=60)

    won = await asyncio.gather(*(taken(b"%d" % number) for number in range(8)))
    assert sum(won) == 1
    assert await store.get([key]) == {key: b"%d" % won.index(True)}


async def deletes_only_what_it_was_told(store: Store, key: str, other: str) -> None:
    await store.delete(key)
    await store.put(key, b"one", life_s=60)
    await store.delete(key, old=b"two")
    assert await store.get([key]) == {key: b"one"}
    await store.delete(key, old=b"one")
    assert await store.get([key]) == {}
    await store.put(key, b"three", life_s=60)
    await store.delete(key)
    assert await store.get([key]) == {}
    assert await store.swap(key, None, b"four", life_s=60)


async def takes_values_up_to_the_limit(store: Store, key: str, other: str) -> None:
    await store.put(key, b"", life_s=60)
    await store.put(other, bytes(MAX_STORED_BYTES), life_s=60)
    assert await store.get([key, other]) == {key: b"", other: bytes(MAX_STORED_BYTES)}
    with pytest.raises(StoreError, match="too large"):
        await store.put(key, bytes(MAX_STORED_BYTES + 1), life_s=60)
    with pytest.raises(StoreError, match="too large"):
        await store.swap(key, b"", bytes(MAX_STORED_BYTES + 1), life_s=60)


RULES = [
    keeps_what_was_put,
    swaps_only_what_it_was_told,
    of_many_swaps_one_wins,
    deletes_only_what_it_was_told,
    takes_values_up_to_the_limit,
]
