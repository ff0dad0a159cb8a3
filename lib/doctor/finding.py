"""What a check says, and how checks are run: side by side, each with a time limit, none able to fail the rest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem", "unknown"]

CHECK_LIMIT_S = 15.0
"""How long one check may take. All of them begin together, so that this bounds the whole examination, too."""

_LOG = logging.getLogger("chat2api.doctor")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. Nothing in it is secret."""

    name: str
    """What was looked at: `settings`, `streaming`, `client NextChat`, …"""
    status: Status
    """`unknown`: it could not be told; the advice says how to find out."""
    found: str
    advice: str = ""
    """What to do about it; empty where nothing is to be done."""


Check = Callable[[], Awaitable[Sequence[Finding]]]


async def examine(checks: Mapping[str, Check], *, limit_s: float = CHECK_LIMIT_S) -> list[Finding]:
    """What all checks found, in the order of their names here."""
    found = await asyncio.gather(*(_one(name, check, limit_s) for name, check in checks.items()))
    return [finding for findings in found for finding in findings]


async def _one(name: str, check: Check, limit_s: float) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(limit_s):
            return await check()
    except TimeoutError:
        return [Finding(name, "unknown", f"The check was not over after {limit_s:g} s.", "Try again.")]
    except Exception as error:  # noqa: BLE001 - one broken check is a finding, not the end of all
        # Its text may hold what was in flight: the class has to do, and the log has the place.
        _LOG.exception("doctor.failed", extra={"fields": {"check": name}})
        return [Finding(name, "unknown", f"The check itself failed ({type(error).__name__}).", "The log says where.")]


def duration(seconds: float) -> str:
    """`12 ms`, `3.4 s`, `5 minutes`, `3 hours`, `12 days`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def size(count: int) -> str:
    """`4.4 MB`, `900 bytes`."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"
