"""What a deployment is like at the moment, for its operator: settings, upstreams, and the state of every account and
key. There is no secret in it, not even a part of one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lib.accounts.account import CLOCK_SKEW_S, Account
from lib.accounts.pool import AccountStatus
from lib.errors import UpstreamError, Verdict
from lib.masked_settings import host, masked
from lib.types import Clock, Lease, Outcome, Window
from lib.upstreams.codex import NAME as CODEX
from lib.wired_upstreams import OPENAI, SIGNED, Upstreams, uses_demo

if TYPE_CHECKING:
    from lib.settings import Settings

Shown = dict[str, Any]

USAGE_LIMIT_S = 8.0
"""How long all accounts together may take to say how far they are used."""
USAGE_PAUSE_S = 30.0
"""They are not asked again sooner."""
_SIDE_BY_SIDE = 4
_UNEXPLAINED = "upstream_unauthorized"
"""The code of a 401 that does not say what is wrong with the token: it may be good for all but this endpoint."""


class Status:
    """The view of this process: what other instances learned is in it only as far as a shared store told it."""

    def __init__(self, settings: Settings, upstreams: Upstreams, now: Clock) -> None:
        self._settings = settings
        self._upstreams = upstreams
        self._now = now
        self._measured_at = float("-inf")

    def report(self) -> Shown:
        """`{"now", "settings", "problems", "upstreams", "accounts"}`; times are epoch seconds. Asks nobody."""
        settings = self._settings
        return {
            "now": self._now(),
            "settings": masked(settings),
            "problems": [{"variable": each.variable, "problem": each.problem} for each in settings.problems],
            "upstreams": self._upstreams_shown(),
            "accounts": [
                self._account(upstream, status)
                for upstream, pool in self._upstreams.pools.items()
                for status in pool.status()
            ],
        }

    async def measure(self) -> None:
        """Asks the ChatGPT accounts for their usage windows, which costs none of it, and has requests profit from what
        they say; what does not come in time is left as it was."""
        if self._now() - self._measured_at < USAGE_PAUSE_S:
            return
        self._measured_at = self._now()
        pool = self._upstreams.pools[CODEX]
        room = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def ask(account: Account) -> None:
            async with room:
                await self._ask(account)

        try:
            async with asyncio.timeout(USAGE_LIMIT_S), asyncio.TaskGroup() as group:
                for account, status in zip(pool.accounts, pool.status(), strict=True):
                    if status.is_usable:
                        group.create_task(ask(account))
        except TimeoutError:
            return  # those that answered are known, the others are shown as they were

    async def _ask(self, account: Account) -> None:
        from lib.upstreams.codex_usage import usage

        chatgpt = self._upstreams.chatgpt
        lease = Lease(account.name, CODEX, account.lease_headers(), account.proxy)
        at = self._now()
        try:
            windows = await usage(self._upstreams.codex_api, lease, timeout_s=USAGE_LIMIT_S)
        except UpstreamError as error:
            if error.verdict is Verdict.ACCOUNT and error.code != _UNEXPLAINED:
                await chatgpt.credentials.report(lease, Outcome(error), None)  # as a request would: it may be renewed
            return  # the account's last error stays that of a request
        await chatgpt.see(account.name, windows, at)

    def _upstreams_shown(self) -> list[Shown]:
        settings = self._settings
        if uses_demo(settings):
            return [{"name": "demo", "host": None}]
        ways = {
            CODEX: ("chatgpt_base_url", settings.chatgpt_base_url, settings.chatgpt_tools),
            OPENAI: ("openai_base_url", settings.openai_base_url or "https://api.openai.com/v1", settings.openai_tools),
            SIGNED: ("signed_base_url", settings.signed_base_url, "native"),
        }
        shown = []
        for name, pool in self._upstreams.pools.items():
            if not pool.accounts and len(self._upstreams.pools) > 1:
                continue
            field, url, tools = ways[name]
            wrong = settings.misdirected.get(field) or settings.misdirected.get("proxy")
            shown.append({"name": name, "host": host(url) if url and not wrong else None, "tools": tools})
        return shown

    def _account(self, upstream: str, status: AccountStatus) -> Shown:
        slot = int(status.name[1:].partition("-")[0])
        configs = self._settings.accounts
        config = configs[slot - 1] if upstream == CODEX and slot <= len(configs) else None
        return {
            "name": status.name,
            "upstream": upstream,
            "state": state_of(status, self._now()),
            "plan": status.plan,
            "expires_at": status.expires_at,
            "resting_until": status.resting_until,
            "last_error": status.last_error,
            "windows": [_window(each) for each in status.windows],
            "has_proxy": bool(self._settings.proxy or (config and config.proxy)),
            "is_renewed": bool(config and config.refresh_token and self._renews()),
        }

    def _renews(self) -> bool:
        """Whether refresh tokens are used: on demand, or because what they become can be kept."""
        mode = self._settings.token_refresh
        return {"on": True, "auto": self._settings.state_url is not None}.get(mode, False)


def state_of(status: AccountStatus, now: float) -> str:
    """`ready`, `resting`, `refused` (the upstream takes its token no more) or `expired`."""
    if not status.is_usable:
        expired = status.expires_at is not None and status.expires_at + CLOCK_SKEW_S < now
        return "expired" if expired else "refused"
    return "ready" if status.resting_until is None else "resting"


def _window(window: Window) -> Shown:
    return {
        "bucket": window.bucket,
        "used_percent": window.used_percent,
        "window_minutes": window.window_minutes,
        "reset_at": window.reset_at,
    }
