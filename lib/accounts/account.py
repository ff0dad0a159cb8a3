"""One ChatGPT login, as far as its tokens tell: who it is, until when it is valid, and the headers it is used with.

Claims are read without checking the signature: they only choose headers for the service that issued the token.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from lib.settings import AccountConfig

CLOCK_SKEW_S = 300
"""How far the clocks of this machine and of the issuer may differ before a token counts as expired."""
MAX_TOKEN_BYTES = 64 * 1024

_AUTH = "https://api.openai.com/auth"
_PROFILE = "https://api.openai.com/profile"
_HEADER_SAFE = re.compile(r"[!-~]{1,256}")
_PLAN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_END_OF_TIME = 1e11
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Account:
    """One login. Its name, plan and expiry are safe to log, and its repr shows nothing else."""

    name: str
    """Slot and the beginning of the token's hash, for example `a1-3f9c2b`."""
    slot: int = field(repr=False)
    """The place in the configuration, from 1; 0 for a caller's own token."""
    token: str = field(repr=False)
    identity: bytes = field(repr=False)
    """32 bytes that stay the same when the token is renewed, if the claims allow that."""
    account_id: str | None = field(default=None, repr=False)
    plan: str | None = None
    email: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    """Epoch seconds; None when the token does not say."""
    fedramp: bool = field(default=False, repr=False)
    proxy: str | None = field(default=None, repr=False)

    @classmethod
    def from_config(cls, config: AccountConfig, slot: int) -> Account:
        """An account of the operator's. Never raises: what cannot be read is unknown."""
        return _account(config.access_token, slot, config.account_id, config.id_token, config.email, config.proxy)

    @classmethod
    def from_token(cls, token: str, account_id: str | None = None) -> Account:
        """A caller's own token, with the account id that came beside it. Never raises: an id that fits into no header
        counts as not given."""
        return _account(token, 0, account_id)

    @classmethod
    def from_key(cls, key: str, slot: int) -> Account:
        """An API key as an account; the empty one stands for an upstream that wants no key."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass"))
        return cls(name=f"k{slot}-{digest.hexdigest()[:6]}", slot=slot, token=key, identity=digest.digest())

    def is_expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at + CLOCK_SKEW_S < now

    def lease_headers(self) -> dict[str, str]:
        """The credential headers, lower-case names."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if self.account_id is not None:
            headers["chatgpt-account-id"] = self.account_id
        if self.fedramp:
            headers["x-openai-fedramp"] = "true"
        return headers


def _account(
    token: str,
    slot: int,
    account_id: str | None,
    id_token: str | None = None,
    email: str | None = None,
    proxy: str | None = None,
) -> Account:
    claims = _claims(token)
    id_claims = _claims(id_token) if id_token else _NOTHING
    access, identity = _object(claims, _AUTH), _object(id_claims, _AUTH)
    both = (identity, access)
    account_id = _text(account_id, _HEADER_SAFE) or _first(both, "chatgpt_account_id", _HEADER_SAFE)
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass"))
    return Account(
        name=f"a{slot}-{digest.hexdigest()[:6]}",
        slot=slot,
        token=token,
        identity=_identity(account_id, _first(both, "chatgpt_user_id") or _first(both, "user_id"), digest.digest()),
        account_id=account_id,
        # The access token is the younger of the two: the CLI renews it, and the plan in it, more often.
        plan=_first((access, identity), "chatgpt_plan_type", _PLAN),
        email=email or _first((id_claims, claims, _object(id_claims, _PROFILE), _object(claims, _PROFILE)), "email"),
        expires_at=_moment(claims.get("exp")),
        fedramp=any(part.get("chatgpt_account_is_fedramp") is True for part in both),
        proxy=proxy,
    )


def _identity(account_id: str | None, user_id: str | None, token_digest: bytes) -> bytes:
    """Members of a workspace share its account id, so that it takes the user's id to know one login."""
    if account_id is None or user_id is None:
        return token_digest
    return hashlib.sha256(f"{account_id}\n{user_id}".encode("utf-8", "surrogatepass")).digest()


def _claims(token: str) -> Mapping[str, Any]:
    """The claims of a JWT; empty for an opaque token, and for one that cannot be read."""
    if len(token) > MAX_TOKEN_BYTES or token.startswith("at-"):
        return _NOTHING
    parts = token.split(".")
    if len(parts) != 3:
        return _NOTHING
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = msgspec.json.decode(payload)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return _NOTHING
    return claims if isinstance(claims, dict) else _NOTHING


def _object(claims: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = claims.get(name)
    return value if isinstance(value, dict) else _NOTHING


def _first(places: tuple[Mapping[str, Any], ...], name: str, form: re.Pattern[str] | None = None) -> str | None:
    return next((text for place in places if (text := _text(place.get(name), form))), None)


def _text(value: object, form: re.Pattern[str] | None = None) -> str | None:
    if not isinstance(value, str) or not value or len(value) > 320:
        return None
    return value if form is None or form.fullmatch(value) else None


def _moment(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _END_OF_TIME:
        return None
    return float(value)
