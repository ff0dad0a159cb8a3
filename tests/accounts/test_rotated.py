from __future__ import annotations

import asyncio

from lib.accounts.oauth import Tokens
from lib.accounts.rotated import RotatedTokens, Rotation, key_of
from tests.fakes.plain_store import PlainStore

CANARY = "Zq7vKcanaryLx4Wj"
KEY = key_of(f"rt.1.{CANARY}")
SECOND = Rotation(2, Tokens("access-2", "rt.2", None))


def test_what_is_kept_is_found_again() -> None:
    async def scenario() -> None:
        kept = RotatedTokens(PlainStore())
        assert await kept.read([KEY]) == {}
        await kept.keep(KEY, SECOND)
        assert await kept.read([KEY, key_of("another")]) == {KEY: SECOND}

    asyncio.run(scenario())


def test_neither_key_nor_repr_tells_a_token() -> None:
    assert CANARY not in KEY + repr(Rotation(1, Tokens(CANARY, CANARY, CANARY)))
    assert KEY != key_of("rt.1.other")


def test_what_cannot_be_read_counts_as_absent() -> None:
    async def scenario() -> None:
        store = PlainStore()
        for garbage in (b"", b"{}", b"[" * 100_000, b'{"number":"x"}'):
            await store.put(KEY, garbage, life_s=9)
            assert await RotatedTokens(store).read([KEY]) == {}

    asyncio.run(scenario())


def test_one_at_a_time_has_the_lock_and_lets_go_of_its_own_alone() -> None:
    async def scenario() -> None:
        store = PlainStore()
        kept = RotatedTokens(store)
        owner = await kept.lock(KEY)
        assert owner is not None
        assert await kept.lock(KEY) is None
        assert await kept.lock(key_of("another")) is not None
        await kept.unlock(KEY, b"somebody else")
        assert await kept.lock(KEY) is None
        await kept.unlock(KEY, owner)
        assert await kept.lock(KEY) is not None

    asyncio.run(scenario())


def test_a_refusal_is_noted_but_never_over_newer_tokens() -> None:
    async def scenario() -> None:
        kept = RotatedTokens(PlainStore())
        await kept.rest(KEY, SECOND, 99.0)
        assert (await kept.read([KEY]))[KEY].resting_until == 99.0
        await kept.keep(KEY, Rotation(3, Tokens("access-3", "rt.3")))
        await kept.rest(KEY, SECOND, 99.0)
        found = (await kept.read([KEY]))[KEY]
        assert (found.number, found.resting_until) == (3, 0.0)

    asyncio.run(scenario())


def test_it_is_as_durable_as_its_store() -> None:
    assert RotatedTokens(PlainStore()).durable
    assert not RotatedTokens(PlainStore(durable=False)).durable
