"""What usage windows mean for the choice of an account.

A window is known by its length, never by its place: which of two is the five-hour and which the weekly one differs
between plans. Models whose name holds "spark" are counted in buckets of their own, all others in the main one.
"""

from __future__ import annotations

from collections.abc import Iterable

from lib.accounts.standing import Seen

MAIN = "codex"
SPARK = "spark"

LEVELS = (90.0, 95.0, 98.0)
"""Percentages of use, each of which makes an account less wanted."""
LONG_MINUTES = 24 * 60
"""A window at least this long counts for more: who uses it up is out for days, not hours."""

_SPARK_BUCKETS = ("spark", "bengalfox")  # the second is the upstream's own name for the bucket of the first
_UNKNOWN_MINUTES = 300


def family_of_model(model: str | None) -> str:
    """Models whose name holds "spark" are counted apart; all others share the main bucket."""
    return SPARK if model is not None and SPARK in model.lower() else MAIN


def family_of_bucket(bucket: str) -> str | None:
    """The family that a usage window counts; None for one that says nothing about the choice of an account."""
    if bucket == MAIN:
        return MAIN
    return SPARK if any(name in bucket.lower() for name in _SPARK_BUCKETS) else None


def nearness(windows: Iterable[Seen], family: str, now: float) -> int:
    """How near to its limit an account is: 0 below 90 % in all windows of the family, then by steps.

        used     five hours   a week
        < 90 %            0        0
        ≥ 90 %            2        3
        ≥ 95 %            4        5
        ≥ 98 %            6        7

    A window that was reset since it was reported counts as unused.
    """
    return max((_grade(seen, now) for seen in windows if family_of_bucket(seen.bucket) == family), default=0)


def seen_at(windows: Iterable[Seen], family: str) -> float:
    """When a window of the family was reported last, in epoch seconds; 0: never."""
    return max((seen.at for seen in windows if family_of_bucket(seen.bucket) == family), default=0.0)


def _grade(seen: Seen, now: float) -> int:
    minutes = seen.window_minutes or _UNKNOWN_MINUTES
    reset_at = seen.at + minutes * 60 if seen.reset_at is None else seen.reset_at
    level = sum(seen.used_percent >= limit for limit in LEVELS) if reset_at > now else 0
    return 2 * level + (minutes >= LONG_MINUTES) if level else 0
