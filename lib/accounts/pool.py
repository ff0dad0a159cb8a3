"""The account pool: which account serves a request, and which rest.

An account is *usable* unless its token has expired or was refused. A usable account *rests* while a cooldown runs or
a usage window is full. Resting is a sort key, not a wall: awake accounts come first, and when all rest, the one that
is nearest to its end is tried once for each request, because only the upstream knows for certain. Among the awake,
those with a window that is nearly used up come last, by steps (`lib.accounts.usage.nearness`); below 90 % of use, a
conversation stays where it is.

Nothing here does IO or belongs to an event loop, so one pool serves all loops of a process.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from lib.accounts.account import Account
from lib.accounts.member import EVERY, LONGEST_COOLDOWN_S, Member
from lib.accounts.standing import Standing
from lib.accounts.usage import MAIN, family_of_model
from lib.errors import PoolExhausted, UpstreamError, Verdict
from lib.types import Clock, Lease, Outcome, Window

LONG_WAIT_S = 300.0
DEFAULT_COOLDOWN_S = 30.0
JITTER = 0.2
FORBIDDEN_COOLDOWN_S = 300.0

ACCOUNT_VARIABLES = "CHATGPT_ACCESS_TOKENS, CHATGPT_ACCOUNTS, OPENAI_API_KEY or OPENAI_BASE_URL"
"""What an operator sets for somebody to answer, in the words of a message. Any one of them will do."""

_SAY_NOTHING = frozenset({Verdict.REQUEST, Verdict.REASONING})
"""Verdicts that are not about the account."""


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """What the pool remembers of an account; nothing in it is secret."""

    name: str
    plan: str | None
    expires_at: float | None
    is_usable: bool
    resting_until: float | None
    """Epoch seconds, for the main model family; None when it is awake."""
    last_error: str | None
    """The code of the last failure, None after a success."""
    windows: tuple[Window, ...]


class _PoolLease(Lease, frozen=True):
    """Knows when it was made: an answer is proof of what held then, not of what held when it ended."""

    leased_at: float = 0.0


class AccountPool:
    """Credentials out of several accounts of one upstream.

    `draw` yields numbers from 0 to 1, for the jitter of a cooldown without a hint and for requests without affinity.
    """

    def __init__(
        self, accounts: Iterable[Account], *, upstream: str, now: Clock, draw: Callable[[], float] = random.random
    ) -> None:
        self._members = {account.name: Member(account) for account in accounts}
        self._upstream = upstream
        self._now = now
        self._draw = draw

    async def lease(self, *, affinity: str, model: str | None, tried: Collection[str]) -> Lease:
        """The best untried account: awake ones by their nearness to a limit and their rank for this conversation, then
        the one that wakes first."""
        now, family = self._now(), family_of_model(model)
        usable = self._usable(now)
        waits = {member.account.name: member.wait_s(family, now) for member in usable}
        if tried and all(waits.values()):
            raise _all_resting(min(waits.values()))
        untried = [member for member in usable if member.account.name not in tried]
        if not untried:
            raise PoolExhausted("No other account is left to try.", code="no_account_left")

        def place(member: Member) -> tuple[float, int, float]:
            return waits[member.account.name], member.nearness(family, now), -self._rank(member.account, affinity)

        account = (min(untried, key=place) if len(untried) > 1 else untried[0]).account
        return _PoolLease(account.name, self._upstream, account.lease_headers(), account.proxy, now)

    async def report(self, lease: Lease, outcome: Outcome, model: str | None) -> None:
        """Remember what the attempt taught about its account."""
        member = self._members.get(lease.account)
        if member is None:
            return  # leased by a pool that was replaced since
        family = family_of_model(model)
        leased_at = lease.leased_at if isinstance(lease, _PoolLease) else self._now()
        if outcome.error is None:
            member.last_error = None
            member.answered(family, leased_at)
        member.see(outcome.windows, leased_at)
        if outcome.error is not None and outcome.error.verdict not in _SAY_NOTHING:
            member.last_error = outcome.error.code
            self._judge(member, outcome.error, family)

    async def see(self, name: str, windows: Sequence[Window], at: float) -> None:
        """Remember usage windows that were read beside all attempts; it proves nothing else. at: when they were asked
        for, in epoch seconds."""
        member = self._members.get(name)
        if member is not None:
            member.see(windows, at)

    def unseen(self, since: float) -> list[Account]:
        """The usable accounts of whose main windows nothing has been reported since then."""
        now = self._now()
        members = self._members.values()
        return [member.account for member in members if member.seen_at(MAIN) < since and member.is_usable(now)]

    @property
    def accounts(self) -> Sequence[Account]:
        """In the order of the configuration."""
        return [member.account for member in self._members.values()]

    def standing(self, name: str) -> Standing:
        """What is known of an account, for other instances; nothing of one that is not here."""
        member = self._members.get(name)
        return Standing() if member is None else member.standing

    def learn(self, name: str, standing: Standing) -> None:
        """Takes over what other instances know of an account, as far as it is news."""
        member = self._members.get(name)
        if member is not None:
            member.learn(standing.not_after(self._now()))

    def put_in_place(self, name: str, account: Account) -> None:
        """A renewed account for the one of this name. What is known of its limits stays, a refusal of its old token
        does not. Its rank stays, too: the claims may name another user, but it is the same login."""
        member = self._members.get(name)
        if member is not None:
            member.renew(replace(account, identity=member.account.identity))
            self._members = {each.account.name: each for each in self._members.values()}

    def counts(self) -> tuple[int, int]:
        """All accounts, and those that could serve a request of the main model family right now."""
        now = self._now()
        ready = [member for member in self._members.values() if member.is_usable(now) and not member.wait_s(MAIN, now)]
        return len(self._members), len(ready)

    def status(self) -> list[AccountStatus]:
        """What is remembered, in the order of the configuration."""
        now = self._now()
        return [
            AccountStatus(
                name=member.account.name,
                plan=member.account.plan,
                expires_at=member.account.expires_at,
                is_usable=member.is_usable(now),
                resting_until=now + wait_s if (wait_s := member.wait_s(MAIN, now)) else None,
                last_error=member.last_error,
                windows=member.windows,
            )
            for member in self._members.values()
        ]

    def _judge(self, member: Member, error: UpstreamError, family: str) -> None:
        now = self._now()
        if error.verdict is Verdict.ACCOUNT:
            member.refuse(now)
        elif error.verdict is Verdict.FORBIDDEN:
            member.rest(EVERY, now + FORBIDDEN_COOLDOWN_S, now)
        elif error.verdict is Verdict.LIMIT:
            member.rest(family, now + self._cooldown_s(error.retry_after_s), now)

    def _cooldown_s(self, hint_s: float | None) -> float:
        if hint_s is None or hint_s != hint_s:
            return DEFAULT_COOLDOWN_S * (1 + JITTER * (2 * self._draw() - 1))
        return min(max(0.0, hint_s), LONGEST_COOLDOWN_S)

    def _usable(self, now: float) -> list[Member]:
        """Raises PoolExhausted when there is none."""
        members = list(self._members.values())
        usable = [member for member in members if member.is_usable(now)]
        if usable:
            return usable
        if not members:
            raise PoolExhausted(f"No account is configured: set {ACCOUNT_VARIABLES}.")
        raise _all_unusable([member.account for member in members if member.is_refused], [m.account for m in members])

    def _rank(self, account: Account, affinity: str) -> float:
        """Rendezvous hashing: the same order on every instance, whatever the order of the configuration."""
        if not affinity:
            return self._draw()
        key = affinity.encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(account.identity + key, digest_size=8).digest())


def _all_resting(wait_s: float) -> PoolExhausted:
    # Clients wait out a rate limit and give up on a spent quota; hours are not worth waiting for.
    is_long = wait_s > LONG_WAIT_S
    error = PoolExhausted(
        f"All accounts have reached their limits. Try again in {max(1, math.ceil(wait_s))} s.",
        status=429,
        type="insufficient_quota" if is_long else "rate_limit_error",
        code="insufficient_quota" if is_long else "rate_limit_exceeded",
        retry_after_s=wait_s,
    )
    error.should_retry = None  # the caller's SDK knows best what to do with the wait
    return error


def _all_unusable(refused: Sequence[Account], accounts: Sequence[Account]) -> PoolExhausted:
    if not refused:
        return PoolExhausted(
            f"The access tokens of all accounts have expired ({_slots(accounts)}): replace them.",
            status=401,
            type="invalid_request_error",
            code="token_expired",
        )
    expired = [account for account in accounts if account not in refused]
    also = f", the others have expired ({_slots(expired)})" if expired else ""
    return PoolExhausted(
        f"The upstream refuses the tokens or keys of these accounts ({_slots(refused)}){also}: replace them.",
        status=401,
        type="invalid_request_error",
        code="invalid_account_token",
    )


def _slots(accounts: Iterable[Account]) -> str:
    return ", ".join(account.name.partition("-")[0] for account in accounts)
