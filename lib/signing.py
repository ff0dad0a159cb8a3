"""The scheme of signed requests, as both sides use it. `docs/signed.md` is its specification.

A credential is `base64(key id).base64(HMAC-SHA256(secret, string to sign))`: the secret itself never travels.
"""

from __future__ import annotations

import base64
import hmac
import re
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

DATE_HEADER = "x-date"
MAX_SKEW_S = 300
"""How far a request's date may be from the clock of who checks it, either way."""

_CREDENTIAL = re.compile(r"([A-Za-z0-9+/_-]{2,88}={0,2})\.([A-Za-z0-9+/_-]{43}=?)")
_EPOCH = re.compile(r"[0-9]{1,11}")
_HTTP_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-3][0-9]) ([A-Z][a-z]{2}) ([0-9]{4}) "
    r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]) GMT"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TO_STANDARD = str.maketrans("-_", "+/")


class Credential(NamedTuple):
    """What a signed request says of its sender: nothing of it is checked."""

    key_id: str
    mac: bytes
    """32 bytes."""


def string_to_sign(method: str, target: str, date: str, body_hash: str) -> bytes:
    """What the signature covers.

    target: path and query as in the request line. date: the value of the date header. body_hash: SHA-256 of the body
    as it is sent, in hexadecimal.
    """
    path, _, query = target.partition("?")
    return decoded_string_to_sign(method, unquote(path), query, date, body_hash)


def decoded_string_to_sign(method: str, path: str, query: str, date: str, body_hash: str) -> bytes:
    """The same from a path whose percent-escapes are already undone, which is all that some platforms tell."""
    # Encoded anew, so that a line feed in the path cannot pass for the end of a line.
    lines = (method.upper(), quote(path, safe="/", errors="replace"), _query(query), date, body_hash)
    return "\n".join(lines).encode()


def sign(secret: bytes, message: bytes) -> bytes:
    """The signature: 32 bytes."""
    return hmac.digest(secret, message, "sha256")


def encode(credential: Credential) -> str:
    """What follows `Bearer `: standard alphabet, padded."""
    key_id = base64.b64encode(credential.key_id.encode()).decode()
    return f"{key_id}.{base64.b64encode(credential.mac).decode()}"


def decode(text: str) -> Credential | None:
    """The credential, or None for anything else. Either alphabet, with padding or without."""
    match = _CREDENTIAL.fullmatch(text)
    if match is None:
        return None
    try:
        key_id, mac = (_unbase64(part) for part in match.groups())
        return Credential(key_id.decode("ascii"), mac)
    except ValueError:  # a length that base64 cannot have, or bytes that no key id has
        return None


def epoch(date: str) -> int | None:
    """Epoch seconds of a date header: these seconds in decimal, or HTTP's `Sun, 06 Nov 1994 08:49:37 GMT`. None for
    anything else."""
    if _EPOCH.fullmatch(date):
        return int(date)
    match = _HTTP_DATE.fullmatch(date)
    if match is None or match[2] not in _MONTHS:
        return None
    day, month, year, hour, minute, second = match.groups()
    try:
        at = datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:  # no such day
        return None
    return int(at.timestamp())


def _query(raw: str) -> str:
    """Decoded, encoded in one way and sorted: some platforms hand the query over in an encoding and an order of their
    own."""
    if not raw:
        return ""
    pairs = parse_qsl(raw, keep_blank_values=True)
    encoded = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _unbase64(text: str) -> bytes:
    bare = text.rstrip("=").translate(_TO_STANDARD)
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
