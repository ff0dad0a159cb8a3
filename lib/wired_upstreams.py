"""Settings → the upstreams of a deployment, each with all that it serves and the credentials that pay for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from lib.accounts.account import Account
from lib.accounts.fixed import FixedCredentials
from lib.accounts.pool import AccountPool
from lib.catalogues import Target
from lib.prompted.policy import EnforcedUpstream
from lib.store.opening import open_store
from lib.types import Caller, Clock, Upstream
from lib.upstreams.codex import NAME, CodexUpstream
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.http import HttpClients, Timeouts
from lib.wired_accounts import ChatGPTAccounts, shared

if TYPE_CHECKING:
    from lib.settings import Settings
    from lib.upstreams.openai import Wire
    from lib.upstreams.openai_api import OpenAIApi

OPENAI, SIGNED = "openai", "signed"

_ACCOUNT_VARIABLES = frozenset({"OPENAI_API_KEY", "CHATGPT_ACCESS_TOKENS", "CHATGPT_ACCOUNTS", "VERCEL_CONFIG_FILE"})


def uses_demo(settings: Settings) -> bool:
    """Whether nothing is configured that could answer. A broken account list, or half of an upstream, is a mistake to
    report, not a wish for the demo upstream."""
    broken = _ACCOUNT_VARIABLES.intersection(problem.variable for problem in settings.problems)
    chatgpt = settings.accounts or settings.private_prefixes or broken
    return not (chatgpt or _has_openai(settings) or _has_signed(settings))


class Upstreams:
    """The upstreams of one deployment, around one set of connections."""

    def __init__(self, settings: Settings, now: Clock) -> None:
        self.clients = HttpClients(
            timeouts=Timeouts(settings.connect_timeout_s, settings.first_byte_timeout_s, settings.idle_timeout_s),
            proxy=settings.proxy_url,
        )
        self.forwards = _has_openai(settings) or _has_signed(settings)
        """Whether any of them takes bodies of a dialect as they are."""
        self._settings = settings
        self._now = now
        self.store = open_store(settings.state_url.get_secret_value() if settings.state_url else None)
        self.pools: dict[str, AccountPool] = {}
        """By the upstream's name; that of ChatGPT may be empty."""
        self._codex = self._codex_target()

    def targets(self) -> Sequence[Target]:
        """The upstreams for gateway keys, in their order."""
        settings = self._settings
        if uses_demo(settings):
            return [_demo()]
        found = [self._codex] if settings.accounts else []
        if _has_openai(settings):
            found.append(self._openai())
        if _has_signed(settings):
            found.append(self._signed())
        return found or [self._codex]

    def passthrough(self, caller: Caller) -> Target:
        """The caller's own account: the same upstream as the pool's, other credentials."""
        assert caller.token is not None
        own = FixedCredentials(Account.from_token(caller.token, caller.account_id), NAME)
        return Target(self._codex.upstream, own, self._codex.images)

    def counts(self) -> tuple[int, int]:
        """How many accounts and keys there are, and how many are usable now."""
        counts = [pool.counts() for pool in self.pools.values()]
        return sum(count for count, _ in counts), sum(usable for _, usable in counts)

    async def aclose(self) -> None:
        """Gives up readings of usage that are under way, waits for renewals, and closes every connection."""
        await self.chatgpt.aclose()
        await self.clients.aclose()
        await self.store.aclose()

    def _codex_target(self) -> Target:
        from lib.upstreams.codex_images import CodexImages

        settings = self._settings
        api = self.codex_api = CodexApi(
            self.clients,
            base_url=settings.chatgpt_base_url,
            client_version=settings.codex_client_version,
            now=self._now,
            misdirected=self._misdirected("chatgpt_base_url"),
        )
        accounts = [Account.from_config(config, slot) for slot, config in enumerate(settings.accounts, 1)]
        pool = self._pool(accounts, NAME)
        self.chatgpt = ChatGPTAccounts(pool, settings, self.store, api=api, clients=self.clients, now=self._now)
        return Target(
            _with_tools(CodexUpstream(api, max_event_bytes=settings.max_event_bytes), settings.chatgpt_tools, settings),
            self.chatgpt.credentials,
            CodexImages(api, model=settings.image_model, max_answer_bytes=settings.max_event_bytes),
        )

    def _openai(self) -> Target:
        from lib.upstreams.openai_api import OPENAI_URL, OpenAIApi, authorize_for

        settings = self._settings
        wrong = self._misdirected("openai_base_url")
        base_url = settings.openai_base_url or (None if wrong else OPENAI_URL)
        keys = [key.get_secret_value() for key in settings.openai_api_key] or [""]
        api = OpenAIApi(
            self.clients, base_url=base_url, authorize=authorize_for(base_url), now=self._now, misdirected=wrong
        )
        is_openai = api.host == "api.openai.com"
        usual = "responses" if is_openai else "chat"
        wire: Wire = "responses" if (settings.openai_wire or usual) == "responses" else "chat"
        # OpenAI itself takes either dialect as it is, with all that only one of them has; of other servers who knows.
        spoken = ["chat", "responses"] if is_openai and settings.openai_wire is None else [wire]
        accounts = [Account.from_key(key, slot) for slot, key in enumerate(keys, 1)]
        target = self._compatible(OPENAI, api, wire, spoken, accounts, settings.openai_tools)
        return replace(target, image_urls_only=settings.openai_image_input == "url")

    def _signed(self) -> Target:
        from lib.upstreams.signed import SignedApi, Signer

        settings = self._settings
        halves = None
        if not (settings.signed_base_url and settings.key_a and settings.key_b):
            halves = "SIGNED_BASE_URL, KEY_A and KEY_B: one needs the others"
        secret = settings.key_b.get_secret_value() if settings.key_b else ""
        api = SignedApi(
            self.clients,
            base_url=settings.signed_base_url,
            authorize=Signer(settings.key_a or "", secret, now=self._now),
            user_agent=settings.user_agent,
            now=self._now,
            misdirected=self._misdirected("signed_base_url") or halves,
        )
        # The other side is a gateway, which speaks both wires.
        return self._compatible(SIGNED, api, "responses", ["chat", "responses"], [Account.from_key("", 1)], "native")

    def _compatible(
        self, name: str, api: OpenAIApi, wire: Wire, spoken: Sequence[str], accounts: Sequence[Account], tools: str
    ) -> Target:
        """An upstream that speaks the OpenAI API. spoken: the dialects that it takes as they are."""
        from lib.dialects.forward import DIALECT_PATHS, ENDPOINTS
        from lib.upstreams.openai import OpenAIUpstream
        from lib.upstreams.openai_forward import OpenAIForwarder
        from lib.upstreams.openai_images import OpenAIImages

        settings = self._settings
        limit = settings.max_event_bytes
        upstream = OpenAIUpstream(api, name=name, wire=wire, max_event_bytes=limit, now=self._now)
        return Target(
            _with_tools(upstream, tools, settings),
            shared(self._pool(accounts, name), f"{name} {api.host}", settings, self.store, self._now),
            OpenAIImages(api, now=self._now, max_answer_bytes=limit),
            OpenAIForwarder(
                api,
                endpoints=frozenset({*ENDPOINTS, *(DIALECT_PATHS[dialect][0] for dialect in spoken)}),
                now=self._now,
                takes_tools=tools == "native",  # tools in the prompt, or none, need the canonical form
                max_body_bytes=limit,
                commit_wait_s=settings.commit_wait_s,
                beginning_s=settings.failover_budget_s,
            ),
            any_vendor=True,
        )

    def _misdirected(self, way: str) -> str | None:
        """Why no request may go that way."""
        wrong = self._settings.misdirected.get(way) or self._settings.misdirected.get("proxy")
        return f"{wrong.variable}: {wrong.problem}" if wrong else None

    def _pool(self, accounts: Sequence[Account], upstream: str) -> AccountPool:
        pool = AccountPool(accounts, upstream=upstream, now=self._now)
        self.pools[upstream] = pool
        return pool


def _has_openai(settings: Settings) -> bool:
    return bool(settings.openai_api_key or settings.openai_base_url or "openai_base_url" in settings.misdirected)


def _has_signed(settings: Settings) -> bool:
    given = settings.signed_base_url or settings.key_a or settings.key_b
    return bool(given or "signed_base_url" in settings.misdirected)


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
    hidden = [*settings.openai_api_key, *(secret for _, secret in settings.key_pairs)]
    if settings.key_b is not None:
        hidden.append(settings.key_b)
    plain = [*settings.gateway_keys, *settings.private_prefixes, *(a.access_token for a in settings.accounts)]
    return sha256("\n".join([*plain, *(secret.get_secret_value() for secret in hidden)]).encode()).digest()


def _demo() -> Target:
    from lib.upstreams.demo import DemoUpstream
    from lib.upstreams.demo_forward import DemoForwarder
    from lib.upstreams.demo_images import DemoImages

    demo = EnforcedUpstream(DemoUpstream())
    return Target(demo, FixedCredentials(Account.from_token("demo"), demo.name), DemoImages(), DemoForwarder())
