"""What was fetched from the web, between the client that fetches and those who read it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fetched:
    """One resource, whole and unpacked."""

    url: str
    """Where it was found in the end, after redirects."""
    media_type: str
    """In lower case, without parameters."""
    charset: str | None
    """As the server names it."""
    data: bytes = field(repr=False)
