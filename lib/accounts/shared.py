"""A pool that several instances have in common through a store.

Before each lease the pool learns what other instances reported of its accounts, in one read; after a report that put
an account to rest, refused its token, woke it, or moved one of its usage windows by a step, the others are told, and
now and then of windows that have not moved, so that nobody else needs to ask. So a limited account is met by the
requests that are under way when the limit is found, and by no later one.

What could not be told, because the store did not answer, is told with the next request that finds it answering. It is
joined with what the others have written by then: of two reports the later one counts, whichever is written first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256

from lib.accounts.account import Account
from lib.accounts.member import LONGEST_COOLDOWN_S
from lib.accounts.pool import AccountPool
from lib.accounts.standing import Seen, Standing, decode, encode
from lib.accounts.usage import MAIN, seen_at
from lib.errors import StoreError
from lib.keeping import Store
from lib.types import Clock, Lease, Outcome, Window

STEP_PERCENT = 5.0
"""By how much a usage window has to move before the others are told."""
CONFIRMED_S = 300.0
"""How much newer than what the others know a report of windows that have not moved has to be."""

_TRIES = 8
"""How many writes of others, each just before its own, one write puts up with."""
_NEWS_S = 1.0
"""A rest that ends so little later is no news: each of many refusals at once has its own hint."""


class SharedPool:
    """Credentials of a pool and a store.

    store: the strict side (`lib.store.opening.open_store`), because what the other one hands over after an outage
    replaces what others wrote. scope: the upstream and its address; pools share their accounts only within it.
    learns_refusals: False where tokens are renewed, and each instance has to meet a refusal itself to go and look for
    the new one.

    The store gets a hash of an account's identity, and of a refused token; neither itself.
    """

    def __init__(
        self, pool: AccountPool, store: Store, *, scope: str, now: Clock, learns_refusals: bool = True
    ) -> None:
        self._pool = pool
        self._store = store
        self._now = now
        self._scope = scope.encode("utf-8", "surrogatepass")
        self._learns_refusals = learns_refusals
        self._keys: dict[bytes, str] = {}
        self._learned: dict[str, bytes] = {}
        """Account → what is in the store for it, as far as is known: each value is taken apart once."""
        self._told_at: dict[str, float] = {}
        """Account → how new the windows in the store are, as far as is known."""
        self._untold: set[int] = set()
        """The slots of accounts of which there is news for the others."""

    async def lease(self, *, affinity: str, model: str | None, tried: Collection[str]) -> Lease:
        """As the pool has it, with what the others know. Raises PoolExhausted."""
        accounts = self._pool.accounts
        if len(accounts) > 1:  # where there is no choice, there is nothing to learn
            with contextlib.suppress(StoreError):
                await self._tell()  # first: a store that is full can be read, and would seem to be up
                await self._learn(accounts)
        return await self._pool.lease(affinity=affinity, model=model, tried=tried)

    async def report(self, lease: Lease, outcome: Outcome, model: str | None) -> None:
        """Tells the pool, and the others if it is news."""
        before = self._pool.standing(lease.account)
        await self._pool.report(lease, outcome, model)
        await self._share_news(lease.account, before)

    async def see(self, name: str, windows: Sequence[Window], at: float) -> None:
        """Tells the pool what was read of an account's usage windows, and the others if it is news."""
        before = self._pool.standing(name)
        await self._pool.see(name, windows, at)
        await self._share_news(name, before)

    async def _learn(self, accounts: Iterable[Account]) -> None:
        keys = [(self._key(account), account.name) for account in accounts]
        found = await self._store.get([key for key, _ in keys])
        for key, name in keys:
            value = found.get(key)
            if value is not None and value != self._learned.get(name):
                self._learned[name] = value
                standing = decode(value)
                if standing is not None:
                    self._teach(name, standing)

    async def _share_news(self, name: str, before: Standing) -> None:
        after = self._pool.standing(name)
        if is_news(before, after) or seen_at(after.windows, MAIN) >= self._told_at.get(name, 0.0) + CONFIRMED_S:
            self._untold.update(account.slot for account in self._pool.accounts if account.name == name)
        with contextlib.suppress(StoreError):
            await self._tell()

    async def _tell(self) -> None:
        """Raises StoreError; what is left then waits for the next time."""
        while self._untold:
            slot = self._untold.pop()
            try:
                await self._share(next(account for account in self._pool.accounts if account.slot == slot))
            except BaseException:
                self._untold.add(slot)
                raise

    async def _share(self, account: Account) -> None:
        """What this instance knows of an account, joined with what the others have written. Raises StoreError."""
        key, name = self._key(account), account.name
        mine = self._pool.standing(name)
        old = self._learned.get(name)
        for _ in range(_TRIES):
            known = decode(old) if old is not None else None
            if known is not None:
                known = known.not_after(self._now())
                self._teach(name, known)
                mine = mine.merged(known)
            new = encode(mine)
            if new == old or await self._store.swap(key, old, new, life_s=LONGEST_COOLDOWN_S):
                self._learned[name] = new
                self._told_at[name] = seen_at(mine.windows, MAIN)
                return
            old = (await self._store.get([key])).get(key)
        raise StoreError("others write all the time")  # what replaced theirs would lose what they have just met

    def _teach(self, name: str, standing: Standing) -> None:
        if not self._learns_refusals:
            standing = Standing(standing.rests, {}, standing.windows)
        self._told_at[name] = seen_at(standing.windows, MAIN)
        self._pool.learn(name, standing)

    def _key(self, account: Account) -> str:
        key = self._keys.get(account.identity)
        if key is None:
            digest = sha256(b"\n".join([self._scope, account.identity])).hexdigest()
            key = self._keys[account.identity] = f"account:{digest[:32]}"
        return key


def is_news(before: Standing, after: Standing) -> bool:
    """Whether other instances would choose otherwise for it."""
    if after.refused.keys() != before.refused.keys():
        return True
    for family, rest in after.rests.items():
        known = before.rests.get(family)
        until = 0.0 if known is None else known.until
        if rest.until > until + _NEWS_S or (until and not rest.until):
            return True
    return _steps(before.windows) != _steps(after.windows)


def _steps(windows: Iterable[Seen]) -> dict[tuple[str, int | None], float]:
    return {(seen.bucket, seen.window_minutes): seen.used_percent // STEP_PERCENT for seen in windows}
