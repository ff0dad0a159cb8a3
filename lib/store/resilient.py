"""A store that never fails its users: while the shared one is down, slow or full, it is a memory of its own.

After a failure, or two operations in a row that took too long, the shared store is left alone for a second; then one
operation tries it again, and what was written in the meantime is handed over first. After each try that fails the pause
is twice as long, up to a limit; there is none while the store takes in what is handed over. One log line for each
change: `store.down` and `store.up`.

While it is down, each instance is alone: a swap is decided by what this one knows, and what is handed over replaces
what others wrote. What must not be decided alone, or is written by several instances, uses the `strict` side, which
fails instead.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from lib.errors import StoreError
from lib.keeping import MAX_STORED_BYTES, Store
from lib.store.memory import MemoryStore
from lib.types import Clock

T = TypeVar("T")

SHORTEST_LIFE_S = 60.0
"""What is over sooner is not handed over: it helps little, and it may be a lock that nobody holds any more."""

FIRST_PAUSE_S = 1.0
COLD_S = 10.0
"""After such a time without an answer the next one may need a new connection, in a process that has just been woken."""

_BUSY_S = 1.0
"""How recently a store has to have answered for one operation that takes too long to be no sign that it is down: when
many requests come at once, what takes long is this process."""

_PREPARE_S = 10.0
_LOG = logging.getLogger("chat2api.store")


class _Ask(Protocol):
    async def __call__(self, operation: Callable[[Remote], Awaitable[T]]) -> T: ...


class Remote(Store, Protocol):
    """A store behind a network."""

    name: str
    """For the log."""
    limit_s: float
    """How long one operation may take."""
    cold_limit_s: float
    """How long it may take when it may have to connect first, with all that is done once for that."""

    async def prepare(self) -> None:
        """What takes longer than an operation and is needed once: imports, above all. Raises StoreError."""


class ResilientStore:
    """`lib.types.Store` that raises nothing. pause_s: how long a store that goes on failing is left alone at most.

    A value beyond MAX_STORED_BYTES is not kept: the log says so, and a swap says that it did not happen.
    """

    def __init__(self, remote: Remote, *, pause_s: float = 10.0, now: Clock = time.monotonic) -> None:
        self.durable = remote.durable
        """What the shared store promises, up or down."""
        self._remote = remote
        self._longest_pause_s = pause_s
        self._pause_s = 0.0
        self._now = now
        self._is_prepared = False
        self._down_since: float | None = None
        self._retry_at = 0.0
        self._answered_at = -math.inf
        self._is_in_doubt = False
        """Whether an operation took too long since the last answer."""
        self._handed_over = 0
        """How many values were, ever."""
        self._memory = MemoryStore(now=now)
        """What was written while the store was down and is still to be handed over."""
        self._forgotten: dict[str, bytes | None] = {}
        """Keys that were deleted meanwhile, with the value that they were to have."""

    @property
    def strict(self) -> Store:
        """The same store, with the same time limit and pause, that raises StoreError instead of going on alone."""
        return _Strict(self.durable, self._ask)

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        try:
            return await self._ask(lambda remote: remote.get(keys))
        except StoreError:
            return await self._memory.get(keys)

    async def put(self, key: str, value: bytes, *, life_s: float) -> None:
        if _is_too_large(value):
            return
        try:
            await self._ask(lambda remote: remote.put(key, value, life_s=life_s))
        except StoreError:
            self._forgotten.pop(key, None)
            await self._memory.put(key, value, life_s=life_s)

    async def swap(self, key: str, old: bytes | None, new: bytes, *, life_s: float) -> bool:
        if _is_too_large(new):
            return False
        try:
            return await self._ask(lambda remote: remote.swap(key, old, new, life_s=life_s))
        except StoreError:
            # What the shared store held cannot be known: only what was written since counts against the swap.
            known = (await self._memory.get([key])).get(key)
            if known is not None and known != old:
                return False
            self._forgotten.pop(key, None)
            await self._memory.put(key, new, life_s=life_s)
            return True

    async def delete(self, key: str, *, old: bytes | None = None) -> None:
        try:
            await self._ask(lambda remote: remote.delete(key, old=old))
        except StoreError:
            await self._memory.delete(key, old=old)
            self._forgotten[key] = old

    async def aclose(self) -> None:
        await self._remote.aclose()

    async def _ask(self, operation: Callable[[Remote], Awaitable[T]]) -> T:
        """Raises StoreError while the store is down, when that turns out, and for what took too long."""
        is_trial = self._down_since is not None
        if is_trial:
            if self._now() < self._retry_at:
                raise StoreError("down")
            self._pause_s = min(2 * self._pause_s, self._longest_pause_s)
            self._retry_at = self._now() + self._pause_s  # others do not wait for the outcome
        # A store that hangs from the start costs one long wait, and then short ones.
        is_cold = not is_trial and self._now() - self._answered_at > COLD_S
        handed_over = self._handed_over
        try:
            await self._prepare()
            limit_s = self._remote.cold_limit_s if is_cold else self._remote.limit_s
            async with asyncio.timeout(limit_s):
                await self._hand_over()
            async with asyncio.timeout(limit_s):
                result = await operation(self._remote)
        except TimeoutError as error:
            self._doubt(is_cold)
            if is_trial and self._handed_over > handed_over:
                self._pause_s, self._retry_at = FIRST_PAUSE_S, self._now()  # the next operation goes on with the rest
            raise StoreError("timeout") from error
        except StoreError as error:
            self._down(str(error))
            raise
        self._answered_at, self._is_in_doubt = self._now(), False
        if is_trial:  # an operation that began before the failure proves nothing
            self._up()
        return result

    async def _prepare(self) -> None:
        if not self._is_prepared:
            async with asyncio.timeout(_PREPARE_S):
                await self._remote.prepare()
            self._is_prepared = True

    async def _hand_over(self) -> None:
        """What was written while the store was down. Each entry leaves the memory for the time of its own way, so that
        it goes once; one that did not arrive comes back, unless there is a newer one. What takes more than the time of
        one operation takes several, and is no sign that the store is down."""
        while self._forgotten:
            key, old = self._forgotten.popitem()
            try:
                await self._remote.delete(key, old=old)
            except BaseException:
                if not await self._memory.get([key]):
                    self._forgotten.setdefault(key, old)
                raise
        while self._memory:
            key, value, life_s = self._memory.pop()
            if life_s < SHORTEST_LIFE_S:
                continue
            try:
                await self._remote.put(key, value, life_s=life_s)
            except BaseException:
                if key not in self._forgotten:
                    await self._memory.swap(key, None, value, life_s=life_s)
                raise
            self._handed_over += 1
            self._answered_at = self._now()

    def _doubt(self, is_cold: bool) -> None:
        """An operation took too long. One alone may be a slow one, unless it has had the time of several."""
        if self._now() - self._answered_at > _BUSY_S:
            if is_cold or self._is_in_doubt:
                self._down("timeout")
            self._is_in_doubt = True

    def _down(self, reason: str) -> None:
        if self._down_since is None:
            self._down_since = self._now()
            self._pause_s = min(FIRST_PAUSE_S, self._longest_pause_s)
            _LOG.warning("store.down", extra={"fields": {"store": self._remote.name, "reason": reason}})
        self._retry_at = self._now() + self._pause_s

    def _up(self) -> None:
        if self._down_since is not None:
            down_s = round(self._now() - self._down_since, 3)
            self._down_since = None
            _LOG.info("store.up", extra={"fields": {"store": self._remote.name, "down_s": down_s}})


class _Strict:
    def __init__(self, durable: bool, ask: _Ask) -> None:
        self.durable = durable
        self._ask = ask

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        return await self._ask(lambda remote: remote.get(keys))

    async def put(self, key: str, value: bytes, *, life_s: float) -> None:
        _check(value)
        await self._ask(lambda remote: remote.put(key, value, life_s=life_s))

    async def swap(self, key: str, old: bytes | None, new: bytes, *, life_s: float) -> bool:
        _check(new)
        return await self._ask(lambda remote: remote.swap(key, old, new, life_s=life_s))

    async def delete(self, key: str, *, old: bytes | None = None) -> None:
        await self._ask(lambda remote: remote.delete(key, old=old))

    async def aclose(self) -> None:
        """Nothing: it is the other side's to close."""


def _check(value: bytes) -> None:
    """Before it is sent: a store is not down because of it."""
    if len(value) > MAX_STORED_BYTES:
        raise StoreError("the value is too large")


def _is_too_large(value: bytes) -> bool:
    if len(value) <= MAX_STORED_BYTES:
        return False
    _LOG.warning("store.too_large", extra={"fields": {"bytes": len(value), "max_bytes": MAX_STORED_BYTES}})
    return True
