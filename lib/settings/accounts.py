"""Account lists in every form that operators keep them in → `AccountConfig`.

JSON, or base64 of JSON: one entry or a list. An entry is a flat object, a Codex CLI `auth.json` (its tokens under
`tokens`, or a `personal_access_token`), or a bare token. Unknown keys are tolerated; an entry that cannot be used is
dropped alone.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import msgspec

from lib.settings import values
from lib.settings.values import Note, Pieces, Unusable

_TRAILING_COMMA = re.compile(r",(?=\s*[\]}])")
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """One account as the operator wrote it. Nothing in it is checked but what goes into headers or a connection."""

    access_token: str = field(repr=False)
    """Visible ASCII: a JWT, or opaque (`at-…`)."""
    account_id: str | None = field(default=None, repr=False)
    """Visible ASCII."""
    proxy: str | None = field(default=None, repr=False)
    """A valid proxy URL."""
    id_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    last_refresh: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    type: str | None = field(default=None, repr=False)
    expired: str | None = field(default=None, repr=False)


_NAMES = tuple(entry.name for entry in fields(AccountConfig))


def parse(value: object, note: Note) -> tuple[AccountConfig, ...] | None:
    """The usable accounts of a variable or of a YAML list. Raises Unusable."""
    accounts = []
    for number, entry in enumerate(_entries(value, note), 1):
        try:
            accounts.append(_account(entry, note))
        except Unusable as problem:
            note(f"account {number} was dropped: {problem}")
    return tuple(accounts) or None


def joined(lists: Iterable[tuple[str, Iterable[AccountConfig]]]) -> tuple[tuple[AccountConfig, ...], list[str]]:
    """All accounts, each token once, in the order of their first mention; and the places that repeat a token.

    A later mention fills in what the first one lacks: a bare token may be followed by its account id.
    """
    accounts: dict[str, AccountConfig] = {}
    repeats = []
    for place, configs in lists:
        for config in configs:
            first = accounts.get(config.access_token)
            if first is None:
                accounts[config.access_token] = config
                continue
            repeats.append(place)
            missing = {name: getattr(config, name) for name in _NAMES if getattr(first, name) is None}
            accounts[config.access_token] = replace(first, **missing)
    return tuple(accounts.values()), repeats


def _entries(value: object, note: Note) -> Iterator[Any]:
    """Raises Unusable; of a value in pieces only the ones that cannot be decoded are left out."""
    if not isinstance(value, Pieces):
        decoded = _decode(value, note) if isinstance(value, str) else value
        yield from decoded if isinstance(decoded, list | tuple) else [decoded]
        return
    for number, piece in enumerate(value, 1):
        try:
            yield from _entries(piece, note)
        except Unusable as problem:
            note(f"item {number} was dropped: it {problem}")


def _decode(value: str, note: Note) -> Any:
    bare = values.text(value, note)
    if not bare:
        return []
    if bare[0] in "[{":
        return _json(bare, value, note)
    if bare.startswith("at-") or _JWT.match(bare):
        return values.items(bare, note)
    return _json(_unbase64(bare), "", note)


def _json(bare: str, original: str, note: Note) -> Any:
    """`original` is tried too: in it a JSON text inside a JSON string still has its quotes."""
    for candidate in (bare, original):
        decoded = _json_or_none(candidate)
        if isinstance(decoded, str):
            decoded = _json_or_none(decoded)
        if decoded is not None:
            return decoded
    decoded = _json_or_none(_TRAILING_COMMA.sub("", bare))
    if decoded is None:
        raise Unusable("is not valid JSON")
    note("a trailing comma was removed")
    return decoded


def _json_or_none(candidate: str) -> Any:
    try:
        return msgspec.json.decode(candidate.strip("\ufeff \t\r\n"))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _unbase64(bare: str) -> str:
    compact = "".join(bare.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True).decode("utf-8-sig")
    except ValueError:
        raise Unusable("is neither JSON nor base64 of JSON nor a list of tokens") from None


def _account(entry: object, note: Note) -> AccountConfig:
    members: Mapping[str, Any]
    if isinstance(entry, str):
        members = {"access_token": entry}
    elif isinstance(entry, Mapping):
        members = {**entry, **entry["tokens"]} if isinstance(entry.get("tokens"), Mapping) else entry
    else:
        raise Unusable("it is neither an object nor a token")
    if str(members.get("disabled")).lower() == "true":
        raise Unusable("it is marked as disabled")
    found = dict(_texts(members, note))
    token = found.pop("access_token", None) or found.get("personal_access_token")
    if not token:
        raise Unusable("it has no access_token")
    for name, secret in (("access_token", token), ("account_id", found.get("account_id"))):
        if secret and not values.is_visible(secret):
            raise Unusable(f"its {name} holds white space, control or non-ASCII characters")
    known = {name: found[name] for name in _NAMES if name in found}
    return AccountConfig(token, **(known | _proxy(found, note)))


def _texts(members: Mapping[str, Any], note: Note) -> Iterator[tuple[str, str]]:
    for name in (*_NAMES, "personal_access_token", "proxy_url"):
        value = members.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise Unusable(f"its {name} is not a text")
        bare = values.text(value, note)
        if bare:
            yield name, bare


def _proxy(found: Mapping[str, str], note: Note) -> dict[str, str]:
    """The account is not used without the proxy that it asks for. `proxy_url` is another tool's name for it."""
    address = found.get("proxy") or found.get("proxy_url")
    if address is None:
        return {}
    try:
        secret = values.proxy(address, note)
    except Unusable as problem:
        raise Unusable(f"its proxy {problem}") from None
    return {"proxy": secret.get_secret_value()} if secret else {}
