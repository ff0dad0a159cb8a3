"""The settings as a person may see them who is not to learn a single secret: each as one would write it into the
environment, and of each credential the beginning of a hash, by which log lines name it, too.

What is in a secret's own variable is never shown. Of any other text, whatever looks like a credential that slipped into
the wrong variable is masked, and the rest stands as it is: in an address the part of the path where some servers keep a
key, and nothing else of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

if TYPE_CHECKING:
    from lib.settings import AccountConfig, Settings

Shown = dict[str, Any]

MASK = "••••"

_WORD = re.compile(r"[\w+=~%.-]+")
_CREDENTIAL = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        eyJ[\w-]{6} | (?<!-)(?:sk|at)-[\w-]{6}                      # a JWT, an API key, an opaque token
        | (?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{16}         # what nobody would give as a name
        | [A-Za-z]{32}
        | [0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}
    )""",
    re.VERBOSE,
)


def masked(settings: Settings) -> list[Shown]:
    """One entry for each variable, in the order of the settings:

        {"variable": "AUTH_TOKENS", "state": "set", "slots": ["3f9c2b01", …]}
        {"variable": "PROXY", "state": "set", "value": "http://••••@proxy.example:8080"}
        {"variable": "READ_URLS", "state": "default", "value": "off"}

    state: `set`, `default` (not set, or set to something unusable, which the problems tell), `unset` (and without a
    default), `unusable` (and no default instead). value: a text, in one line. slots: hashes of the credentials in a
    list. `has_problem` stands beside them for a variable that the problems name.
    """
    named = {problem.variable for problem in settings.problems}
    return [_entry(settings, name, named) for name in type(settings).model_fields]


def host(url: str) -> str | None:
    """Host and port of an address, and nothing of its path."""
    parts = urlsplit(url)
    return parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"


def _entry(settings: Settings, name: str, named: set[str]) -> Shown:
    variable, value = name.upper(), getattr(settings, name)
    entry: Shown = {"variable": variable, "state": _state(settings, name, value)}
    if variable in named:
        entry["has_problem"] = True
    if value is not None and value != ():
        entry.update(_SHOWN.get(name, _shown)(value))
    return entry


def _state(settings: Settings, name: str, value: Any) -> str:
    if name in settings.misdirected:
        return "unusable"
    if value is None or value == ():
        return "unset"
    return "set" if name in settings.model_fields_set else "default"


def _shown(value: Any) -> Shown:
    """What may be said of any value, a new setting's too."""
    if isinstance(value, bool):
        return {"value": "true" if value else "false"}
    if isinstance(value, int | float):
        return {"value": str(int(value) if value == int(value) else value)}
    if isinstance(value, str):
        return {"value": _veiled(value)}
    if isinstance(value, tuple) and all(isinstance(item, SecretStr) for item in value):
        return _slots(item.get_secret_value() for item in value)
    return {"value": MASK}


def _shown_switch(value: bool) -> Shown:
    return {"value": "on" if value else "off"}


def _shown_address(value: str) -> Shown:
    """The host is where requests go, and no name for it looks strange: those of the platforms are long and random."""
    scheme, _, rest = value.partition("://")
    place, slash, path = rest.partition("/")
    return {"value": f"{scheme}://{place}{slash}{_veiled(path)}"}


def _shown_with_login(value: SecretStr) -> Shown:
    """An address with or without a login before the host: what cannot be secret of it."""
    scheme, _, rest = value.get_secret_value().partition("://")
    login, at, place = rest.rpartition("@")
    return {"value": f"{scheme}://{MASK if login else ''}{at}{_veiled(place) if scheme == 'dynamodb' else place}"}


def _shown_pairs(value: Iterable[tuple[str, SecretStr]]) -> Shown:
    """Log lines name the sender of a signed request by the hash of the key id."""
    ids = [key_id for key_id, _secret in value]
    return {"value": ",".join(f"{_veiled(key_id)}:{MASK}" for key_id in ids), **_slots(ids)}


def _shown_accounts(value: Iterable[AccountConfig]) -> Shown:
    return _slots(account.access_token for account in value)


def _shown_bucket(value: tuple[str, str]) -> Shown:
    return {"value": _veiled("s3://" + "/".join(filter(None, value)))}


def _shown_map(value: Iterable[tuple[str, str]]) -> Shown:
    return {"value": ",".join(f"{_veiled(pattern)}={_veiled(model)}" for pattern, model in value)}


def _shown_names(value: Iterable[str]) -> Shown:
    return {"value": ",".join(map(_veiled, value))}


def _veiled(text: str) -> str:
    """A text without the words in it that look like a credential."""
    return _WORD.sub(lambda word: MASK if _CREDENTIAL.search(word[0]) else word[0], text)


def _slots(credentials: Iterable[str]) -> Shown:
    """As `Caller.key` has them."""
    return {"slots": [sha256(each.encode("utf-8", "surrogatepass")).hexdigest()[:8] for each in credentials]}


_SHOWN: dict[str, Callable[[Any], Shown]] = {
    "revoked_keys": _shown_names,
    "public_url": _shown_address,
    "chatgpt_accounts": _shown_accounts,
    "chatgpt_base_url": _shown_address,
    "proxy": _shown_with_login,
    "token_url": _shown_address,
    "openai_base_url": _shown_address,
    "signed_base_url": _shown_address,
    "key_pairs": _shown_pairs,
    "image_bucket": _shown_bucket,
    "read_urls": _shown_switch,
    "state_url": _shown_with_login,
    "model_map": _shown_map,
}
"""Fields that need a look of their own."""
