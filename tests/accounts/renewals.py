"""Instances of a deployment in front of a token endpoint, as far as renewals go."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from lib.accounts.account import Account
from lib.accounts.oauth import TokenEndpoint
from lib.accounts.pool import AccountPool
from lib.accounts.renewal import Renewal
from lib.accounts.renewing import RenewingCredentials
from lib.accounts.rotated import RotatedTokens
from lib.errors import UpstreamError, Verdict
from lib.settings import AccountConfig
from lib.types import Lease, Outcome
from lib.upstreams.http import HttpClients, Timeouts
from tests.fakes import tokens
from tests.fakes.codex_backend import TOKEN, CodexBackend
from tests.fakes.plain_store import PlainStore

DAY_S = 86_400.0
REFUSAL = Outcome(UpstreamError("x", verdict=Verdict.ACCOUNT, code="token_invalidated"))


class Clock:
    """The real time, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@dataclass
class Instance:
    """One process of a deployment, as far as renewals go."""

    pool: AccountPool
    credentials: RenewingCredentials
    clock: Clock
    proxies: list[str | None] = field(default_factory=list)

    async def lease(self, tried: Collection[str] = ()) -> Lease:
        return await self.credentials.lease(affinity="talk", model="gpt-5.5", tried=tried)

    async def report(self, lease: Lease, outcome: Outcome = REFUSAL) -> None:
        await self.credentials.report(lease, outcome, "gpt-5.5")


@contextlib.asynccontextmanager
async def instance(
    backend: CodexBackend, store: PlainStore, *configs: AccountConfig, always: bool = False, clock: Clock | None = None
) -> AsyncIterator[Instance]:
    clients = HttpClients(timeouts=Timeouts(1, 1, 1))
    clock, proxies = clock or Clock(), []

    async def post(url: str, headers: Mapping[str, str], body: bytes, proxy: str | None) -> tuple[int, bytes]:
        proxies.append(proxy)
        answer = await clients.open("POST", url, headers=headers, content=body)
        return answer.status, await answer.read(100_000)

    async def short(pause_s: float) -> None:
        await asyncio.sleep(pause_s / 20)

    accounts = [Account.from_config(config, slot) for slot, config in enumerate(configs, 1)]
    pool = AccountPool(accounts, upstream="codex", now=clock)
    endpoint = TokenEndpoint(post, url=backend.url + TOKEN)
    renewal = Renewal(endpoint, RotatedTokens(store), pool.put_in_place, now=clock, always=always, sleep=short)
    pairs = zip(configs, accounts, strict=True)
    credentials = RenewingCredentials(pool, pairs, renewal, now=clock, draw=lambda: 0.5)
    try:
        yield Instance(pool, credentials, clock, proxies)
        await credentials.aclose()
    finally:
        await clients.aclose()


def login(
    backend: CodexBackend, *, ends_in_s: float = 10 * DAY_S, account: str = "acct-1", **more: Any
) -> AccountConfig:
    return AccountConfig(
        tokens.jwt(account, expires_in_s=ends_in_s, plan="free", jti="configured"),
        refresh_token=backend.authority.issue(account),
        **more,
    )


def asked(backend: CodexBackend) -> int:
    """How many requests the token endpoint has seen."""
    return sum(request.path == TOKEN for request in backend.requests)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def token_of(lease: Lease) -> str:
    return lease.headers["authorization"].removeprefix("Bearer ")
