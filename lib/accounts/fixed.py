"""A caller's own token as credentials: one account, once for each request."""

from __future__ import annotations

from collections.abc import Collection

from lib.accounts.account import Account
from lib.errors import PoolExhausted
from lib.types import Lease, Outcome


class FixedCredentials:
    """Leases its account to a request's first attempt. Remembers nothing: the token is the caller's business."""

    def __init__(self, account: Account, upstream: str) -> None:
        self._lease = Lease(account.name, upstream, account.lease_headers(), account.proxy)

    async def lease(self, *, affinity: str, model: str | None, tried: Collection[str]) -> Lease:
        """Raises PoolExhausted when the account has been tried."""
        if self._lease.account in tried:
            raise PoolExhausted("There is no other account than the one of your token.", code="no_account_left")
        return self._lease

    async def report(self, lease: Lease, outcome: Outcome, model: str | None) -> None:
        """Nothing follows from it: the next request may bring another token."""
