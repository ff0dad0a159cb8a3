from __future__ import annotations

import asyncio

import pytest

from lib.keeping import Store
from lib.store.memory import MemoryStore
from lib.store.opening import open_store
from tests.fakes.dynamodb_table import REGION, Table
from tests.fakes.redis_server import RedisServer


async def trip(store: Store) -> None:
    try:
        await store.put("opening", b"1", life_s=60)
        assert await store.get(["opening"]) == {"opening": b"1"}
    finally:
        await store.aclose()


def test_without_an_address_it_is_memory() -> None:
    store = open_store(None)
    assert isinstance(store, MemoryStore)
    asyncio.run(trip(store))


def test_an_address_of_redis(redis: RedisServer) -> None:
    store = open_store(redis.url)
    assert store.durable
    asyncio.run(trip(store))
    assert redis.say("INFO", "keyspace").startswith(b"$")
    asyncio.run(trip(store))


def test_an_address_of_dynamodb(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    store = open_store(f"dynamodb://{table.name}?region={REGION}")
    assert store.durable
    asyncio.run(trip(store))
    assert "chat2api:opening" in [item["id"]["S"] for item in table.items()]
