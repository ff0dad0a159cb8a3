from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import Any

import pytest

from lib.errors import StoreError
from lib.store.dynamodb import MAX_BATCH, DynamoDBStore
from tests.fakes.dynamodb_table import REGION, SECRET, Table, point_aws_at
from tests.fakes.raw_server import End, RawServer, ok
from tests.fakes.serving import loopback_socket
from tests.store.rules import RULES

NUMBERS = itertools.count()


async def closing(store: DynamoDBStore, work: Any) -> Any:
    await store.prepare()
    try:
        return await work
    finally:
        await store.aclose()


def run(store: DynamoDBStore, work: Any) -> Any:
    return asyncio.run(closing(store, work))


def failing(store: DynamoDBStore) -> str:
    async def ask() -> None:
        try:
            await store.prepare()
            await store.get(["a"])
        finally:
            await store.aclose()

    with pytest.raises(StoreError) as caught:
        asyncio.run(ask())
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("rule", RULES)
def test_it_keeps_the_rules_of_a_store(table: Table, rule: Any) -> None:
    number, store = next(NUMBERS), DynamoDBStore(table.name, limit_s=5)
    run(store, rule(store, f"a{number}", f"b{number}"))


def test_what_is_over_is_gone_whether_or_not_it_was_deleted(table: Table) -> None:
    now = time.time()

    async def main() -> None:
        nonlocal now
        await store.put("ending", b"1", life_s=10)
        now += 9
        assert await store.get(["ending"]) == {"ending": b"1"}
        now += 2
        assert await store.get(["ending"]) == {}
        assert not await store.swap("ending", b"1", b"2", life_s=10)
        assert await store.swap("ending", None, b"3", life_s=10)

    store = DynamoDBStore(table.name, now=lambda: now, limit_s=5)
    run(store, main())
    (item,) = [item for item in table.items() if item["id"]["S"] == "chat2api:ending"]
    assert item["value"]["B"] == b"3"
    assert 9 <= int(item["expires_at"]["N"]) - now <= 11


def test_more_keys_than_one_call_takes_are_read_in_several(table: Table) -> None:
    async def main() -> None:
        keys = [f"many-{number}" for number in range(MAX_BATCH + 5)]
        await store.put(keys[0], b"first", life_s=60)
        await store.put(keys[-1], b"last", life_s=60)
        assert await store.get(keys) == {keys[0]: b"first", keys[-1]: b"last"}

    store = DynamoDBStore(table.name, limit_s=5)
    run(store, main())


def test_it_works_on_the_next_event_loop_and_leaves_no_thread(table: Table) -> None:
    store = DynamoDBStore(table.name, limit_s=5)
    asyncio.run(store.put("loops", b"1", life_s=60))
    assert run(store, store.get(["loops"])) == {"loops": b"1"}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dynamodb")]


def test_the_region_of_the_address_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> str:
        async with RawServer([ok(b"{}")]) as server:
            point_aws_at(server.url, monkeypatch)
            store = DynamoDBStore("state", region="us-west-2", limit_s=5)
            await closing(store, store.get(["a"]))
            return server.requests[0].headers["authorization"]

    authorization = asyncio.run(main())
    assert "/us-west-2/dynamodb/" in authorization
    assert REGION not in authorization


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            ok(b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException"}', status="400 Bad Request"),
            "ThrottlingException",
        ),
        (ok(b"<html>", status="503 Service Unavailable"), "503"),
        (ok(b'{"UnprocessedKeys":{"state":{"Keys":[{"id":{"S":"chat2api:a"}}]}}}'), "UnprocessedKeys"),
        (ok(b'{"Responses":{"state":[{"id":{"S":"chat2api:a"}}]}}'), "KeyError"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", "ReadTimeoutError|ConnectionClosedError"),
    ],
)
def test_trouble_is_a_store_error(answer: bytes, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with RawServer([answer]) as server:
            point_aws_at(server.url, monkeypatch)
            store = DynamoDBStore("state", limit_s=0.2)
            with pytest.raises(StoreError, match=reason):
                await closing(store, store.get(["a"]))

    asyncio.run(main())


def test_a_server_that_is_silent_or_not_there_is_a_store_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback_socket() as closed:
        point_aws_at(f"http://127.0.0.1:{closed.getsockname()[1]}", monkeypatch)
        assert failing(DynamoDBStore("state", limit_s=0.2)) == "EndpointConnectionError"
        closed.listen()
        assert failing(DynamoDBStore("state", limit_s=0.05)) == "ReadTimeoutError"


def test_a_table_that_is_not_there_and_settings_that_lack_are_store_errors(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failing(DynamoDBStore("nowhere", limit_s=5)) == "ResourceNotFoundException"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert failing(DynamoDBStore("state", limit_s=5)) == "NoCredentialsError"
    monkeypatch.delenv("AWS_REGION")
    assert failing(DynamoDBStore("state", limit_s=5)) == "NoRegionError"


def test_a_hanging_server_holds_none_of_the_threads_that_others_share(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with RawServer([End.HANG]) as server:
            point_aws_at(server.url, monkeypatch)
            store = DynamoDBStore("state", limit_s=0.3)
            await store.prepare()
            asked = [asyncio.ensure_future(store.get(["a"])) for _ in range(20)]
            await asyncio.sleep(0.05)
            began = time.monotonic()
            await asyncio.to_thread(lambda: None)
            assert time.monotonic() - began < 0.1
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            await store.aclose()

    asyncio.run(main())
