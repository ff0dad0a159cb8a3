from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lib.web.auth import Authenticator
from lib.web.billing import BillingApi
from lib.web.gate import Gate
from lib.web.paths import Table
from tests.fakes.serving import serving
from tests.web.scripted import KEY, PREFIX, ask

SUBSCRIPTION = "/v1/dashboard/billing/subscription"
USAGE = "/v1/dashboard/billing/usage"


@pytest.fixture(scope="module")
def billing() -> Iterator[tuple[str, int]]:
    api = BillingApi(Authenticator([KEY], [PREFIX]))
    with serving(Gate(Table(api.endpoints()), now=time.time), access_log=False) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


def test_the_balance_is_above_zero(billing: tuple[str, int]) -> None:
    for path in (SUBSCRIPTION, SUBSCRIPTION.removeprefix("/v1")):
        found = ask(billing, "GET", path).json()
        assert found["object"] == "billing_subscription"
        assert found["has_payment_method"] is True
        for limit in ("hard_limit_usd", "soft_limit_usd", "system_hard_limit_usd"):
            assert found[limit] > 0
        assert time.time() < found["access_until"] < 2**31


@pytest.mark.parametrize(
    "query", ["", "?start_date=2026-01-01&end_date=2026-02-01", "?start_date=%00%ff&end_date", "?" + "x" * 1000]
)
def test_nothing_was_used_whatever_days_are_asked_for(billing: tuple[str, int], query: str) -> None:
    for path in (USAGE, USAGE.removeprefix("/v1")):
        reply = ask(billing, "GET", path + query)
        assert reply.status == 200
        assert reply.json() == {"object": "list", "total_usage": 0.0, "daily_costs": []}


def test_a_key_is_needed_and_any_kind_will_do(billing: tuple[str, int]) -> None:
    for path in (SUBSCRIPTION, USAGE):
        assert ask(billing, "GET", path, {}).status == 401
        assert ask(billing, "GET", path, {"x-api-key": "wrong"}).status == 401
        assert ask(billing, "GET", path, {"authorization": f"Bearer {PREFIX}at-1"}).status == 200
        assert ask(billing, "POST", path).status == 405
