from __future__ import annotations

import asyncio

import pytest

from lib.accounts.account import Account
from lib.accounts.fixed import FixedCredentials
from lib.errors import PoolExhausted, UpstreamError, Verdict
from lib.types import Credentials, Outcome


def test_a_callers_own_token_is_leased_once_for_each_request() -> None:
    async def run() -> None:
        credentials: Credentials = FixedCredentials(Account.from_token("at-own", "acct"), "codex")
        lease = await credentials.lease(affinity="", model=None, tried=())
        assert (lease.upstream, lease.proxy) == ("codex", None)
        assert lease.headers == {"authorization": "Bearer at-own", "chatgpt-account-id": "acct"}
        with pytest.raises(PoolExhausted) as caught:
            await credentials.lease(affinity="", model=None, tried=[lease.account])
        assert caught.value.code == "no_account_left"
        assert "own" not in str(caught.value)
        refused = UpstreamError("no", verdict=Verdict.ACCOUNT)
        await credentials.report(lease, Outcome(refused), None)
        assert await credentials.lease(affinity="", model=None, tried=()) == lease

    asyncio.run(run())
