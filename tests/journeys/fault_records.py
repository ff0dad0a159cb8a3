"""What came of a fault, as one value: what the table says, what a test saw, and what the documentation is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tests.journeys.fault_rows import Row, Then
from tests.journeys.seen import Seen, told

DIALECTS = ("chat", "responses", "messages")
LETTERS = "abc"


class Met(NamedTuple):
    """One request that met a fault."""

    upstream: str
    id: str
    fault: str
    case: str
    """once: the first account alone meets it; always: every one."""
    dialect: str
    streamed: bool
    status: int
    code: str | None
    """Of the error, or its type in the Messages API; None for a good answer."""
    ending: str | None
    """good, cut, or None for an error."""
    accounts: str
    """In the order of the attempts, as letters."""
    usable: int
    """Accounts that can be used afterwards."""


def cases(row: Row) -> Iterator[tuple[str, Then]]:
    """The cases of a row that are defined."""
    for case, then in (("once", row.once), ("always", row.always)):
        if then is not None:
            yield case, then


def due(upstream: str, row: Row, case: str, then: Then, dialect: str, streamed: bool) -> Met:
    """What the table says."""
    status = 200 if streamed and then.begun else then.status
    ending = None if then.code else then.ending
    code = told(dialect, then.status, then.code)
    return Met(upstream, row.id, row.fault, case, dialect, streamed, status, code, ending, then.accounts, then.usable)


def met(upstream: str, row: Row, case: str, seen: Seen, streamed: bool, accounts: Sequence[Any], usable: int) -> Met:
    """What a test saw. accounts: one for each attempt."""
    return Met(
        *(upstream, row.id, row.fault, case, seen.dialect, streamed),
        *(seen.status, seen.code, seen.ending, pattern(accounts), usable),
    )


def pattern(accounts: Sequence[Any]) -> str:
    """Accounts in the order of their attempts as letters: "aab"."""
    order = list(dict.fromkeys(accounts))
    return "".join(LETTERS[order.index(account)] for account in accounts)
