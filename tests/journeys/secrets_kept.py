"""Marked credentials, and the search for them where they must not be."""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterable
from urllib.parse import quote

from tests.fakes import tokens

_ISSUED_AT = 1_790_000_000
"""Fixed, so that a token is the same in every run: a search for its last four letters must not hit by chance."""
_TELLING = re.compile(r"(?=.*[A-Z].*[A-Z])(?=.*[a-z])[A-Za-z]{4}$")


def account_jwt(account_id: str | None) -> str:
    """An access token whose last four characters occur nowhere by chance: no hex, no base of a date or header."""
    for number in itertools.count():
        token = tokens.jwt(account_id, now=_ISSUED_AT, expires_in_s=1e9, jti=f"canary-{number}")
        if _TELLING.fullmatch(token[-4:]):
            return token
    raise AssertionError


def at_token(account_id: str) -> str:
    """An opaque token. It ends in hex, as request ids do, so only longer parts of it can be told apart."""
    return tokens.at_token(account_id, name="canary")


def forms(secret: str) -> set[str]:
    """The shapes in which a secret would give itself away: whole, its beginning, its end, base64 at any place of a
    longer text, hexadecimal, percent-encoded."""
    plain = secret.encode()
    found = {secret, secret[:8], plain.hex(), quote(secret, safe="")}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + plain).decode().rstrip("=")
        own = encoded[(before * 8 + 5) // 6 : -1]  # characters that depend on the secret alone
        found |= {own, own.replace("+", "-").replace("/", "_")}
    if _TELLING.fullmatch(secret[-4:]):
        found.add(secret[-4:])
    return found


def leaked(text: str, secrets: Iterable[str]) -> list[str]:
    """The forms of the secrets that stand in the text."""
    return [form for secret in secrets for form in sorted(forms(secret)) if form in text]
