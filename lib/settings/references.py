"""Secrets by reference: `ssm:/name` and `secretsmanager:name#json-key` in place of a secret, or of items of a list.

All references of an environment are resolved at once, when the settings are read. Without any, this costs a look at the
beginning of each secret. What a failure leaves is a text without the reference: it stands where a secret should be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from lib.settings.reading import Placed, Unresolved
from lib.settings.values import Pieces, Problem, bare, split

Fetch = Callable[[Collection[str]], Mapping[str, "str | Unresolved"]]
"""References → what they refer to, or why that is not known."""

_SCHEMES = ("ssm:", "secretsmanager:")


def resolved(
    raw: Mapping[str, Any], *, singles: Collection[str], lists: Collection[str], fetch: Fetch | None = None
) -> dict[str, Any]:
    """The raw values of all sources, with references replaced by what they refer to.

    singles: fields whose whole value may be a reference. lists: those whose items may be. A value of which nothing is
    left becomes Unresolved; of others the items that failed are left out, and a Problem joins the values.
    """
    found = {name: refs for name in (*singles, *lists) if (refs := _references(raw.get(name), name in lists))}
    if not found:
        return dict(raw)
    answers = (fetch or _fetch)({ref for refs in found.values() for ref in refs})
    values = dict(raw)
    for name, refs in found.items():
        value, place = _placed(raw[name], name)
        failures = list(dict.fromkeys(answer for ref in refs if isinstance(answer := answers[ref], Unresolved)))
        rest = _filled(value, {ref: answer for ref in refs if isinstance(answer := answers[ref], str)}, refs)
        if failures and not rest:
            values[name] = Placed(Unresolved("; ".join(failure.reason for failure in failures)), place)
            continue
        values[name] = Placed(rest, place)
        for number, failure in enumerate(failures, 1):
            values[f"{name}_reference_{number}"] = Problem(place, f"an item {failure.reason} and was dropped")
    return values


def _fetch(refs: Collection[str]) -> Mapping[str, str | Unresolved]:
    from lib.settings.vaults import fetch  # only deployments with references pay for it

    return fetch(refs)


def _placed(value: Any, name: str) -> tuple[Any, str]:
    return (value.value, value.place) if isinstance(value, Placed) else (value, name.upper())


def _references(raw: Any, is_list: bool) -> list[str]:
    value, _ = _placed(raw, "")
    parts = value if is_list and isinstance(value, list | tuple) else [value]
    texts = (text for part in parts if isinstance(part, str) for text in _texts(part, is_list))
    return [text for text in texts if text.lower().startswith(_SCHEMES)]


def _texts(part: str, is_list: bool) -> Iterator[str]:
    """The items of a list, or the one text of any other value. JSON has commas of its own, and is one text."""
    text = bare(part)
    yield from map(bare, split(part)) if is_list and text[:1] not in ("[", "{") else [text]


def _filled(value: Any, answers: Mapping[str, str], refs: Collection[str]) -> Any:
    """A value with its references replaced; those without an answer are left out."""
    if isinstance(value, str) and bare(value) in refs:
        return answers.get(bare(value))
    pieces: list[Any] = []
    for part in value if isinstance(value, list | tuple) else [value]:
        items = list(_texts(part, True)) if isinstance(part, str) else []
        if not any(item in refs for item in items):
            pieces.append(part)
            continue
        pieces += [found for item in items if (found := answers.get(item) if item in refs else item)]
    return Pieces(pieces)
