"""Settings → relays over the configured upstreams. Each deployment imports only what it is configured for."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from lib.accounts.account import Account
from lib.accounts.fixed import FixedCredentials
from lib.accounts.pool import AccountPool
from lib.catalogues import Target
from lib.failover import Budget, Failover
from lib.prompted.policy import EnforcedUpstream
from lib.relay import Relay
from lib.routing import Router
from lib.types import Caller, Clock, Upstream
from lib.upstreams.codex import NAME, CodexUpstream
from lib.upstreams.http import HttpClients, Timeouts

if TYPE_CHECKING:
    from lib.settings import Settings
    from lib.upstreams.openai_api import Authorize

Close = Callable[[], Awaitable[None]]

OPENAI, SIGNED = "openai", "signed"

_ACCOUNT_VARIABLES = frozenset({"CHATGPT_ACCESS_TOKENS", "CHATGPT_ACCOUNTS", "VERCEL_CONFIG_FILE"})


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the web layer serves, and what closes its connections."""

    relay: Relay
    close: Close


def wire(settings: Settings, now: Clock) -> Gateway:
    """The relays of a deployment. Opens no connection."""
    wiring = _Wiring(settings, now)
    targets = wiring.targets()
    router = Router(
        targets,
        wiring.passthrough,
        default_model=settings.default_model,
        cache_s=settings.models_cache_s,
        now=now,
        model_map=settings.model_map,
    )
    budget = Budget(settings.max_attempts, settings.failover_budget_s, settings.first_byte_timeout_s)
    relay = Relay(
        router,
        Failover(budget, now=now),
        commit_wait_s=settings.commit_wait_s,
        now=now,
        new_id=lambda: secrets.token_hex(16),
        accounts=wiring.counts,
    )
    return Gateway(relay, wiring.clients.aclose)


def uses_demo(settings: Settings) -> bool:
    """Whether nothing is configured that could answer. A broken account list, or half of an upstream, is a mistake to
    report, not a wish for the demo upstream."""
    tried = _ACCOUNT_VARIABLES.intersection(problem.variable for problem in settings.problems)
    others = settings.openai_api_key, settings.openai_base_url, settings.signed_base_url, settings.key_a
    wrong = {"openai_base_url", "signed_base_url"}.intersection(settings.misdirected)
    return not (settings.accounts or settings.private_prefixes or tried or any(others) or wrong)


class _Wiring:
    """The upstreams of one deployment, around one set of connections."""

    def __init__(self, settings: Settings, now: Clock) -> None:
        self._settings = settings
        self._now = now
        self._pools: list[AccountPool] = []
        self.clients = HttpClients(
            timeouts=Timeouts(settings.connect_timeout_s, settings.first_byte_timeout_s, settings.idle_timeout_s),
            proxy=settings.proxy_url,
        )
        self._codex = self._codex_target()

    def targets(self) -> Sequence[Target]:
        """The upstreams for gateway keys, in their order."""
        settings = self._settings
        if uses_demo(settings):
            return [_demo()]
        found = []
        if settings.accounts:
            found.append(self._codex)
        if settings.openai_api_key or settings.openai_base_url or "openai_base_url" in settings.misdirected:
            found.append(self._openai())
        if settings.signed_base_url or settings.key_a or "signed_base_url" in settings.misdirected:
            found.append(self._signed())
        return found or [self._codex]

    def passthrough(self, caller: Caller) -> Target:
        """The caller's own account: the same upstream as the pool's, other credentials."""
        assert caller.token is not None
        own = FixedCredentials(Account.from_token(caller.token, caller.account_id), NAME)
        return Target(self._codex.upstream, own, self._codex.images)

    def counts(self) -> tuple[int, int]:
        """How many accounts and keys there are, and how many are usable now."""
        counts = [pool.counts() for pool in self._pools]
        return sum(count for count, _ in counts), sum(usable for _, usable in counts)

    def _codex_target(self) -> Target:
        settings = self._settings
        codex = CodexUpstream(
            self.clients,
            base_url=settings.chatgpt_base_url,
            client_version=settings.codex_client_version,
            max_event_bytes=settings.max_event_bytes,
            now=self._now,
            misdirected=self._misdirected("chatgpt_base_url"),
        )
        accounts = [Account.from_config(config, slot) for slot, config in enumerate(settings.accounts, 1)]
        return Target(_with_tools(codex, settings.chatgpt_tools, settings), self._pool(accounts, NAME))

    def _openai(self) -> Target:
        from lib.upstreams.openai_api import OPENAI_URL, authorize_for

        settings = self._settings
        base_url = settings.openai_base_url or OPENAI_URL
        keys = [key.get_secret_value() for key in settings.openai_api_key] or [""]
        wire = settings.openai_wire or ("responses" if base_url == OPENAI_URL else "chat")
        misdirected = self._misdirected("openai_base_url")
        return self._compatible(OPENAI, base_url, wire, keys, authorize_for(base_url), misdirected)

    def _signed(self) -> Target:
        from lib.upstreams.signed import Signer

        settings = self._settings
        whole = settings.signed_base_url and settings.key_a and settings.key_b
        halves = None if whole else "SIGNED_BASE_URL, KEY_A and KEY_B: one needs the others"
        signer = Signer(
            settings.key_a or "", settings.key_b.get_secret_value() if settings.key_b else "", now=self._now
        )
        misdirected = self._misdirected("signed_base_url") or halves
        return self._compatible(SIGNED, settings.signed_base_url, "responses", [""], signer, misdirected)

    def _misdirected(self, *ways: str) -> str | None:
        wrong = next(
            (self._settings.misdirected[way] for way in (*ways, "proxy") if way in self._settings.misdirected), None
        )
        return f"{wrong.variable}: {wrong.problem}" if wrong else None

    def _pool(self, accounts: Sequence[Account], upstream: str) -> AccountPool:
        pool = AccountPool(accounts, upstream=upstream, now=self._now)
        self._pools.append(pool)
        return pool

    def _compatible(
        self,
        name: str,
        base_url: str | None,
        wire: str,
        keys: Sequence[str],
        authorize: Authorize,
        misdirected: str | None,
    ) -> Target:
        """An upstream that speaks the OpenAI API."""
        from lib.dialects.forward import DIALECT_PATHS, ENDPOINTS
        from lib.upstreams.openai import OpenAIUpstream
        from lib.upstreams.openai_api import OpenAIApi
        from lib.upstreams.openai_forward import OpenAIForwarder
        from lib.upstreams.openai_images import OpenAIImages

        settings = self._settings
        api = OpenAIApi(
            self.clients,
            base_url=base_url,
            authorize=authorize,
            user_agent=settings.user_agent if name == SIGNED else "chat2api",
            now=self._now,
            misdirected=misdirected,
        )
        upstream = OpenAIUpstream(api, name=name, wire=wire, max_event_bytes=settings.max_event_bytes, now=self._now)
        tools = settings.openai_tools if name == OPENAI else "native"
        # A signed upstream is a gateway and speaks both wires; tools that are not native need the canonical form.
        spoken = set(DIALECT_PATHS.values()) if name == SIGNED else {DIALECT_PATHS[wire]}
        accounts = [Account.from_key(key, slot) for slot, key in enumerate(keys, 1)]
        return Target(
            _with_tools(upstream, tools, settings),
            self._pool(accounts, name),
            OpenAIImages(api, now=self._now),
            OpenAIForwarder(api, endpoints=frozenset(ENDPOINTS) | (spoken if tools == "native" else frozenset())),
            any_vendor=True,
        )


def _with_tools(upstream: Upstream, way: str, settings: Settings) -> Upstream:
    """Function calling as the settings want it; the caller's rules for it are enforced in any case."""
    if way == "prompted":
        from lib.prompted.wrap import PromptedUpstream

        if upstream.name != NAME:  # a server without tools has no structured output either
            from lib.prompted.structured import StructuredUpstream

            upstream = StructuredUpstream(upstream)
        return PromptedUpstream(upstream, _shared_secret(settings))
    if way == "off":
        from lib.prompted.toolless import ToollessUpstream

        return ToollessUpstream(upstream)
    return EnforcedUpstream(upstream)


def _shared_secret(settings: Settings) -> bytes:
    """The same on every instance of a deployment, and known to none of its callers."""
    upstream_keys = [key.get_secret_value() for key in settings.openai_api_key]
    tokens = [account.access_token for account in settings.accounts]
    secrets_of_it = [*settings.gateway_keys, *settings.private_prefixes, *tokens, *upstream_keys]
    return sha256("\n".join(secrets_of_it).encode()).digest()


def _demo() -> Target:
    from lib.upstreams.demo import DemoUpstream

    demo = EnforcedUpstream(DemoUpstream())
    return Target(demo, FixedCredentials(Account.from_token("demo"), demo.name))
