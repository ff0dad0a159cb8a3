"""Who is calling: credential headers → `Caller`, or a 401.

One rule for `Authorization: Bearer …`, `x-api-key` and `api-key`, and no header is ever more permissive than another:

1. the exact local key, compared in constant time over digests;
2. else the longest private prefix: `<prefix><token>` or `<prefix><token>,<account id>` carries the caller's own token;
3. else 401. Whatever is missing, malformed, given twice or contradictory is a 401 as well.

No message repeats any part of what was sent.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable

from lib.errors import AuthenticationError
from lib.types import Caller

MAX_CREDENTIAL_BYTES = 16 * 1024
MIN_PREFIX_CHARS = 8

_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] ([!-~]+)")
_BARE = re.compile(rb"([!-~]+)")
_FORMS = {b"authorization": _BEARER, b"x-api-key": _BARE, b"api-key": _BARE}
_ACCOUNT_ID = re.compile(rb"[A-Za-z0-9_-]{1,128}")
_JWT = re.compile(rb"eyJ[\w-]*\.[\w-]+\.[\w-]*")

_UNCONFIGURED = (
    "This gateway has no keys, so it refuses every request. Its operator sets AUTH_TOKENS (gateway keys) or "
    "ACCESS_TOKEN_PREFIX (callers bring their own access token)."
)
_MISSING = "No API key was given. Send one as `Authorization: Bearer <key>`."
_MALFORMED = "The credential header is malformed. Send it once, as `Authorization: Bearer <key>`."
_CONTRADICTORY = "The credential headers contradict each other. Send one, as `Authorization: Bearer <key>`."
_UNKNOWN = "Incorrect API key."
_WITHOUT_PREFIX = (
    "Incorrect API key. This looks like an access token: those are accepted only behind the private prefix "
    "that the gateway's operator has set (ACCESS_TOKEN_PREFIX)."
)
_BAD_PASSTHROUGH = "What follows the private prefix must be `<access token>` or `<access token>,<account id>`."


class Authenticator:
    """Knows the gateway's keys (as digests) and private prefixes; prefixes under eight characters are left out."""

    def __init__(self, keys: Iterable[str], prefixes: Iterable[str] = ()) -> None:
        self._digests = tuple({hashlib.sha256(key.encode()).digest() for key in keys if key.strip()})
        usable = {prefix.encode() for prefix in prefixes if len(prefix.strip()) >= MIN_PREFIX_CHARS}
        self._prefixes = sorted(usable, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"Authenticator({len(self._digests)} keys, {len(self._prefixes)} prefixes)"

    def caller(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """The caller behind raw ASGI headers (lower-case names). Raises AuthenticationError."""
        if not self._digests and not self._prefixes:
            raise AuthenticationError(_UNCONFIGURED)
        credential = _credential(headers)
        digest = hashlib.sha256(credential)
        if self._is_local(digest.digest()):
            return Caller(key=digest.hexdigest()[:8])
        for prefix in self._prefixes:
            if hmac.compare_digest(credential[: len(prefix)], prefix):
                return self._passthrough(credential[len(prefix) :])
        raise AuthenticationError(_WITHOUT_PREFIX if _JWT.match(credential) else _UNKNOWN)

    def _is_local(self, digest: bytes) -> bool:
        found = False
        for known in self._digests:  # no early end: the time taken says nothing about the keys
            found |= hmac.compare_digest(digest, known)
        return found

    def _passthrough(self, rest: bytes) -> Caller:
        token, comma, account_id = rest.partition(b",")
        doubled = any(token.startswith(prefix) for prefix in self._prefixes)
        if not token or doubled or (comma and not _ACCOUNT_ID.fullmatch(account_id)):
            raise AuthenticationError(_BAD_PASSTHROUGH)
        return Caller(
            key=hashlib.sha256(token).hexdigest()[:8],
            token=token.decode("ascii"),
            account_id=account_id.decode("ascii") if comma else None,
        )


def _credential(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The one credential that all credential headers agree on."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        form = _FORMS.get(name)
        if form is None:
            continue
        value = value.rstrip(b" \t")  # white space after a value is no part of it (RFC 9110, 5.5)
        match = form.fullmatch(value) if len(value) <= MAX_CREDENTIAL_BYTES else None
        if match is None or name in found:
            raise AuthenticationError(_MALFORMED)
        found[name] = match[1]
    if not found:
        raise AuthenticationError(_MISSING)
    credential, *others = found.values()
    if any(other != credential for other in others):
        raise AuthenticationError(_CONTRADICTORY)
    return credential
