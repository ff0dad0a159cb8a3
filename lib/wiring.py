"""Settings → a relay over the configured upstreams. Each deployment imports only what it is configured for."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from lib.accounts.account import Account
from lib.accounts.fixed import FixedCredentials
from lib.accounts.pool import AccountPool
from lib.failover import Budget, Failover
from lib.prompted.policy import EnforcedUpstream
from lib.relay import Relay
from lib.routing import CLAUDE, Router, Target
from lib.types import Caller, Clock, Upstream
from lib.upstreams.codex import NAME, CodexUpstream
from lib.upstreams.http import HttpClients, Timeouts

if TYPE_CHECKING:
    from lib.settings import Settings

Close = Callable[[], Awaitable[None]]

_ACCOUNT_VARIABLES = frozenset({"CHATGPT_ACCESS_TOKENS", "CHATGPT_ACCOUNTS", "VERCEL_CONFIG_FILE"})


def wire(settings: Settings, now: Clock) -> tuple[Relay, Close]:
    """The relay, and what closes its connections. Opens none."""
    clients = HttpClients(
        timeouts=Timeouts(settings.connect_timeout_s, settings.first_byte_timeout_s, settings.idle_timeout_s),
        proxy=settings.proxy_url,
    )
    wrong = settings.misdirected.get("chatgpt_base_url") or settings.misdirected.get("proxy")
    codex = CodexUpstream(
        clients,
        base_url=settings.chatgpt_base_url,
        client_version=settings.codex_client_version,
        max_event_bytes=settings.max_event_bytes,
        now=now,
        misdirected=f"{wrong.variable}: {wrong.problem}" if wrong else None,
    )
    upstream = _with_tools(codex, settings)
    accounts = [Account.from_config(config, slot) for slot, config in enumerate(settings.accounts, 1)]
    pool = AccountPool(accounts, upstream=NAME, now=now)

    def passthrough(caller: Caller) -> Target:
        assert caller.token is not None
        return Target(upstream, FixedCredentials(Account.from_token(caller.token, caller.account_id), NAME))

    router = Router(
        _demo() if uses_demo(settings) else Target(upstream, pool),
        passthrough,
        default_model=settings.default_model,
        cache_s=settings.models_cache_s,
        now=now,
        model_map=(*settings.model_map, CLAUDE),
    )
    budget = Budget(settings.max_attempts, settings.failover_budget_s, settings.first_byte_timeout_s)
    relay = Relay(
        router,
        Failover(budget, now=now),
        commit_wait_s=settings.commit_wait_s,
        now=now,
        new_id=lambda: secrets.token_hex(16),
        accounts=pool.counts,
    )
    return relay, clients.aclose


def uses_demo(settings: Settings) -> bool:
    """Whether nothing is configured that could answer. A broken account list is a mistake to report, not a wish for
    the demo upstream."""
    tried = _ACCOUNT_VARIABLES.intersection(problem.variable for problem in settings.problems)
    return not settings.accounts and not settings.private_prefixes and not tried


def _with_tools(upstream: Upstream, settings: Settings) -> Upstream:
    """Function calling as the settings want it; the caller's rules for it are enforced in any case."""
    if settings.chatgpt_tools == "prompted":
        from lib.prompted.wrap import PromptedUpstream

        return PromptedUpstream(upstream, _shared_secret(settings))
    if settings.chatgpt_tools == "off":
        from lib.prompted.toolless import ToollessUpstream

        return ToollessUpstream(upstream)
    return EnforcedUpstream(upstream)


def _shared_secret(settings: Settings) -> bytes:
    """The same on every instance of a deployment, and known to none of its callers."""
    secrets_of_it = [*settings.gateway_keys, *settings.private_prefixes, *(a.access_token for a in settings.accounts)]
    return sha256("\n".join(secrets_of_it).encode()).digest()


def _demo() -> Target:
    from lib.upstreams.demo import DemoUpstream

    demo = EnforcedUpstream(DemoUpstream())
    return Target(demo, FixedCredentials(Account.from_token("demo"), demo.name))
