"""Credentials whose accounts are asked how far they are used, beside the requests.

Answers tell the usage windows of the accounts that serve, and only of those. So at a lease every account of which
nothing was heard for a while, by an answer, from another instance or at an earlier reading, is read while the request
goes on: with the first request of an instance, and from time to time after it. No request waits for that or fails with
it. Were it waited for, however shortly, each cold start would pay for what failover spares its caller anyway.

A reading tells windows and nothing else. One that fails says nothing of its account, not even when the token is
refused: the endpoint may be closed to a token that is good for requests, and if it is good for nothing, the next
request finds out and has another account to go to. The account is just not read again for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

from lib.accounts.account import Account
from lib.accounts.pool import AccountPool
from lib.errors import UpstreamError
from lib.types import Clock, Credentials, Lease, Outcome, Window

HEAD_START_S = 0.25
"""How much later than its request a reading begins: connecting costs both of them the same processor."""
LIMIT_S = 5.0
"""How long one reading may take."""
PAUSE_S = 300.0
"""An account is not read again sooner when a reading failed or was cut short, and later if the upstream says so."""
MAX_READINGS = 4
"""How many accounts are read at the same time."""

_LOG = logging.getLogger("chat2api.accounts")

Read = Callable[[Lease], Awaitable[Sequence[Window]]]
"""Asks for the windows of the lease's account. Raises UpstreamError."""
See = Callable[[str, Sequence[Window], float], Awaitable[None]]
"""Takes what was read: the account's name, its windows, and when they were asked for."""


class MeasuringCredentials:
    """Credentials of a pool of several accounts, all of one upstream.

    inner: leases the accounts. see: where windows are remembered. max_age_s: how old what is known of an account may
    be. limit_s: how long one reading may take. head_start_s: how much later than its request it begins.
    """

    def __init__(
        self,
        inner: Credentials,
        pool: AccountPool,
        read: Read,
        see: See,
        *,
        now: Clock,
        max_age_s: float,
        limit_s: float = LIMIT_S,
        head_start_s: float = HEAD_START_S,
    ) -> None:
        self._inner = inner
        self._pool = pool
        self._read = read
        self._see = see
        self._now = now
        self._max_age_s = max_age_s
        self._limit_s = limit_s
        self._head_start_s = head_start_s
        self._next_at: dict[str, float] = {}
        """Account → when it may be read again, in epoch seconds."""
        self._tasks: set[asyncio.Task[None]] = set()
        """Held until they end. What a loop took with it when it was closed stays, and would complain if it went."""

    async def lease(self, *, affinity: str, model: str | None, tried: Collection[str]) -> Lease:
        """As the pool has it, at once: what is not known yet is for the next one. Raises PoolExhausted."""
        lease = await self._inner.lease(affinity=affinity, model=model, tried=tried)
        self._begin_due(lease.upstream)
        return lease

    async def report(self, lease: Lease, outcome: Outcome, model: str | None) -> None:
        """Tells the pool."""
        await self._inner.report(lease, outcome, model)

    async def aclose(self) -> None:
        """Give up the readings that are under way."""
        tasks = self._under_way()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin_due(self, upstream: str) -> None:
        now = self._now()
        due = [
            account
            for account in self._pool.unseen(now - self._max_age_s)
            if self._next_at.get(account.name, 0.0) <= now
        ]
        if not due:
            return
        room = MAX_READINGS - len(self._under_way())
        due.sort(key=lambda account: self._next_at.get(account.name, 0.0))  # else the first ones leave others no turn
        for account in due[: max(0, room)]:
            self._next_at[account.name] = now + PAUSE_S  # longer than a reading takes: there is never a second one
            task = asyncio.get_running_loop().create_task(self._measure(account, upstream))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _under_way(self) -> list[asyncio.Task[None]]:
        """Those of the running loop. What began on another one may have died with it."""
        loop = asyncio.get_running_loop()
        return [task for task in self._tasks if task.get_loop() is loop]

    async def _measure(self, account: Account, upstream: str) -> None:
        await asyncio.sleep(self._head_start_s)
        lease = Lease(account.name, upstream, account.lease_headers(), account.proxy)
        at = self._now()
        try:
            async with asyncio.timeout(self._limit_s):
                windows = await self._read(lease)
        except UpstreamError as error:
            self._put_off(account, error.code, error.retry_after_s or 0.0)
        except TimeoutError:
            self._put_off(account, "upstream_timeout", 0.0)
        else:
            self._next_at[account.name] = at + self._max_age_s  # there may be no window to know it by
            await self._see(account.name, windows, at)

    def _put_off(self, account: Account, reason: str | None, wait_s: float) -> None:
        self._next_at[account.name] = self._now() + max(PAUSE_S, wait_s)
        _LOG.info("usage.unread", extra={"fields": {"account": account.name, "reason": reason}})
