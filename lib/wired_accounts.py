"""Settings → the credentials of an upstream's accounts: a pool, in common with other instances if there is a store.
ChatGPT accounts are renewed and measured, too, as far as the settings want it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from lib.accounts.pool import AccountPool
from lib.types import Clock, Credentials, Lease, Window
from lib.upstreams.codex import NAME
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.http import HttpClients

if TYPE_CHECKING:
    from lib.accounts.renewal import Renewal
    from lib.accounts.shared import SharedPool
    from lib.settings import Settings
    from lib.store.memory import MemoryStore
    from lib.store.resilient import ResilientStore

    OpenStore = MemoryStore | ResilientStore

_LOG = logging.getLogger("chat2api.accounts")
_MAX_TOKENS_BYTES = 256 * 1024
_TOKENS_S = 86_400.0
"""No limit of the connection's: the token endpoint keeps one that an answer survives which comes during a freeze."""


def shared(
    pool: AccountPool, scope: str, settings: Settings, store: OpenStore, now: Clock, *, learns_refusals: bool = True
) -> AccountPool | SharedPool:
    """The pool, in common with other instances if the settings name a store for it. scope, learns_refusals: as for
    SharedPool."""
    if settings.state_url is None:
        return pool
    from lib.accounts.shared import SharedPool

    return SharedPool(pool, store.strict, scope=scope, now=now, learns_refusals=learns_refusals)


class ChatGPTAccounts:
    """The accounts of the ChatGPT upstream. pool: of `settings.accounts`, in their order."""

    credentials: Credentials
    """What leases them to requests."""

    def __init__(
        self,
        pool: AccountPool,
        settings: Settings,
        store: OpenStore,
        *,
        api: CodexApi,
        clients: HttpClients,
        now: Clock,
    ) -> None:
        self._closers: list[Callable[[], Awaitable[None]]] = []
        renewal = _renewal(pool, settings, store, clients, now)
        # Where tokens are renewed, each instance's own refusal is its reason to look for a newer one.
        scope, learns_refusals = f"{NAME} {settings.chatgpt_base_url}", renewal is None
        self._shared = shared(pool, scope, settings, store, now, learns_refusals=learns_refusals)
        self.credentials = self._shared
        if renewal is not None:
            from lib.accounts.renewing import RenewingCredentials

            pairs = zip(settings.accounts, pool.accounts, strict=True)
            renewing = RenewingCredentials(self.credentials, pairs, renewal, now=now)
            self.credentials = renewing
            self._closers.append(renewing.aclose)
        if settings.usage_max_age_s and len(pool.accounts) > 1 and not _is_astray(settings, "chatgpt_base_url"):
            self._measure(pool, settings, api, now)

    async def see(self, name: str, windows: Sequence[Window], at: float) -> None:
        """Remember usage windows that were read of an account, here and in the store. at: when they were asked for."""
        await self._shared.see(name, windows, at)

    async def aclose(self) -> None:
        """Gives up readings that are under way, and waits for renewals."""
        for close in reversed(self._closers):
            await close()

    def _measure(self, pool: AccountPool, settings: Settings, api: CodexApi, now: Clock) -> None:
        from lib.accounts.measuring import LIMIT_S, MeasuringCredentials

        async def read(lease: Lease) -> Sequence[Window]:
            from lib.upstreams.codex_usage import usage

            return await usage(api, lease)

        limit_s = min(LIMIT_S, settings.first_byte_timeout_s)
        measuring = MeasuringCredentials(
            self.credentials, pool, read, self.see, now=now, max_age_s=settings.usage_max_age_s, limit_s=limit_s
        )
        self.credentials = measuring
        self._closers.append(measuring.aclose)


def _renewal(
    pool: AccountPool, settings: Settings, store: OpenStore, clients: HttpClients, now: Clock
) -> Renewal | None:
    """What renews tokens, if the settings want it and any can be."""
    mode, url = settings.token_refresh, settings.token_url
    if mode == "off" or url is None or _is_astray(settings, "token_url"):
        return None
    if not any(config.refresh_token for config in settings.accounts):
        return None
    always = mode == "on"
    if not (always or store.durable):
        _LOG.info("token.renewal_off", extra={"fields": {"reason": "TOKEN_REFRESH=auto without STATE_URL"}})
        return None
    from lib.accounts.oauth import TokenEndpoint
    from lib.accounts.renewal import Renewal
    from lib.accounts.rotated import RotatedTokens

    async def post(url: str, headers: Mapping[str, str], body: bytes, proxy: str | None) -> tuple[int, bytes]:
        answer = await clients.open("POST", url, headers=headers, content=body, proxy=proxy, first_byte_s=_TOKENS_S)
        return answer.status, await answer.read(_MAX_TOKENS_BYTES)

    kept = RotatedTokens(store.strict)  # a lock that one instance gives itself is none
    return Renewal(TokenEndpoint(post, url=url), kept, pool.put_in_place, now=now, always=always)


def _is_astray(settings: Settings, way: str) -> bool:
    """Whether no request may go that way."""
    return way in settings.misdirected or "proxy" in settings.misdirected
