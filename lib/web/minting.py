"""What a request for a new scoped key may ask for; `make key` and `POST /v1/keys` read it alike."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lib import scoped_keys
from lib.errors import InvalidRequest
from lib.model_map import matches
from lib.scoped_keys import Limits
from lib.web.scopes import ENDPOINT_NAMES

MAX_DAYS = 3650

_PATTERN = re.compile(r"[!-+\--~]{1,200}")  # visible ASCII without commas, which separate patterns on a command line
_LABEL = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,64}")
_NOT_IN_IDS = re.compile(r"[^a-z0-9]+")


def limits_of(body: Mapping[str, Any], now: float) -> Limits:
    """The limits that a request asks for: the members of `Limits`, with `days` for an end so many days from now. None
    and what is left out limit nothing. Raises InvalidRequest."""
    given = {name: value for name, value in body.items() if value is not None}
    for name in given:
        if name not in _READERS:
            raise _refused(name, f"is not known. The members are {', '.join(_READERS)}", "unknown_parameter")
    found = {name: _READERS[name](value, name) for name, value in given.items()}
    days = found.pop("days", None)
    if days is not None:
        if "expires_at" in found:
            raise _refused("days", "and 'expires_at' say the same thing. Give one of them")
        found["expires_at"] = math.ceil(now + days * 86_400)
    if found.get("expires_at", math.inf) <= max(now, found.get("not_before", 0)):
        raise _refused("expires_at", "is over before the key is ever valid")
    return Limits(**found)


def minted(secret: bytes, key_id: str, limits: Limits) -> str:
    """A new key. Raises InvalidRequest for limits that do not fit into one."""
    try:
        return scoped_keys.mint(secret, key_id, limits)
    except ValueError as error:
        raise InvalidRequest(f"No key can be made of this: {error}.", code="invalid_value") from error


def described(limits: Limits) -> dict[str, Any]:
    """The members of an answer or a table: all limits by their names, None where there is none."""
    return {name: getattr(limits, name) for name in Limits.__struct_fields__}


def new_id(label: str | None) -> str:
    """An id that no other key has, with as much of the label as an id may hold."""
    name = _NOT_IN_IDS.sub("-", (label or "").lower())[:24].strip("-") or "key"
    return f"{name}-{secrets.token_hex(4)}"


def _patterns(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise _refused(name, "must be a list of patterns, with at least one in it")
    for item in value:
        if not isinstance(item, str) or not _PATTERN.fullmatch(item):
            raise _refused(name, "must hold names of at most 200 printable ASCII characters, without commas and blanks")
    return tuple(value)


def _endpoints(value: object, name: str) -> tuple[str, ...]:
    patterns = _patterns(value, name)
    for pattern in patterns:
        if not pattern.startswith("/") and not any(matches(pattern, known) for known in ENDPOINT_NAMES):
            raise _refused(
                name, f"must hold paths, as /v1/audio/speech, or names: {', '.join(ENDPOINT_NAMES)}; `*` is anything"
            )
    return patterns


def _label(value: object, name: str) -> str:
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        raise _refused(name, "must be a text of 1 to 64 characters, without control characters")
    return value


def _whole(lowest: int, highest: int) -> Callable[[object, str], int]:
    def read(value: object, name: str) -> int:
        if type(value) is not int or not lowest <= value <= highest:
            raise _refused(name, f"must be a whole number from {lowest} to {highest}")
        return value

    return read


def _days(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_DAYS:
        raise _refused(name, f"must be a number of days, more than 0 and at most {MAX_DAYS}")
    return value


_READERS: Mapping[str, Callable[[object, str], Any]] = {
    "models": _patterns,
    "endpoints": _endpoints,
    "days": _days,
    "expires_at": _whole(0, 2**48),
    "not_before": _whole(0, 2**48),
    "label": _label,
    "requests_per_minute": _whole(1, 100_000),
}


def _refused(name: str, what: str, code: str = "invalid_value") -> InvalidRequest:
    return InvalidRequest(f"'{name[:100]}' {what}.", param=name[:100], code=code)
