"""The billing endpoints of old dashboards, which some clients ask for before they show a balance.

The gateway keeps no account of anything, so the numbers are made up: a limit that is never reached, and nothing used.
"""

from __future__ import annotations

from lib.web.asgi import Receive, Scope, Send, send_json
from lib.web.auth import Authenticator
from lib.web.paths import Endpoint

LIMIT_USD = 1_000_000.0

ACCESS_UNTIL = 2_145_916_800
"""2038-01-01: some clients keep it in 32 bits."""


class BillingApi:
    """Balance and usage, the same for every caller with a key."""

    def __init__(self, auth: Authenticator) -> None:
        self._auth = auth

    def endpoints(self) -> list[Endpoint]:
        """The rows for the table."""
        rows = [
            Endpoint("/v1/dashboard/billing/subscription", {"GET": self.subscription}, "A balance, made up"),
            Endpoint("/v1/dashboard/billing/usage", {"GET": self.usage}, "What was used of it: always nothing"),
        ]
        return [self._auth.guarded(row, max_bytes=0) for row in rows]

    async def subscription(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/dashboard/billing/subscription"""
        answer = {
            "object": "billing_subscription",
            "has_payment_method": True,
            "soft_limit_usd": LIMIT_USD,
            "hard_limit_usd": LIMIT_USD,
            "system_hard_limit_usd": LIMIT_USD,
            "access_until": ACCESS_UNTIL,
        }
        await send_json(send, 200, answer)

    async def usage(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /v1/dashboard/billing/usage: in cents, for whatever days the query names."""
        await send_json(send, 200, {"object": "list", "total_usage": 0.0, "daily_costs": []})
