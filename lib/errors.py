"""Every failure that a caller can see, as one tree.

    GatewayError                what a reply needs: status, message, type, param, code, retry hints
    ├── InvalidRequest          400, the caller's request is at fault
    ├── AuthenticationError     401, no valid gateway key
    ├── NotAllowed              403, the key is good, and not for this
    ├── NotFound                404, no such path or model
    ├── PayloadTooLarge         413
    ├── PoolExhausted           429 / 503 / 401, no account may serve this request
    └── UpstreamError           the upstream refused, failed or broke off; `verdict` says what that means

    StoreError                  outside the tree: no caller ever sees it

Foreign exceptions (httpx, json, sockets) are mapped where they arise; nothing above that border sees them.
Messages are written for the caller and never hold a credential or a body of the upstream's HTML.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any


class GatewayError(Exception):
    """A failure in the shape of the OpenAI error object.

    status: HTTP status. type, param, code: as in OpenAI's error object.
    retry_after_s: seconds until another try makes sense, or None.
    should_retry: what the official SDKs are told in `x-should-retry`; None leaves it to them.
    """

    status = 500
    type = "server_error"
    code: str | None = None
    should_retry: bool | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        if status is not None:
            self.status = status
        if type is not None:
            self.type = type
        if code is not None:
            self.code = code
        if should_retry is not None:
            self.should_retry = should_retry

    def hide(self, secrets: Iterable[str]) -> None:
        """Take these out of the message: an upstream may repeat what it was sent."""
        for secret in secrets:
            if secret in self.message:
                self.message = self.message.replace(secret, "[removed]")
                self.args = (self.message,)

    def envelope(self) -> dict[str, Any]:
        """The JSON body: `{"error": {"message", "type", "param", "code"}}`."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequest(GatewayError):
    """The request is at fault; the message says what to change."""

    status = 400
    type = "invalid_request_error"
    should_retry = False


class AuthenticationError(GatewayError):
    """No valid gateway key and no passthrough token."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"
    should_retry = False


class NotAllowed(GatewayError):
    """The caller's key is good, and not for this."""

    status = 403
    type = "permission_error"
    code = "key_not_allowed"
    should_retry = False


class NotFound(GatewayError):
    """No such path or no such model."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"
    should_retry = False


class PayloadTooLarge(GatewayError):
    """A body beyond the limit of the gateway or of its platform."""

    status = 413
    type = "invalid_request_error"
    code = "payload_too_large"
    should_retry = False


class StoreError(Exception):
    """The shared store is down, slow or full. Never reaches a caller: the gateway goes on without it."""


class PoolExhausted(GatewayError):
    """No account may serve this request: none configured (503), all expired (401), all resting (429)."""

    status = 503
    type = "server_error"
    code = "no_account_configured"
    should_retry: bool | None = False


def refused_tokens(accounts: Iterable[str], code: str | None) -> AuthenticationError:
    """For a caller whose own key is good: the upstream takes none of these accounts' tokens. `accounts`: names of
    leases, of which the slots are told."""
    slots = ", ".join(name.partition("-")[0] for name in accounts)
    return AuthenticationError(f"The upstream refused the token or key ({slots}): {code}. Replace it.", code=code)


class Verdict(enum.Enum):
    """What an upstream failure means for the next attempt and for the account that met it."""

    REQUEST = "request"  # the request is at fault: no other attempt, no cooldown
    UNREACHABLE = "unreachable"  # no connection: once more on a fresh one, then another account; no cooldown
    SERVICE = "service"  # the upstream is in trouble: another account, no cooldown
    CHALLENGE = "challenge"  # a browser challenge at the edge: one other account, no cooldown
    FORBIDDEN = "forbidden"  # this account may not: another account, a short cooldown
    ACCOUNT = "account"  # the token is refused: another account, this one is out until its token changes
    LIMIT = "limit"  # used up: another account, a cooldown of `retry_after_s`
    REASONING = "reasoning"  # encrypted reasoning of another account: once more without it


_WORTH_A_RETRY = frozenset({Verdict.UNREACHABLE, Verdict.SERVICE, Verdict.CHALLENGE, Verdict.LIMIT})


class UpstreamError(GatewayError):
    """The upstream refused, failed or broke off. Unless told otherwise, the verdict says whether to try again."""

    status = 502
    type = "server_error"
    code = "upstream_error"

    def __init__(self, message: str, *, verdict: Verdict, **fields: Any) -> None:
        super().__init__(message, **{"should_retry": verdict in _WORTH_A_RETRY, **fields})
        self.verdict = verdict


def ended_early(has_begun: bool) -> UpstreamError:
    """For a stream that ended before its answer was whole, or before there was any of it."""
    if has_begun:
        message, code = "The upstream's stream ended before the answer was complete.", "upstream_truncated"
    else:
        message, code = "The upstream sent an empty answer.", "upstream_empty_response"
    return UpstreamError(message, verdict=Verdict.SERVICE, code=code, should_retry=True)
