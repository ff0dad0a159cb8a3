"""One account of a pool, with what its attempts and other instances taught about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from lib.accounts.account import Account
from lib.accounts.standing import Rest, Seen, Standing
from lib.accounts.usage import family_of_bucket, nearness, seen_at
from lib.types import Window

LONGEST_COOLDOWN_S = 7 * 86_400.0

EVERY = "*"
"""Stands for all model families."""


class Member:
    """An account and its standing. Times are epoch seconds; `leased_at` is the beginning of an attempt, which is what
    a success is good for: an answer that began before a limit was met says nothing about the limit."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.last_error: str | None = None
        self._token = _digest(account.token)
        self._standing = Standing()

    @property
    def standing(self) -> Standing:
        return self._standing

    @property
    def windows(self) -> tuple[Window, ...]:
        return tuple(seen.window for seen in self._standing.windows)

    @property
    def is_refused(self) -> bool:
        """Whether this token was refused; of an older one of the same account it does not matter."""
        return self._token in self._standing.refused

    def is_usable(self, now: float) -> bool:
        return not self.is_refused and not self.account.is_expired(now)

    def wait_s(self, family: str, now: float) -> float:
        """Seconds that the account still rests for this family; 0 when it is awake."""
        if not self._standing.rests and not self._standing.windows:
            return 0.0
        ends = [rest.until for name in (family, EVERY) if (rest := self._standing.rests.get(name)) is not None]
        for seen in self._standing.windows:
            if _is_full(seen) and seen.reset_at is not None and family_of_bucket(seen.bucket) == family:
                ends.append(seen.reset_at)
        return min(max(0.0, max(ends, default=0.0) - now), LONGEST_COOLDOWN_S)

    def nearness(self, family: str, now: float) -> int:
        """See `lib.accounts.usage.nearness`."""
        return nearness(self._standing.windows, family, now)

    def seen_at(self, family: str) -> float:
        """See `lib.accounts.usage.seen_at`."""
        return seen_at(self._standing.windows, family)

    def renew(self, account: Account) -> None:
        """The same login with another token."""
        self.account = account
        self._token = _digest(account.token)

    def rest(self, family: str, until: float, now: float) -> None:
        """A shorter hint that comes later does not cut a longer rest short."""
        known = self._standing.rests.get(family)
        self._set(rests={family: Rest(until if known is None else max(until, known.until), now)})

    def refuse(self, now: float) -> None:
        self._standing = self._standing.merged(Standing(refused={self._token: now}))

    def answered(self, family: str, leased_at: float) -> None:
        """An answer proves that the account does not rest, and that no window of the family is full any more."""
        known = self._standing.rests
        if not known and not self._standing.windows:
            return
        woken = [
            name for name in (family, EVERY) if name in known and known[name].until and known[name].at <= leased_at
        ]
        kept = [
            seen
            for seen in self._standing.windows
            if not (_is_full(seen) and seen.at <= leased_at and family_of_bucket(seen.bucket) == family)
        ]
        if len(kept) < len(self._standing.windows) and (family not in known or not known[family].until):
            woken.append(family)  # for the others, who may still know these windows
        if woken:
            self._set(rests=dict.fromkeys(woken, Rest(0.0, leased_at)), windows=kept)

    def see(self, windows: Sequence[Window], at: float) -> None:
        """Remembers what was said of the account's windows. at: when that was asked for."""
        if not windows:
            return
        known = {(seen.bucket, seen.window_minutes): seen for seen in self._standing.windows}
        for window in windows:
            before = known.get((window.bucket, window.window_minutes))
            if before is None or before.at <= at:
                known[window.bucket, window.window_minutes] = Seen(
                    window.bucket, window.used_percent, window.window_minutes, window.reset_at, at, window.has_credits
                )
        self._set(windows=known.values())

    def learn(self, standing: Standing) -> None:
        """Takes over what others know better."""
        merged = self._standing.merged(standing)
        self._standing = merged
        self._set(windows=[seen for seen in merged.windows if not (_is_full(seen) and _was_disproved(seen, merged))])

    def _set(self, *, rests: Mapping[str, Rest] | None = None, windows: Iterable[Seen] | None = None) -> None:
        known = self._standing
        self._standing = Standing(
            {**known.rests, **(rests or {})}, known.refused, known.windows if windows is None else tuple(windows)
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _is_full(seen: Seen) -> bool:
    return seen.used_percent >= 100 and not seen.has_credits


def _was_disproved(seen: Seen, standing: Standing) -> bool:
    """Whether the account was found awake after the window was reported as full."""
    rest = standing.rests.get(family_of_bucket(seen.bucket) or "")
    return rest is not None and not rest.until and rest.at > seen.at
