"""When an answer has to be over: what the platform says, and what the operator says for other hosts."""

from __future__ import annotations

import sys
from typing import Any

from lib.web.asgi import Scope

SCOPE_KEY = "chat2api.deadline_at"
"""Where an entry point leaves the end of its invocation, in epoch seconds."""

_VERCEL = "vercel_runtime"


class Deadlines:
    """limit_s: how long one request may take, None for no limit of our own. margin_s: how long before the platform's
    end an answer is ended."""

    def __init__(self, *, limit_s: float | None, margin_s: float) -> None:
        self._limit_s = limit_s
        self._margin_s = margin_s

    def of(self, scope: Scope, started_at: float) -> float | None:
        """Epoch seconds; None when nothing limits the answer."""
        limit = None if self._limit_s is None else started_at + self._limit_s
        platform = scope.get(SCOPE_KEY)
        if platform is None and _VERCEL in sys.modules:
            platform = _vercel()
        if platform is None:
            return limit
        end: float = platform - self._margin_s
        return end if limit is None else min(end, limit)


def _vercel() -> float | None:
    """The end of this invocation as Vercel's runtime knows it; that has imported its package before it calls us."""
    runtime: Any = sys.modules[_VERCEL]
    deadline = runtime.get_deadline()
    return None if deadline is None else float(deadline.timestamp())
