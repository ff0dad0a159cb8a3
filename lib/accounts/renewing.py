"""Credentials whose tokens are renewed: beside a request shortly before they end, and at once when they are refused.

Accounts that end soon are renewed while the request goes on with the old token, which stays good. A request waits only
for an account that it needs and that cannot serve as it is. After a refusal (verdict ACCOUNT) the renewed account has
another name, so that failover offers it to the same request.

One instance at a time renews an account (a lock in the store), and new tokens are in the store before they are used.
Who comes second finds them there. When renewing fails, the old token is used as long as it is good.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from lib.accounts.account import Account
from lib.accounts.renewal import Flight, Login, Renewal
from lib.errors import PoolExhausted, Verdict
from lib.types import Clock, Credentials, Lease, Outcome
from lib.values import replace

if TYPE_CHECKING:
    from lib.settings import AccountConfig

EARLY_S = 300.0
"""A token is renewed so long before its end, and up to twice as long: instances do not all come at the same time."""
MAX_FLIGHTS = 4
"""How many accounts are renewed at the same time."""

_GONE = frozenset({"account_deactivated", "account_suspended", "account_deleted"})
"""Refusals that no new token changes."""


class RenewingCredentials:
    """Credentials of a pool of which some accounts are renewed.

    inner: leases the accounts. accounts: all of them, as configured; the others are left alone. draw: from 0 to 1.
    """

    def __init__(
        self,
        inner: Credentials,
        accounts: Iterable[tuple[AccountConfig, Account]],
        renewal: Renewal,
        *,
        now: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._renewal = renewal
        self._now = now
        self._logins = [
            Login(config, account, early_s=EARLY_S * (1 + draw()))
            for config, account in accounts
            if is_renewable(config)
        ]
        self._by_slot = {_slot(login.account.name): login for login in self._logins}
        """Slots outlast names: a lease may be older than the renewal of its account."""
        self._first_look = Flight()
        self._has_looked = False

    async def lease(self, *, affinity: str, model: str | None, tried: Collection[str]) -> Lease:
        """As the pool has it, with a token that is good if one can be had. Raises PoolExhausted."""
        if not self._has_looked:
            self._first_look.begin(self._look)
            await self._first_look.land()
        self._begin_due()
        ask = functools.partial(self._inner.lease, affinity=affinity, model=model, tried=tried)
        try:
            lease = await ask()
            login = self._by_slot.get(_slot(lease.account))
            if login is None or not login.is_spent(self._now()):
                return lease
            await login.flight.land()
            if login.account.name == lease.account:
                return lease
        except PoolExhausted:
            await self._revive()
        try:
            return await ask()
        except PoolExhausted as exhausted:
            raise self._explained(exhausted) from None

    async def report(self, lease: Lease, outcome: Outcome, model: str | None) -> None:
        """Tells the pool. Returns when no renewal is under way: an answer that a frozen process misses is lost."""
        login = self._by_slot.get(_slot(lease.account))
        error = outcome.error
        if login is None:
            await self._inner.report(lease, outcome, model)
        elif error is None or error.verdict is not Verdict.ACCOUNT:
            if lease.account == login.account.name and error is None:
                login.tries = 0
            await self._inner.report(replace(lease, account=login.account.name), outcome, model)
        elif lease.account == login.account.name:  # else the token that was refused has been replaced since
            self._refused(login, error.code)
            await self._inner.report(lease, outcome, model)
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for the renewals that are under way."""
        for login in self._logins:
            await login.flight.land()

    def _refused(self, login: Login, code: str | None) -> None:
        if code not in _GONE:
            login.is_refused = True
            if self._now() >= login.next_at:
                login.flight.begin(functools.partial(self._renewal.renew, login))

    async def _look(self) -> None:
        await self._renewal.look(self._logins)
        self._has_looked = True

    def _begin_due(self) -> None:
        now = self._now()
        due = [login for login in self._logins if login.is_due(now) and not login.flight.is_up]
        if due:
            room = MAX_FLIGHTS - sum(login.flight.is_up for login in self._logins)
            for login in due[: max(0, room)]:
                login.flight.begin(functools.partial(self._renewal.renew, login))

    async def _revive(self) -> None:
        """Wait for the renewals of accounts that are of no use as they are."""
        now = self._now()
        for login in self._logins:
            if login.is_spent(now):
                await login.flight.land()

    def _explained(self, exhausted: PoolExhausted) -> PoolExhausted:
        """Tokens that the next try may renew are no reason to replace them."""
        now = self._now()
        hopes = [login.next_at for login in self._logins if login.is_spent(now) and login.rotation.resting_until <= now]
        if exhausted.status != 401 or not hopes or not self._renewal.is_allowed:
            return exhausted
        wait_s = max(1.0, min(hopes) - now)
        return PoolExhausted(
            f"The access tokens of all accounts have ended and could not be renewed yet. Try again in {wait_s:.0f} s.",
            code="token_renewal_failed",
            retry_after_s=wait_s,
            should_retry=True,
        )


def is_renewable(config: AccountConfig) -> bool:
    """Whether a refresh token comes with it; for a personal access token (`at-…`) there is none that would be good."""
    return bool(config.refresh_token) and not config.access_token.startswith("at-")


def _slot(name: str) -> str:
    return name.partition("-")[0]
