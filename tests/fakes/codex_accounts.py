"""The accounts of the fake Codex backend: who a token belongs to, what is left of the limits, and refreshing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import codex_errors as errors
from tests.fakes import tokens

CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
"""The public client id of the open-source Codex CLI."""


@dataclass(slots=True)
class Account:
    """One ChatGPT login; a test may change any of it at any time."""

    id: str
    plan: str = "plus"
    primary_percent: float = 29
    secondary_percent: float = 12
    exhausted_until: float | None = None
    """Epoch seconds; until then every generation is answered 429 `usage_limit_reached`."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further response headers, over the ordinary ones."""


class Accounts:
    """All accounts by id; unknown ones appear when their token is first seen.

    revoked: token → the code of its 401. now: epoch seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.revoked: dict[str, str] = {}
        self._now = now
        self._by_id: dict[str, Account] = {}

    def __getitem__(self, account_id: str) -> Account:
        return self._by_id.setdefault(account_id, Account(account_id))

    def authenticate(self, headers: Mapping[str, str]) -> Account:
        """The account that a request is for. Raises Refused with the backend's 401."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme != "Bearer":
            errors.edge("Unauthorized", 401)
        if token in self.revoked:
            code = self.revoked[token]
            raise errors.Refused(401, errors.token_body(code), {"x-openai-authorization-error": code})
        owner = self._owner(token)
        named = headers.get("chatgpt-account-id")
        if owner is None or named is None or owner[0] not in (None, named):
            errors.edge("Unauthorized", 401)
        account = self._by_id.get(named)
        if account is None:
            account = self._by_id[named] = Account(named, owner[1])
        return account

    def _owner(self, token: str) -> tuple[str | None, str] | None:
        """Account id (None if the token does not say) and plan."""
        if token.startswith("at-"):
            return tokens.at_owner(token)
        claims = tokens.claims(token)
        if claims is None:
            return None
        if claims.get("exp", math.inf) <= self._now():
            raise errors.Refused(401, errors.token_body("token_expired"))
        auth = claims.get(tokens.AUTH_CLAIM, {})
        return auth.get("chatgpt_account_id"), auth.get("chatgpt_plan_type", "plus")

    def check_limit(self, account: Account) -> None:
        """Raises Refused with the backend's 429 while the account's window is used up."""
        until = account.exhausted_until
        if until is not None and until > self._now():
            body = {
                "type": "usage_limit_reached",
                "message": "The usage limit has been reached",
                "plan_type": account.plan,
                "resets_at": int(until),
                "eligible_promo": None,
                "resets_in_seconds": int(until - self._now()),
            }
            raise errors.Refused(429, {"error": body})

    def headers(self, account: Account) -> dict[str, str]:
        """The `x-codex-*` headers of every 200 and 429."""
        now, until = self._now(), account.exhausted_until
        reached = until is not None and until > now
        left = math.ceil(until - now) if until is not None and reached else 7089
        percent = 100 if reached else account.primary_percent
        return {
            "x-request-id": "req-made-up",
            "x-codex-active-limit": "codex",
            "x-codex-plan-type": account.plan,
            "x-codex-primary-used-percent": f"{percent:g}",
            "x-codex-primary-window-minutes": "300",
            "x-codex-primary-reset-after-seconds": str(left),
            "x-codex-primary-reset-at": str(int(now + left)),
            "x-codex-secondary-used-percent": f"{account.secondary_percent:g}",
            "x-codex-secondary-window-minutes": "10080",
            "x-codex-secondary-reset-after-seconds": "401220",
            "x-codex-secondary-reset-at": str(int(now + 401220)),
            "x-codex-primary-over-secondary-limit-percent": "0",
            "x-codex-credits-has-credits": "False",
            "x-codex-credits-unlimited": "False",
            "x-codex-credits-balance": "",
            "x-codex-bengalfox-primary-used-percent": "0",
            "x-codex-turn-state": tokens.turn_state(account.id),
            "set-cookie": "__cf_bm=marked-cookie; path=/; HttpOnly",
            **account.headers,
        }

    def usage(self, account: Account) -> dict[str, Any]:
        """The body of `GET /backend-api/wham/usage`: windows in seconds."""
        now = int(self._now())
        reached = account.exhausted_until is not None and account.exhausted_until > now
        primary = {"used_percent": 100 if reached else account.primary_percent, "limit_window_seconds": 18000}
        secondary = {"used_percent": account.secondary_percent, "limit_window_seconds": 604800}
        return {
            "plan_type": account.plan,
            "rate_limit": {
                "allowed": not reached,
                "limit_reached": reached,
                "primary_window": primary | {"reset_after_seconds": 7089, "reset_at": now + 7089},
                "secondary_window": secondary | {"reset_after_seconds": 401220, "reset_at": now + 401220},
            },
            "code_review_rate_limit": None,
            "additional_rate_limits": [],
            "credits": {"has_credits": False, "unlimited": False, "balance": "0"},
            "spend_control": {"reached": False, "individual_limit": None},
            "rate_limit_reset_credits": {"available_count": 0},
        }


class Authority:
    """`POST /oauth/token`: rotating refresh tokens, each good for one use.

    omit: members left out of answers (`{"id_token"}`). revoke_family: a second use revokes the successor too.
    expires_in_s: the life of new access tokens.
    """

    def __init__(self) -> None:
        self.omit: frozenset[str] = frozenset()
        self.revoke_family = False
        self.expires_in_s = 864_000
        self._owners: dict[str, tuple[str, str]] = {}
        self._used: dict[str, str] = {}
        self._dead: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def issue(self, account_id: str, *, plan: str = "plus") -> str:
        """A fresh refresh token."""
        token = f"rt.1.made-up-{next(self._numbers)}"
        self._owners[token] = (account_id, plan)
        return token

    def kill(self, token: str, code: str = "refresh_token_expired") -> None:
        """From now on the token is refused with this code."""
        self._dead[token] = code

    def exchange(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a refresh. Raises Refused."""
        token = str(form.get("refresh_token"))
        if form.get("client_id") != CLIENT_ID or form.get("grant_type") != "refresh_token":
            raise errors.Refused(400, {"error": "invalid_grant", "error_description": "Unknown client or grant."})
        if token in self._used:
            if self.revoke_family:
                self.kill(self._used[token], "refresh_token_invalidated")
            self._refuse("refresh_token_reused")
        if token in self._dead or token not in self._owners:
            self._refuse(self._dead.get(token, "refresh_token_invalidated"))
        account_id, plan = self._owners[token]
        self._used[token] = self.issue(account_id, plan=plan)
        number = next(self._numbers)
        answer = {
            "access_token": tokens.jwt(account_id, plan=plan, expires_in_s=self.expires_in_s, jti=f"access-{number}"),
            "refresh_token": self._used[token],
            "id_token": tokens.jwt(account_id, plan=plan, jti=f"id-{number}"),
            "token_type": "Bearer",
            "expires_in": self.expires_in_s,
            "scope": "openid profile email offline_access",
        }
        return {name: value for name, value in answer.items() if name not in self.omit}

    def _refuse(self, code: str) -> None:
        raise errors.Refused(401, errors.error_body(errors.REFRESH[code], code=code))
