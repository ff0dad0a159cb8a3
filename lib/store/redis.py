"""Redis, and whatever speaks its protocol (Valkey, KeyDB, Upstash), as a single server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lib.errors import StoreError
from lib.keeping import MAX_STORED_BYTES
from lib.loops import PerLoop

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = "chat2api:"
_MAX_CONNECTIONS = 16

_SWAP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
_DELETE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class RedisStore:
    """`lib.store.resilient.Remote` over `redis://` or `rediss://` addresses. limit_s: how long one operation may take
    on a kept connection; five times as long when there is none yet, which takes about as many round trips.

    The client is imported with the first operation. There is no second try of anything: a swap that was done and not
    acknowledged would be refused the second time.
    """

    name = "redis"
    durable = True

    def __init__(self, url: str, *, limit_s: float = 0.25) -> None:
        self.limit_s = limit_s
        self.cold_limit_s = 5 * limit_s
        self._url = url
        self._clients: PerLoop[Redis] = PerLoop(self._made, _closed)

    async def prepare(self) -> None:
        await asyncio.to_thread(_import)

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        if not keys:
            return {}
        with _mapped():
            client = await self._clients.get()
            values: object = await client.mget([PREFIX + key for key in keys])
            if not isinstance(values, list) or len(values) != len(keys):
                raise ValueError("not the answer to what was asked")
        return {key: value for key, value in zip(keys, values, strict=True) if isinstance(value, bytes)}

    async def put(self, key: str, value: bytes, *, life_s: float) -> None:
        _check(value)
        with _mapped():
            client = await self._clients.get()
            await client.set(PREFIX + key, value, px=_milliseconds(life_s))

    async def swap(self, key: str, old: bytes | None, new: bytes, *, life_s: float) -> bool:
        _check(new)
        life_ms = _milliseconds(life_s)
        with _mapped():
            client: Any = await self._clients.get()
            if old is None:
                return await client.set(PREFIX + key, new, px=life_ms, nx=True) is True
            return bool(await client.eval(_SWAP, 1, PREFIX + key, old, new, life_ms))

    async def delete(self, key: str, *, old: bytes | None = None) -> None:
        with _mapped():
            client: Any = await self._clients.get()
            if old is None:
                await client.delete(PREFIX + key)
            else:
                await client.eval(_DELETE, 1, PREFIX + key, old)

    async def aclose(self) -> None:
        """Closes the connections of the running loop."""
        await self._clients.aclose()

    def _made(self) -> Redis:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        patience_s = 2 * self.cold_limit_s  # the limit itself is kept by who asks, and is to be the first to end
        pool = BlockingConnectionPool.from_url(
            self._url,
            max_connections=_MAX_CONNECTIONS,
            timeout=patience_s,
            socket_timeout=patience_s,
            socket_connect_timeout=patience_s,
            retry=Retry(NoBackoff(), 0),
            # The newer protocol and naming the library take round trips for each connection, and bring nothing here.
            protocol=2,
            driver_info=None,
        )
        return Redis.from_pool(pool)


def _import() -> None:
    try:
        import redis.asyncio  # noqa: F401 - a fifth of a second, on a slow machine more: not on the event loop
    except ImportError as error:
        raise StoreError("the package redis is not installed here") from error


async def _closed(client: Redis) -> None:
    with contextlib.suppress(OSError):  # the server may be the first to go
        await client.aclose()


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    """The library's errors as ours, by their class: a message may hold what was sent."""
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError, ValueError, RecursionError) as error:
        raise StoreError(type(error).__name__) from error


def _check(value: bytes) -> None:
    if len(value) > MAX_STORED_BYTES:
        raise StoreError("the value is too large")


def _milliseconds(life_s: float) -> int:
    return max(1, int(life_s * 1000))
