"""Accounts and upstreams: how long tokens are good, and whether who is to answer can be reached. Costs no quota."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from lib.accounts.account import CLOCK_SKEW_S, Account
from lib.accounts.pool import ACCOUNT_VARIABLES, AccountPool, AccountStatus
from lib.catalogues import Target
from lib.doctor.finding import Finding, Status, duration
from lib.errors import GatewayError
from lib.types import Clock, Lease, Window
from lib.upstreams.codex import NAME as CODEX
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.codex_usage import MAX_ANSWER_BYTES, parse

if TYPE_CHECKING:
    from lib.settings import Settings

MAX_ASKED = 3
"""So many accounts of an upstream are asked, the first ones."""
SOON_S = 3 * 86_400.0
"""A token that is not renewed and ends before this wants attention."""
MAX_SKEW_S = 60.0
FULL_PERCENT, NEARLY_PERCENT = 100.0, 90.0

_ASK_S = 8.0


@dataclass(slots=True)
class Measured:
    """What an upstream's answers tell beside what was asked."""

    skews_s: list[float] = field(default_factory=list)
    """How far this clock is ahead of theirs."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers in this deployment."""

    targets: Sequence[Target]
    pools: Mapping[str, AccountPool]
    """By upstream."""
    codex_api: CodexApi
    see: Callable[[str, Sequence[Window], float], Awaitable[None]]
    """Takes what is read of a ChatGPT account's usage: its name, the windows, and when they were asked for."""
    now: Clock


def account_findings(answering: Answering, settings: Settings) -> list[Finding]:
    """One line for each account whose token ends; those of keys, which do not, are left out."""
    pool = answering.pools.get(CODEX)
    if pool is None:
        return []
    mode = settings.token_refresh
    renews = mode == "on" or (mode == "auto" and settings.state_url is not None)
    return [
        _account(status, renews and bool(config.refresh_token), answering.now())
        for status, config in zip(pool.status(), settings.accounts, strict=True)
    ]


async def upstream_findings(answering: Answering, measured: Measured) -> Sequence[Finding]:
    """Asks for the list of models, ChatGPT accounts for their usage windows."""
    asked = [(target, account) for target in answering.targets for account in _asked(target, answering)]
    found = await asyncio.gather(*(_reached(target, account, answering, measured) for target, account in asked))
    return [*found, *(_unasked(target, answering) for target in answering.targets if not _asked(target, answering))]


def clock_finding(measured: Measured) -> Finding:
    """The clock of this machine against those of others."""
    name = "clock"
    if not measured.skews_s:
        return Finding(name, "unknown", "Nobody who answered said what time it is.")
    skew_s = min(measured.skews_s, key=abs)
    if abs(skew_s) < MAX_SKEW_S:
        return Finding(name, "ok", f"Within {max(1, math.ceil(abs(skew_s)))} s of the others' clocks.")
    way = "ahead of" if skew_s > 0 else "behind"
    advice = "Set the clock: tokens count as expired too early or too late, and signed requests are refused."
    status: Status = "problem" if abs(skew_s) > CLOCK_SKEW_S else "warning"
    return Finding(name, status, f"{duration(abs(skew_s))} {way} the others' clocks.", advice)


def note_date(measured: Measured, date: str | None, now: float) -> None:
    """Reads the `date` header of somebody else's answer; one that cannot be read says nothing."""
    try:
        measured.skews_s.append(now - parsedate_to_datetime(date or "").timestamp())
    except ValueError:
        return


def _account(status: AccountStatus, is_renewed: bool, now: float) -> Finding:
    name = f"account {status.name}"
    expires_at = status.expires_at
    if not status.is_usable and not (expires_at is not None and expires_at + CLOCK_SKEW_S < now):
        return Finding(name, "problem", "The upstream refuses its token.", "Replace the token: sign in anew.")
    if expires_at is None:
        return Finding(name, "ok", "Its token does not say when it ends.")
    left_s, day = expires_at - now, datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if left_s + CLOCK_SKEW_S < 0:
        if is_renewed:
            return Finding(name, "warning", f"Its token ended on {day}; it is renewed with its next request.")
        return Finding(name, "problem", f"Its token ended on {day}.", "Replace the token: sign in anew.")
    if left_s < SOON_S and not is_renewed:
        advice = "Replace it before that, or have it renewed: a refresh token and a STATE_URL."
        return Finding(name, "warning", f"Its token ends in {duration(max(0, left_s))} ({day}).", advice)
    return Finding(name, "ok", f"Its token is good until {day}{' and is renewed' if is_renewed else ''}.")


def _asked(target: Target, answering: Answering) -> list[Account]:
    pool = answering.pools.get(target.name)
    usable = {status.name for status in pool.status() if status.is_usable} if pool is not None else set()
    return [account for account in pool.accounts if account.name in usable][:MAX_ASKED] if pool is not None else []


def _unasked(target: Target, answering: Answering) -> Finding:
    name = f"upstream {target.name}"
    if target.name not in answering.pools:
        advice = f"Set {ACCOUNT_VARIABLES} for real answers."
        return Finding(name, "warning", "Nothing is configured that could answer, so the demo upstream does.", advice)
    if not answering.pools[target.name].accounts:
        return Finding(name, "ok", "It has no account of its own: callers bring their own tokens.")
    return Finding(name, "problem", "None of its accounts can be used.", "See its accounts.")


async def _reached(target: Target, account: Account, answering: Answering, measured: Measured) -> Finding:
    name = f"upstream {target.name} {account.name}"
    lease = Lease(account.name, target.name, account.lease_headers(), account.proxy)
    began, at = asyncio.get_running_loop().time(), answering.now()
    try:
        async with asyncio.timeout(_ASK_S):
            if target.name == CODEX:
                windows = await _usage(answering.codex_api, lease, measured)
                found = _used(windows) or "it answers"
            else:
                windows = []
                found = f"it lists {len(await target.upstream.models(lease))} models"
    except TimeoutError:
        return Finding(name, "problem", f"No answer in {_ASK_S:g} s.", "Check the network, the proxy and its address.")
    except GatewayError as error:
        error.hide(lease.secrets())
        return Finding(name, "problem", f"{error.message} ({error.code}, {error.status})", _what_to_do(error))
    took = duration(asyncio.get_running_loop().time() - began)
    if windows:
        await answering.see(account.name, windows, at)
    highest = max((window.used_percent for window in windows), default=0.0)
    if highest >= NEARLY_PERCENT:
        spent = "is used up" if highest >= FULL_PERCENT else "is nearly used up"
        return Finding(name, "warning", f"Reached in {took}; {found}.", f"A window {spent}: add an account, or wait.")
    return Finding(name, "ok", f"Reached in {took}; {found}.")


async def _usage(api: CodexApi, lease: Lease, measured: Measured) -> Sequence[Window]:
    answer = await api.open("GET", "/usage", lease, accept="application/json", timeout_s=_ASK_S, area="/wham")
    try:
        note_date(measured, answer.headers.get("date"), api.now())
        if answer.status != 200:
            raise await api.refusal(answer)
        return parse(await answer.read(MAX_ANSWER_BYTES), api.now())
    finally:
        await answer.aclose()


def _used(windows: Sequence[Window]) -> str:
    shown = []
    for window in windows:
        length = "" if window.window_minutes is None else f" of {duration(window.window_minutes * 60)}"
        shown.append(f"{window.bucket}{length} used to {window.used_percent:.0f} %")
    return ", ".join(shown)


_ADVICE = {
    401: "Replace the token or key.",
    403: "The account may not, or its region or network is blocked. A proxy (PROXY) may help.",
    429: "It is used up for now: add an account, or wait.",
    503: "Try again later; if it asks for a browser, another network (PROXY) may help.",
}


def _what_to_do(error: GatewayError) -> str:
    if error.code == "misconfigured":
        return "Mend the variable."
    return _ADVICE.get(error.status, "Check the network, the proxy and the upstream's address.")
