from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lib.doctor.finding import Finding
from lib.doctor.keeping import bucket_findings, store_findings
from lib.errors import GatewayError
from lib.store.memory import MemoryStore
from lib.store.opening import open_store
from tests.fakes.redis_server import redis_server


class Kept(MemoryStore):
    """A store that is as durable as it says; `loses`: what is put is not there."""

    def __init__(self, *, durable: bool = True, loses: bool = False) -> None:
        super().__init__()
        self.durable = durable
        self._loses = loses

    async def put(self, key: str, value: bytes, *, life_s: float) -> None:
        await super().put(key, b"" if self._loses else value, life_s=life_s)


class Bucket:
    def __init__(self, error: GatewayError | None = None) -> None:
        self.error = error
        self.put_types: list[str] = []

    async def put(self, data: bytes, media_type: str) -> str:
        self.put_types.append(media_type)
        if self.error is not None:
            raise self.error
        return "https://bucket.example/signed"


def examined(store: Any, *, is_shared: bool = True) -> Finding:
    async def main() -> Finding:
        try:
            [found] = await store_findings(store, is_shared=is_shared)
            return found
        finally:
            await store.aclose()

    return asyncio.run(main())


def test_no_store_is_no_fault() -> None:
    assert examined(MemoryStore(), is_shared=False).status == "ok"


def test_a_real_store_is_written_read_and_left_clean() -> None:
    with redis_server() as server:
        found = examined(open_store(server.url))
        assert found.status == "ok" and "for each operation" in found.found

        async def left() -> Any:
            import redis.asyncio

            async with redis.asyncio.Redis.from_url(server.url) as client:
                return await client.keys("*")

        assert asyncio.run(left()) == []


def test_a_store_that_is_down_is_a_problem() -> None:
    found = examined(open_store("redis://:canary@127.0.0.1:1/0"))
    assert found.status == "problem" and "STATE_URL" in found.advice
    assert "canary" not in str(found)


@pytest.mark.parametrize(
    ("store", "status"), [(Kept(), "ok"), (Kept(durable=False), "warning"), (Kept(loses=True), "problem")]
)
def test_what_it_keeps_is_judged(store: Kept, status: str) -> None:
    assert examined(store).status == status


@pytest.mark.parametrize(
    ("is_set", "is_live", "error", "statuses"),
    [
        (False, True, None, []),
        (True, False, None, ["unknown"]),
        (True, True, None, ["ok"]),
        (True, True, GatewayError("no such bucket"), ["problem"]),
    ],
)
def test_the_bucket_is_tried_only_when_that_is_wanted(
    is_set: bool, is_live: bool, error: GatewayError | None, statuses: list[str]
) -> None:
    bucket = Bucket(error)
    found = asyncio.run(bucket_findings(lambda: bucket, is_set=is_set, is_live=is_live))
    assert [each.status for each in found] == statuses
    assert len(bucket.put_types) == int(is_set and is_live)
