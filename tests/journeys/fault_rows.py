"""The fault table as data: what the upstream does, and what then holds for the client and the pool.

A row is run for every dialect, streamed and whole, against a gateway with three accounts:

- `once`: the first account meets the fault and the next one would answer well;
- `always`: every attempt meets it.

`accounts` names the accounts in the order of the attempts: "aab" is one account twice, then another. `usable` is how
many the gateway still counts as usable afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.codex_behaviours import Behaviour

PATIENCE_S = {"once": 0.2, "always": 0.03}
"""How long the gateway waits in a row that `waits`: where another account answers, it must be given the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """What follows. Without a `code` the answer is good and says `said`."""

    status: int = 200
    code: str | None = None
    """Of the error object. A streamed answer that had begun (`begun`) tells it in the stream, under 200."""
    begun: bool = False
    said: str = "You said: Hi"
    """The text, or what had come of it before the answer broke."""
    shown: Mapping[str, str] = field(default_factory=dict)
    """The text in dialects that show a picture as text, in front of what is said."""
    ending: str = "good"
    accounts: str = "a"
    usable: int = 3
    should_retry: str | None = None
    retry_after: range | None = None
    """Seconds, in the header."""
    tells: str = ""
    """What the message must hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`id` as in the fault table; `fault` in words."""

    id: str
    fault: str
    upstream: Callable[[], Behaviour]
    once: Then | None = None
    always: Then | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    waits: str | None = None
    """The time limit that the fault runs into."""

    def settings_of(self, case: str) -> dict[str, Any]:
        """Of the gateway, for the case `once` or `always`."""
        return {**self.settings, **({self.waits: PATIENCE_S[case]} if self.waits else {})}

    def __str__(self) -> str:
        return f"{self.id} {self.fault}"


ANOTHER = Then(accounts="ab")
"""Failed over, nothing remembered."""
RESTS = Then(accounts="ab", usable=2)
"""Failed over, and the first account rests."""
