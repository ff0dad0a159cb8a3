"""Usage windows as the Codex backend reports them: `x-codex-*` headers and the `codex.rate_limits` event.

Which of primary and secondary is the five-hour and which the weekly window differs between plans, so a window is
known by its length alone. A missing header says nothing; it does not mean zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lib.types import Window

MAIN_BUCKET = "codex"
_CREDITS = ("x-codex-credits-has-credits", "x-codex-credits-unlimited")
_USED = re.compile(r"^x-([a-z0-9-]+?)-(primary|secondary)-used-percent$")


def from_headers(headers: Mapping[str, str], now: float) -> list[Window]:
    """Every window that the response headers name; extra buckets (`x-<limit>-primary-…`) keep their own name."""
    named = [name for name in headers if name.endswith("-used-percent")]
    if not named:
        return []
    windows = []
    has_credits = any(headers.get(name, "").strip().lower() == "true" for name in _CREDITS)
    for name in named:
        match = _USED.match(name)
        used = _number(headers[name]) if match else None
        if match is None or used is None:
            continue
        stem = name.removesuffix("used-percent")
        minutes = _number(headers.get(stem + "window-minutes"))
        if not minutes and not used:
            continue  # a plan without this window reports it as zero
        windows.append(
            Window(
                bucket=match.group(1),
                used_percent=used,
                window_minutes=int(minutes) if minutes else None,
                reset_at=_reset(headers.get(stem + "reset-at"), headers.get(stem + "reset-after-seconds"), now),
                has_credits=has_credits,
            )
        )
    return windows


def from_event(fields: Mapping[str, Any], now: float) -> list[Window]:
    """The windows of a `codex.rate_limits` event; those of another bucket than the main one keep its name."""
    bucket = fields.get("limit_id") or fields.get("metered_limit_name") or fields.get("limit_name") or MAIN_BUCKET
    limits = fields.get("rate_limits")
    windows = []
    for key in ("primary", "secondary"):
        window = limits.get(key) if isinstance(limits, dict) else None
        used = _number(window.get("used_percent")) if isinstance(window, dict) else None
        if not isinstance(window, dict) or used is None:
            continue
        minutes = _number(window.get("window_minutes"))
        windows.append(
            Window(
                bucket=str(bucket).replace("_", "-"),  # as the headers spell it
                used_percent=used,
                window_minutes=int(minutes) if minutes else None,
                reset_at=_reset(window.get("reset_at"), window.get("reset_after_seconds"), now),
                has_credits=has_credits(fields.get("credits")),
            )
        )
    return windows


def has_credits(credits: object) -> bool:
    """What `credits` in an event or a usage report says."""
    return isinstance(credits, dict) and (credits.get("has_credits") is True or credits.get("unlimited") is True)


def _reset(at: object, after: object, now: float) -> float | None:
    moment = _number(at)
    if moment:
        return moment
    seconds = _number(after)
    return None if seconds is None else now + seconds


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 1e12 else None
