"""Resilient stores over servers that are slow, full, gone or back again."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from lib.store.dynamodb import DynamoDBStore
from lib.store.redis import RedisStore
from lib.store.resilient import ResilientStore
from tests.fakes.dynamodb_table import SECRET, point_aws_at
from tests.fakes.raw_server import End, RawServer, ok
from tests.fakes.redis_server import PASSWORD, RedisServer, redis_server
from tests.fakes.serving import loopback_socket
from tests.store.logged import told


def test_a_redis_server_that_goes_and_comes_is_never_noticed(lines: list[logging.LogRecord]) -> None:
    async def main(server: RedisServer) -> None:
        store = ResilientStore(RedisStore(server.url, limit_s=0.5), pause_s=0.05)
        await store.put("a", b"1", life_s=600)
        await asyncio.to_thread(server.stop)
        assert await store.get(["a"]) == {}
        await store.put("a", b"2", life_s=600)
        assert await store.swap("a", b"2", b"3", life_s=600)
        assert await store.get(["a"]) == {"a": b"3"}
        await asyncio.to_thread(server.start)
        await asyncio.sleep(0.06)
        assert await store.get(["a"]) == {"a": b"3"}
        await store.aclose()
        assert b"$1\r\n3" in await asyncio.to_thread(_value_of, server, "a")

    with redis_server() as server:
        asyncio.run(main(server))
    assert [name for name, _ in told(lines)] == ["store.down", "store.up"]
    assert PASSWORD not in "".join(str(line.__dict__) for line in lines)


def _value_of(server: RedisServer, key: str) -> bytes:
    store = RedisStore(server.url)

    async def read() -> bytes:
        try:
            return (await store.get([key])).get(key, b"")
        finally:
            await store.aclose()

    value = asyncio.run(read())
    return b"$%d\r\n%b" % (len(value), value)


def test_a_full_redis_server_does_not_flap(lines: list[logging.LogRecord]) -> None:
    async def main(server: RedisServer) -> None:
        store = ResilientStore(RedisStore(server.url, limit_s=0.5), pause_s=0)
        await asyncio.to_thread(server.say, "CONFIG", "SET", "maxmemory", "1")
        await store.put("a", b"1", life_s=600)
        for _ in range(5):
            assert await store.get(["a"]) == {"a": b"1"}
        await asyncio.to_thread(server.say, "CONFIG", "SET", "maxmemory", "0")
        assert await store.get(["a"]) == {"a": b"1"}
        await store.aclose()

    with redis_server("--maxmemory-policy", "noeviction") as server:
        asyncio.run(main(server))
    assert [name for name, _ in told(lines)] == ["store.down", "store.up"]


def test_a_redis_server_may_take_a_second_for_its_first_answer(lines: list[logging.LogRecord]) -> None:
    async def main() -> None:
        pauses_s, left = [1.0], asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(65536):
                await asyncio.sleep(pauses_s.pop() if pauses_s else 0)
                writer.write(b"*1\r\n$-1\r\n")
            writer.close()
            left.set()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            store = ResilientStore(RedisStore(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
            for _ in range(3):
                assert await store.strict.get(["a"]) == {}
            await store.aclose()
            await left.wait()

    asyncio.run(main())
    assert told(lines) == []


def test_a_dynamodb_may_take_a_second_for_its_first_answer(
    lines: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with RawServer([1.0, ok(b"{}")], [ok(b"{}")]) as server:
            point_aws_at(server.url, monkeypatch)
            store = ResilientStore(DynamoDBStore("state"))
            for _ in range(3):
                assert await store.strict.get(["a"]) == {}
            await store.aclose()

    asyncio.run(main())
    assert told(lines) == []


def test_a_dynamodb_that_hangs_from_the_start_costs_less_than_two_seconds(
    lines: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with RawServer([End.HANG]) as server:
            point_aws_at(server.url, monkeypatch)
            remote = DynamoDBStore("state")
            store = ResilientStore(remote)
            await remote.prepare()
            began = time.monotonic()
            for _ in range(10):
                await store.put("a", b"1", life_s=60)
                assert await store.get(["a"]) == {"a": b"1"}
            assert time.monotonic() - began < 2
            await store.aclose()

    asyncio.run(main())
    assert told(lines) == [("store.down", "timeout")]


def test_a_redis_server_that_hangs_costs_one_time_limit(lines: list[logging.LogRecord]) -> None:
    async def main(url: str) -> None:
        remote = RedisStore(url, limit_s=0.05)
        store = ResilientStore(remote)
        await remote.prepare()
        began = time.monotonic()
        for _ in range(10):
            await store.put("a", b"1", life_s=60)
            assert await store.get(["a"]) == {"a": b"1"}
        assert time.monotonic() - began < 1
        await store.aclose()

    with loopback_socket() as silent:
        silent.listen()
        asyncio.run(main(f"redis://:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}"))
    assert [name for name, _ in told(lines)] == ["store.down"]


def test_a_dynamodb_that_throttles_is_left_alone(
    lines: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> int:
        async with RawServer([ok(b'{"__type":"x#ThrottlingException"}', status="400 Bad Request")]) as server:
            point_aws_at(server.url, monkeypatch)
            store = ResilientStore(DynamoDBStore("state"))
            for _ in range(5):
                await store.put("a", b"1", life_s=60)
                assert await store.get(["a"]) == {"a": b"1"}
            await store.aclose()
            return len(server.requests)

    assert asyncio.run(main()) == 1
    assert told(lines) == [("store.down", "ThrottlingException")]
    assert SECRET not in "".join(str(line.__dict__) for line in lines)
