"""Renewing tokens at the token endpoint, as the public client that the logins were made with.

Refresh tokens rotate: each is good for one use, and a second use may revoke all that came of it. Who asks here must
be the only one to ask for an account (`lib/accounts/rotated.py` has the lock) and must keep the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lib.errors import UpstreamError

CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
"""The open-source Codex CLI, whose logins these are: a public client, which has no secret."""
TIMEOUT_S = 10.0
_LATE = 0.1
"""By how much of its time an answer is waited for longer: in a process that was frozen it may be there by now."""

Post = Callable[[str, Mapping[str, str], bytes, str | None], Awaitable[tuple[int, bytes]]]
"""POST: URL, headers, body, the account's proxy → status and body. Follows no redirect. Raises UpstreamError."""

_HEADERS = {"content-type": "application/json", "accept": "application/json"}
_FINAL = frozenset({"refresh_token_reused", "refresh_token_expired", "refresh_token_invalidated", "invalid_grant"})


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login consists of."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    id_token: str | None = field(default=None, repr=False)


class RefreshError(Exception):
    """No new tokens. Outside the tree of `lib/errors.py`: no caller sees it, the account goes on with what it has.

    code: why, safe to log. is_final: this refresh token will never be good again.
    """

    def __init__(self, code: str, *, is_final: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class _Answer:
    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)


class TokenEndpoint:
    """`POST /oauth/token`, at a whole URL. timeout_s: for the whole of it."""

    def __init__(self, post: Post, *, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._post = post
        self._url = url
        self._timeout_s = timeout_s

    async def refresh(self, tokens: Tokens, proxy: str | None) -> Tokens:
        """The tokens that follow; the refresh token that was given is used up then. Raises RefreshError.

        A failure that is not final may have used it up as well, if the answer got lost on its way.
        """
        asked = {
            "client_id": CLIENT_ID,
            "grant_type": "refresh_token",
            "refresh_token": tokens.refresh_token,
            "scope": "openid profile email",
        }
        try:
            status, body = await self._answer(msgspec.json.encode(asked), proxy)
        except UpstreamError as error:
            raise RefreshError(error.code or "upstream_error") from error
        if status != 200:
            raise _refusal(status, body)
        return _renewed(body, tokens)

    async def _answer(self, asked: bytes, proxy: str | None) -> tuple[int, bytes]:
        """No `asyncio.timeout`: who was frozen finds the time over and the answer there, which must not be lost."""
        answer = asyncio.ensure_future(self._post(self._url, _HEADERS, asked, proxy))
        try:
            for limit_s in (self._timeout_s, self._timeout_s * _LATE):
                if (await asyncio.wait({answer}, timeout=limit_s))[0]:
                    return answer.result()
            raise RefreshError("upstream_timeout")
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)


def _renewed(body: bytes, old: Tokens) -> Tokens:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, RecursionError):
        answer = _Answer("")
    if not _fits_into_a_header(answer.access_token):
        raise RefreshError("bad_answer") from None
    return Tokens(
        answer.access_token,
        # Either may be left out, and then stays as it was.
        answer.refresh_token or old.refresh_token,
        answer.id_token or old.id_token,
    )


def _refusal(status: int, body: bytes) -> RefreshError:
    """Of the endpoint's words only the known codes are kept: others might repeat what was sent."""
    code = _code(body) if status in (400, 401) else None
    return RefreshError(code, is_final=True) if code in _FINAL else RefreshError(f"http_{status}")


def _code(body: bytes) -> str:
    """`{"error": {"code": …}}`, or flat as in RFC 6749: `{"error": …}`."""
    try:
        error: Any = msgspec.json.decode(body, type=dict[str, Any]).get("error")
    except (msgspec.DecodeError, RecursionError):
        return ""
    code = error.get("code") if isinstance(error, dict) else error
    return code if isinstance(code, str) else ""


def _fits_into_a_header(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token
