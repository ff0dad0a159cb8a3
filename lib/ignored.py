"""Nothing is silently ignored: what a caller asked for and an upstream cannot take is named, or refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from lib.errors import InvalidRequest

IGNORED = "x-gateway-ignored"
"""The reply header that names the parameters without an effect."""


def ignored(asked: Mapping[str, str], accepts: Collection[str], upstream: str, *, strict: bool) -> dict[str, str]:
    """The reply headers that name what an upstream does not take: canonical names asked for, each with the caller's
    own, less those that it accepts. Raises InvalidRequest when the caller is strict."""
    if not asked:
        return {}
    unmet = (names for field, names in asked.items() if field not in accepts)
    names = sorted({name for joined in unmet for name in joined.split(", ")})
    if not names:
        return {}
    if strict:
        raise InvalidRequest(
            f"Unsupported parameter: '{names[0]}' has no effect on the upstream '{upstream}'. Leave it out, or drop "
            f"the strict mode to have it named in the {IGNORED} header instead.",
            param=names[0],
            code="unsupported_parameter",
        )
    return {IGNORED: ", ".join(names)}
