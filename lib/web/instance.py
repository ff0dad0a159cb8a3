"""This one process: where it runs, how long it took to be ready, and how many requests it has answered."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

BUNDLE_FILE = "bundle.txt"
"""Beside `api` and `lib` in a bundle: the digest of all its other files."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The clock that the kernel notes the start of processes by; other systems than Linux have none such."""


class Instance:
    """Made when the application is ready. Counting is all that a request pays for."""

    def __init__(self) -> None:
        self._ready_at = time.clock_gettime(_CLOCK)
        self._requests: dict[int, int] = {}

    def count(self, status: int) -> None:
        """One more request that ended with this status; 0: the connection was lost before there was one."""
        self._requests[status] = self._requests.get(status, 0) + 1

    def described(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """`{"platform", "region", "revision", "bundle", "python", "machine", "cold_start_ms", "uptime_s",
        "memory_bytes", "requests"}`. Nothing of the environment but what the platforms say about themselves."""
        import sys

        born_at = _born_at()
        return {
            **_place(environ),
            "bundle": _bundle(),
            "python": sys.version.split()[0],
            "machine": os.uname().machine,
            "cold_start_ms": None if born_at is None else round((self._ready_at - born_at) * 1000),
            "uptime_s": round(time.clock_gettime(_CLOCK) - (born_at or self._ready_at), 1),
            "memory_bytes": _resident_bytes(),
            "requests": {str(status): count for status, count in sorted(self._requests.items())},
        }


def _place(environ: Mapping[str, str]) -> dict[str, Any]:
    """Vercel may set AWS variables, too: it goes first."""
    if "VERCEL" in environ:
        revision = environ.get("VERCEL_GIT_COMMIT_SHA", "")[:12]
        return {"platform": "vercel", "region": environ.get("VERCEL_REGION"), "revision": revision or None}
    if "AWS_LAMBDA_FUNCTION_NAME" in environ:
        revision = environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
        return {"platform": "lambda", "region": environ.get("AWS_REGION"), "revision": revision or None}
    return {"platform": "server", "region": None, "revision": None}


def _bundle() -> str | None:
    """The beginning of the digest that `make package` wrote into the bundle; None for anything but such a bundle."""
    return (_read(os.path.join(os.path.dirname(__file__), "..", "..", BUNDLE_FILE)) or "").strip()[:12] or None


def _born_at() -> float | None:
    """When the process was started, on the clock above; None where the kernel does not say."""
    stat = _read("/proc/self/stat")
    if stat is None or not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    # The program's name is in parentheses and may hold anything; the 22nd field is the 20th behind it.
    return int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


def _resident_bytes() -> int | None:
    statm = _read("/proc/self/statm")
    return None if statm is None else int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None
