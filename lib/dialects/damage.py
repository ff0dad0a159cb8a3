"""What renderers say of an upstream that breaks the protocol."""

from __future__ import annotations

from lib.errors import UpstreamError, Verdict


def malformed() -> UpstreamError:
    """An event or an item whose members have the wrong types."""
    return UpstreamError(
        "The upstream sent an event that does not follow its protocol.",
        verdict=Verdict.SERVICE,
        code="upstream_bad_response",
        should_retry=True,
    )
