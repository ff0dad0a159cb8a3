"""Made-up ChatGPT credentials: JWTs with claims, opaque `at-` tokens and values bound to an account.

Everything is signed with a key of this module, so that the fake backend knows its own from strangers'.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

import msgspec

AUTH_CLAIM = "https://api.openai.com/auth"
PROFILE_CLAIM = "https://api.openai.com/profile"
_KEY = b"a key for tests only"


def jwt(
    account_id: str | None = "acct-1",
    *,
    plan: str = "plus",
    email: str | None = "one@example.org",
    expires_in_s: float = 864_000,
    user_id: str = "user-1",
    now: float | None = None,
    auth: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """An access or id token. `auth` adds to the account claims, `claims` to the top level; None leaves a claim out."""
    issued = time.time() if now is None else now
    account: dict[str, Any] = {
        "chatgpt_account_id": account_id,
        "chatgpt_plan_type": plan,
        "chatgpt_user_id": user_id,
        **(auth or {}),
    }
    body = {
        "iss": "https://auth.openai.com",
        "aud": ["https://api.openai.com/v1"],
        "sub": user_id,
        "iat": int(issued),
        "exp": int(issued + expires_in_s),
        PROFILE_CLAIM: {"email": email} if email else None,
        AUTH_CLAIM: {name: value for name, value in account.items() if value is not None},
        **claims,
    }
    return sign({name: value for name, value in body.items() if value is not None})


def sign(claims: dict[str, Any]) -> str:
    """A JWT with exactly these claims."""
    head = _base64(b'{"alg":"RS256","kid":"test","typ":"JWT"}')
    signed = f"{head}.{_base64(msgspec.json.encode(claims))}"
    return f"{signed}.{_base64(_mac(signed))}"


def claims(token: str) -> dict[str, Any] | None:
    """The claims of one of our own JWTs; None for anything else."""
    signed, _, signature = token.rpartition(".")
    if signed.count(".") != 1 or not hmac.compare_digest(signature, _base64(_mac(signed))):
        return None
    decoded: dict[str, Any] = msgspec.json.decode(_unbase64(signed.partition(".")[2]))
    return decoded


def at_token(account_id: str = "acct-1", *, plan: str = "business", name: str = "") -> str:
    """A personal access token: opaque for clients, no expiry. `name` makes different tokens of one account."""
    payload = _base64(msgspec.json.encode([account_id, plan, name]))
    return f"at-{payload}{_mac(payload).hex()[:24]}"


def at_owner(token: str) -> tuple[str, str] | None:
    """Account id and plan of one of our own `at-` tokens; None for anything else."""
    payload, signature = token.removeprefix("at-")[:-24], token[-24:]
    if not token.startswith("at-") or not hmac.compare_digest(signature, _mac(payload).hex()[:24]):
        return None
    account_id, plan, _ = msgspec.json.decode(_unbase64(payload))
    return account_id, plan


def sealed(account_id: str, seed: str = "") -> str:
    """Encrypted content as the backend of that account would issue it (`gAAA…`)."""
    nonce = _base64(hashlib.sha256(seed.encode()).digest()[:15])
    return f"gAAA{nonce}{_base64(_mac(f'sealed {account_id} {nonce}'))}"


def is_sealed(value: object, account_id: str) -> bool:
    """Whether `sealed` issued the value for this account."""
    if not isinstance(value, str) or not value.startswith("gAAA"):
        return False
    nonce, signature = value[4:24], value[24:]
    return hmac.compare_digest(signature, _base64(_mac(f"sealed {account_id} {nonce}")))


def turn_state(account_id: str) -> str:
    """The sticky-routing value of an account's answers."""
    return _mac(f"turn {account_id}").hex()[:32]


def _mac(text: str) -> bytes:
    return hmac.digest(_KEY, text.encode(), "sha256")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
