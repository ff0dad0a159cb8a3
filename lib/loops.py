"""Values that belong to an event loop, as connections do.

Serverless platforms may run each invocation on an event loop of its own: what belongs to a loop is closed with it, at
the latest when a later loop asks for its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One value for each event loop, made when first needed and closed with its loop by all that ends the loop's
    asynchronous generators, as `asyncio.run` does."""

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make = make
        self._close = close
        self._loops: dict[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]] = {}

    async def get(self) -> T:
        """The running loop's value. Raises what `make` raises."""
        loop = asyncio.get_running_loop()
        known = self._loops.get(loop)
        if known is not None:
            return known[0]
        value = self._make()
        life = self._live(loop, value)
        self._loops[loop] = value, life
        await life.__anext__()
        for old in [old for old in self._loops if old.is_closed()]:
            await self._bury(old)
        return value

    async def aclose(self) -> None:
        """Closes the running loop's value."""
        known = self._loops.get(asyncio.get_running_loop())
        if known is not None:
            await known[1].aclose()

    async def _live(self, loop: asyncio.AbstractEventLoop, value: T) -> AsyncGenerator[None, None]:
        _living.add(self)
        try:
            yield
        finally:
            self._loops.pop(loop, None)
            if not self._loops:
                _living.discard(self)
            await self._close(value)

    async def _bury(self, loop: asyncio.AbstractEventLoop) -> None:
        """Closes the value of a loop that was closed before it.

        asyncio closes a socket in the next turn of its loop, and this one has no next turn: it does so at once instead,
        and does nothing else any more, least of all wake the tasks that died with it.
        """

        def at_once(callback: Callable[..., object], *args: object, context: object = None) -> None:
            if isinstance(getattr(callback, "__self__", None), asyncio.BaseTransport | asyncio.BaseProtocol):
                callback(*args)

        loop.call_soon = at_once  # type: ignore[method-assign,assignment]
        await self._loops[loop][1].aclose()


_living: set[PerLoop[Any]] = set()
"""Held here, because a generator that is collected is closed in a task, and a loop that is about to end cancels that
task before it has begun."""
