"""What a model answer's headers say about where it comes from: upstream, account, attempts, and times.

It is what is known when the head leaves. A stream whose headers had to leave before any output has no time to first
byte, and may still move to another account.
"""

from __future__ import annotations

from lib.types import Trace
from lib.web.asgi import Headers

EXPOSED = b"server-timing, x-gateway-upstream, x-gateway-account, x-gateway-attempts, x-gateway-ttfb-ms"
"""For pages in a browser, which see no other headers than those that are named."""


def provenance(trace: Trace, now: float) -> Headers:
    """`x-gateway-upstream: codex`, `x-gateway-account: a1-3f9c2b` (the last one tried), `x-gateway-attempts: 2`,
    `x-gateway-ttfb-ms: 410` and `server-timing`; empty for an answer that no upstream had a part in."""
    upstream = trace.upstream
    if not upstream:
        return []
    timing = f"total;dur={_ms(now - trace.started_at)}"
    headers: Headers = [(b"x-gateway-upstream", upstream.encode("ascii", "replace"))]
    if trace.accounts:
        headers.append((b"x-gateway-account", trace.accounts[-1].encode("ascii", "replace")))
        headers.append((b"x-gateway-attempts", b"%d" % len(trace.accounts)))
    if trace.first_byte_at is not None:
        headers.append((b"x-gateway-ttfb-ms", b"%d" % _ms(trace.first_byte_at - trace.started_at)))
    if trace.asked_at is not None:
        answered_at = now if trace.first_byte_at is None else trace.first_byte_at
        before, waited = _ms(trace.asked_at - trace.started_at), _ms(answered_at - trace.asked_at)
        timing = f"gateway;dur={before}, upstream;desc={upstream};dur={waited}, {timing}"
    headers.append((b"server-timing", timing.encode("ascii", "replace")))
    return headers


def _ms(seconds: float) -> int:
    return max(0, int(seconds * 1000))
