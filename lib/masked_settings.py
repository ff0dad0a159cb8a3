"""The settings as a person may see them who is not to learn a single secret: which variables are set, how long lists
are, and the beginning of a hash of each credential, by which log lines name it, too.

A value itself is shown only where it cannot be a credential that slipped into the wrong variable: numbers, switches and
words out of a fixed list. Of an address it is the host; every other text is just set or not.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

if TYPE_CHECKING:
    from lib.settings import Settings

Shown = dict[str, Any]

_WORDS = frozenset(
    {
        "chatgpt_tools",
        "codex_client_version",
        "log_format",
        "log_level",
        "openai_tools",
        "openai_wire",
        "token_refresh",
    }
)
"""Fields whose text is one of a few, or of a form that no credential has."""


def masked(settings: Settings) -> list[Shown]:
    """One entry for each variable, in the order of the settings:

        {"variable": "AUTH_TOKENS", "state": "set", "count": 2, "slots": ["3f9c2b01", …]}
        {"variable": "CHATGPT_BASE_URL", "state": "default", "host": "chatgpt.com"}
        {"variable": "LOG_LEVEL", "state": "default", "value": "INFO"}

    state: `set`, `default` (not set, or set to something unusable, which the problems tell), `unset` (and without a
    default). `has_problem` stands beside it for a variable that the problems name.
    """
    named = {problem.variable for problem in settings.problems}
    return [_entry(settings, name, named) for name in type(settings).model_fields]


def _entry(settings: Settings, name: str, named: set[str]) -> Shown:
    variable, value = name.upper(), getattr(settings, name)
    given = name in settings.model_fields_set
    empty = value is None or value == ()
    entry: Shown = {"variable": variable, "state": "unset" if empty else "set" if given else "default"}
    if variable in named:
        entry["has_problem"] = True
    if not empty:
        entry.update(_SHOWN.get(name, _shown)(name, value))
    return entry


def _shown(name: str, value: Any) -> Shown:
    """What may be said of any value, a new setting's too."""
    if isinstance(value, bool | int | float):
        return {"value": value}
    if isinstance(value, tuple):
        slots = [_short_hash(item.get_secret_value()) for item in value if isinstance(item, SecretStr)]
        return {"count": len(value), "slots": slots} if slots else {"count": len(value)}
    if isinstance(value, str) and name in _WORDS:
        return {"value": value}
    if isinstance(value, str) and name.endswith("_url"):
        return {"host": host(value)}
    return {}


def _shown_pairs(_: str, value: Any) -> Shown:
    """Log lines name the sender of a signed request by the hash of the key id."""
    return {"count": len(value), "slots": [_short_hash(key_id) for key_id, _secret in value]}


def _shown_store(_: str, value: SecretStr) -> Shown:
    return {"value": urlsplit(value.get_secret_value()).scheme}


def _shown_bucket(_: str, value: tuple[str, str]) -> Shown:
    return {}


def _shown_map(_: str, value: Any) -> Shown:
    return {"count": len(value)}


def host(url: str) -> str | None:
    """Host and port of an address, and nothing of its path, where some servers keep a key."""
    parts = urlsplit(url)
    return parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"


def _short_hash(secret: str) -> str:
    """As `Caller.key` has it."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:8]


_SHOWN: dict[str, Callable[[str, Any], Shown]] = {
    "key_pairs": _shown_pairs,
    "state_url": _shown_store,
    "image_bucket": _shown_bucket,
    "model_map": _shown_map,
}
"""Fields that need a look of their own."""
