"""How long a limited account should rest: every hint that an upstream gives, in one order of precedence.

1. `resets_at` in the body: epoch seconds, epoch milliseconds or ISO 8601
2. `resets_in_seconds`, then `retry_after` (seconds) and `retry_after_ms` in the body
3. the headers `retry-after-ms`, then `retry-after` (seconds or an HTTP date)
4. "try again in 1.5s" in the message (ms, s, m, h)
5. the reset of a usage window that stands at 100 %

The body comes first because it speaks of the limit that was met; a `retry-after` beside it is often an edge's own.
A hint in the past or more than a year ahead is passed over for the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from lib.types import Window

_YEAR_S = 366 * 86_400
_MILLISECONDS_FROM = 100_000_000_000  # as seconds this would be the year 5138
_AGAIN_IN = re.compile(r"try again in\s+((?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|[smhd]\w*)\s*)+)", re.IGNORECASE)
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|[smhd])", re.IGNORECASE)
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def wait_s(error: Mapping[str, Any], headers: Mapping[str, str], windows: Sequence[Window], now: float) -> float | None:
    """Seconds to rest, or None without a usable hint. `error` is the upstream's error object."""
    for hint in _hints(error, headers, windows, now):
        if hint is not None and 0 <= hint <= _YEAR_S:
            return hint
    return None


def _hints(
    error: Mapping[str, Any], headers: Mapping[str, str], windows: Sequence[Window], now: float
) -> Iterator[float | None]:
    yield _until(error.get("resets_at"), now)
    yield _number(error.get("resets_in_seconds"))
    yield _number(error.get("retry_after"))
    yield _scaled(_number(error.get("retry_after_ms")))
    yield _scaled(_number(headers.get("retry-after-ms")))
    yield _header(headers.get("retry-after"), now)
    yield _again_in(error.get("message"))
    resets = [window.reset_at - now for window in windows if window.used_percent >= 100 and window.reset_at]
    yield max(resets, default=None)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if number == number else None


def _scaled(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _until(value: object, now: float) -> float | None:
    at = _number(value)
    if at is None and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if at is None:
        return None
    return (at / 1000 if at >= _MILLISECONDS_FROM else at) - now


def _header(value: str | None, now: float) -> float | None:
    """`retry-after`: a date in the past means "now", an absurd one is clamped by the pool."""
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return min(max(at - now, 0.0), _YEAR_S)


def _again_in(message: object) -> float | None:
    found = _AGAIN_IN.search(message[:4096]) if isinstance(message, str) else None
    if found is None:
        return None
    total = 0.0
    for amount, unit in _AMOUNT.findall(found.group(1)):
        unit = unit.lower()
        total += float(amount) / 1000 if unit.startswith(("ms", "milli")) else float(amount) * _UNIT_S[unit]
    return total
