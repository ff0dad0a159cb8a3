from __future__ import annotations

import asyncio
import itertools
import socket
import subprocess
import sys
from typing import Any

import pytest

from lib.errors import StoreError
from lib.store.redis import RedisStore
from tests.fakes.redis_server import PASSWORD, RedisServer, redis_server
from tests.fakes.serving import loopback_socket
from tests.store.rules import RULES

NUMBERS = itertools.count()


async def closing(store: RedisStore, work: Any) -> Any:
    await store.prepare()
    try:
        return await work
    finally:
        await store.aclose()


def failing(url: str, limit_s: float = 0.2) -> str:
    store = RedisStore(url, limit_s=limit_s)
    with pytest.raises(StoreError) as caught:
        asyncio.run(closing(store, store.put("a", b"b", life_s=1)))
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("rule", RULES)
def test_it_keeps_the_rules_of_a_store(redis: RedisServer, rule: Any) -> None:
    number, store = next(NUMBERS), RedisStore(redis.url, limit_s=2)
    asyncio.run(closing(store, rule(store, f"a{number}", f"b{number}")))


def test_keys_have_a_name_space_and_values_an_end(redis: RedisServer) -> None:
    async def main() -> None:
        store = RedisStore(redis.url)
        await store.prepare()
        await store.put("ending", b"1", life_s=0.05)
        assert await store.swap("swapped", None, b"1", life_s=0.05)
        assert await store.swap("swapped", b"1", b"2", life_s=0.05)
        assert await store.get(["ending", "swapped"]) == {"ending": b"1", "swapped": b"2"}
        await asyncio.sleep(0.07)
        assert await store.get(["ending", "swapped"]) == {}
        await store.put("kept", b"1", life_s=100)
        await store.aclose()

    asyncio.run(main())
    with socket.create_connection(("127.0.0.1", redis.port)) as connection:
        connection.sendall(f"AUTH {PASSWORD}\r\nSELECT 1\r\nTTL chat2api:kept\r\nQUIT\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(100), b""))
    assert answer.split(b"\r\n")[2] in (b":99", b":100")


def test_each_event_loop_has_connections_of_its_own(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    for number in range(3):  # nobody closes it: the loop's end does

        async def main(number: int = number) -> None:
            await store.put("loops", b"%d" % number, life_s=60)
            assert await store.get(["loops"]) == {"loops": b"%d" % number}

        asyncio.run(main())
    assert redis.say("CLIENT", "LIST").count(b" addr=") == 1


def test_a_loop_that_was_closed_before_its_connections_does_no_harm(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(store.put("dead", b"1", life_s=60))
    loop.close()
    assert asyncio.run(store.get(["dead"])) == {"dead": b"1"}
    assert redis.say("CLIENT", "LIST").count(b" addr=") == 1


def test_a_connection_that_the_server_closed_is_replaced(redis: RedisServer) -> None:
    async def main() -> None:
        store = RedisStore(redis.url)
        await store.put("kept", b"1", life_s=60)
        await asyncio.to_thread(redis.say, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await asyncio.sleep(0.02)
        assert await store.get(["kept"]) == {"kept": b"1"}
        await store.aclose()

    asyncio.run(main())


def test_many_operations_share_few_connections(redis: RedisServer) -> None:
    async def main() -> None:
        store = RedisStore(redis.url, limit_s=2)
        await asyncio.gather(*(store.get([f"{number}"]) for number in range(200)))
        clients = await asyncio.to_thread(redis.say, "CLIENT", "LIST")
        assert 1 < clients.count(b" addr=") <= 17
        await store.aclose()
        assert (await asyncio.to_thread(redis.say, "CLIENT", "LIST")).count(b" addr=") == 1

    asyncio.run(main())


def test_a_server_that_is_not_there_is_a_store_error() -> None:
    with loopback_socket() as free:
        assert failing(f"redis://:{PASSWORD}@127.0.0.1:{free.getsockname()[1]}") == "ConnectionError"


def test_a_server_that_says_nothing_is_a_store_error() -> None:
    with loopback_socket() as silent:
        silent.listen()
        url = f"redis://:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}"
        assert failing(url, limit_s=0.05) == "TimeoutError"


def test_a_wrong_password_is_a_store_error(redis: RedisServer) -> None:
    assert failing(f"redis://:wrong@127.0.0.1:{redis.port}") == "AuthenticationError"


@pytest.mark.parametrize(
    "said",
    [b"*-1\r\n", b":1\r\n", b"+OK\r\n", b"*2\r\n:1\r\n:2\r\n", b"*1\r\n" * 5000, b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    ids=["nothing", "number", "text", "too many", "nested", "HTTP"],
)
def test_a_server_that_answers_something_else_is_a_store_error(said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(said)
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            store = RedisStore(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", limit_s=2)
            with pytest.raises(StoreError):
                await closing(store, store.get(["a"]))

    asyncio.run(main())


def test_a_full_server_is_a_store_error_and_still_reads() -> None:
    async def main(server: RedisServer) -> None:
        store = RedisStore(server.url)
        await store.prepare()
        await store.put("kept", b"1", life_s=60)
        await asyncio.to_thread(server.say, "CONFIG", "SET", "maxmemory", "1")
        for write in (
            store.put("a", bytes(1000), life_s=60),
            store.swap("b", None, b"1", life_s=60),
            store.swap("kept", b"1", b"2", life_s=60),
        ):
            with pytest.raises(StoreError, match=r"OutOfMemoryError|ResponseError"):
                await write
        assert await store.get(["kept"]) == {"kept": b"1"}
        await store.aclose()

    with redis_server("--maxmemory-policy", "noeviction") as server:
        asyncio.run(main(server))


def test_the_client_is_imported_with_the_first_operation() -> None:
    program = (
        "import sys; from lib.store.opening import open_store; open_store('redis://h'); open_store('dynamodb://table')\n"
        "print([name for name in ('redis', 'boto3', 'botocore') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
