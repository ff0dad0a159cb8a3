from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lib.accounts.renewal import PAUSE_S, REFUSED_S
from lib.accounts.renewing import EARLY_S, is_renewable
from lib.errors import PoolExhausted, UpstreamError, Verdict
from lib.settings import AccountConfig
from lib.types import Credentials, Outcome, Window
from tests.accounts.renewals import REFUSAL, asked, instance, login, run, token_of
from tests.fakes import tokens
from tests.fakes.codex_backend import TOKEN, CodexBackend
from tests.fakes.codex_behaviours import Drop, Http, http_error
from tests.fakes.plain_store import PlainStore


@pytest.fixture
def backend() -> Iterator[CodexBackend]:
    with CodexBackend() as found:
        yield found


def test_it_is_credentials(backend: CodexBackend) -> None:
    async def scenario() -> None:
        async with instance(backend, PlainStore(), login(backend)) as one:
            found: Credentials = one.credentials
            await found.lease(affinity="", model=None, tried=())

    run(scenario())


def test_a_token_that_is_good_for_long_is_left_alone(backend: CodexBackend) -> None:
    async def scenario() -> None:
        store = PlainStore()
        async with instance(backend, store, login(backend)) as one:
            for _ in range(3):
                await one.report(await one.lease(), Outcome())
        assert (asked(backend), store.calls) == (0, ["get"])

    run(scenario())


@pytest.mark.parametrize(("left_s", "renewed"), [(EARLY_S * 1.5 - 5, True), (EARLY_S * 1.5 + 60, False)])
def test_a_token_is_renewed_before_its_end_and_beside_the_request(
    backend: CodexBackend, left_s: float, renewed: bool
) -> None:
    async def scenario() -> None:
        config = login(backend, ends_in_s=left_s)
        async with instance(backend, PlainStore(), config) as one:
            lease = await one.lease()
            assert token_of(lease) == config.access_token
            await one.report(lease, Outcome())
            assert asked(backend) == renewed
            assert (token_of(await one.lease()) != config.access_token) is renewed

    run(scenario())


def test_an_expired_token_is_renewed_before_it_is_leased(backend: CodexBackend) -> None:
    async def scenario() -> None:
        store = PlainStore()
        for ended_s in (60, 5000):
            async with instance(backend, store, login(backend, ends_in_s=-ended_s, proxy="http://p:1")) as one:
                claims = tokens.claims(token_of(await one.lease()))
                assert claims is not None
                assert claims["jti"].startswith("access-")
                assert one.proxies == ["http://p:1"]
                assert store.locks() == []

    run(scenario())


def test_a_refused_token_is_renewed_for_the_same_request(backend: CodexBackend) -> None:
    async def scenario() -> None:
        async with instance(backend, PlainStore(), login(backend)) as one:
            first = await one.lease()
            await one.report(first)
            second = await one.lease(tried=[first.account])
            assert token_of(first) != token_of(second)
            assert first.account != second.account
            assert second.headers["chatgpt-account-id"] == "acct-1"

    run(scenario())


def test_the_claims_are_read_anew_and_the_limits_stay(backend: CodexBackend) -> None:
    async def scenario() -> None:
        config = login(backend, account_id="acct-1")
        async with instance(backend, PlainStore(), config) as one:
            lease = await one.lease()
            [before] = one.pool.status()
            window = Window("codex", 40, 300, None)
            await one.report(lease, Outcome(REFUSAL.error, (window,)))
            [after] = one.pool.status()
        assert (before.plan, after.plan, after.is_usable, after.windows) == ("free", "plus", True, (window,))
        assert after.expires_at is not None
        assert before.expires_at is not None
        assert after.expires_at >= before.expires_at - 1

    run(scenario())


@pytest.mark.parametrize("code", ["refresh_token_expired", "refresh_token_invalidated"])
def test_a_dead_refresh_token_is_tried_once_by_all_instances(
    backend: CodexBackend, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        store, config = PlainStore(), login(backend, ends_in_s=-5000)
        assert config.refresh_token is not None
        backend.authority.kill(config.refresh_token, code)
        async with instance(backend, store, config) as one, instance(backend, store, config) as two:
            for each in (one, two, one):
                with pytest.raises(PoolExhausted) as caught:
                    await each.lease()
                assert (caught.value.status, caught.value.code) == (401, "token_expired")
            assert asked(backend) == 1
            one.clock.ahead_s = REFUSED_S + 1
            with pytest.raises(PoolExhausted):
                await one.lease()
            assert asked(backend) == 2

    run(scenario())
    assert [record.__dict__["fields"]["reason"] for record in caplog.records][:1] == [code]
    assert "rt.1" not in caplog.text


def test_an_account_whose_refresh_token_is_dead_serves_until_its_token_ends(backend: CodexBackend) -> None:
    async def scenario() -> None:
        config = login(backend, ends_in_s=60)
        assert config.refresh_token is not None
        backend.authority.kill(config.refresh_token)
        async with instance(backend, PlainStore(), config) as one:
            for _ in range(3):
                lease = await one.lease()
                await one.report(lease, Outcome())
                assert token_of(lease) == config.access_token

    run(scenario())


@pytest.mark.parametrize("fault", [http_error(503, {}), http_error(403, {}), Drop(), Http(200, b"<html>", {})])
def test_a_token_endpoint_in_trouble_is_left_alone_for_a_while(backend: CodexBackend, fault: Any) -> None:
    async def scenario() -> None:
        backend.script(fault, fault, path=TOKEN)
        async with instance(backend, PlainStore(), login(backend, ends_in_s=-60)) as one:
            await one.lease()  # within the tolerance for clocks the old token is worth a try
            for _ in range(3):
                await one.lease()
            assert asked(backend) == 1
            for ahead_s, count in ((PAUSE_S, 2), (PAUSE_S + 100, 2), (3 * PAUSE_S + 1, 3)):
                one.clock.ahead_s = ahead_s + 0.5
                await one.lease()
                await one.credentials.aclose()
                assert asked(backend) == count
            claims = tokens.claims(token_of(await one.lease()))
            assert claims is not None
            assert claims["jti"].startswith("access-")

    run(scenario())


def test_callers_are_told_that_a_renewal_is_still_to_come(backend: CodexBackend) -> None:
    async def scenario() -> None:
        backend.script(http_error(503, {}), path=TOKEN)
        async with instance(backend, PlainStore(), login(backend, ends_in_s=-5000)) as one:
            for _ in range(2):
                with pytest.raises(PoolExhausted) as caught:
                    await one.lease()
            error = caught.value
            assert (error.status, error.code, error.should_retry) == (503, "token_renewal_failed", True)
            assert error.retry_after_s == pytest.approx(PAUSE_S, abs=2)

    run(scenario())


def test_a_new_token_that_is_refused_at_once_is_not_renewed_again(backend: CodexBackend) -> None:
    async def scenario() -> None:
        async with instance(backend, PlainStore(), login(backend)) as one:
            tried: list[str] = []
            for _ in range(2):
                lease = await one.lease(tried)
                tried.append(lease.account)
                await one.report(lease)
            with pytest.raises(PoolExhausted):
                await one.lease(tried)
            assert asked(backend) == 1

    run(scenario())


def test_a_late_refusal_of_the_old_token_does_no_harm(backend: CodexBackend) -> None:
    async def scenario() -> None:
        async with instance(backend, PlainStore(), login(backend)) as one:
            old = await one.lease()
            await one.report(old)
            await one.report(old)
            assert asked(backend) == 1
            assert (await one.lease()).account != old.account

    run(scenario())


def test_a_limit_that_the_old_token_met_counts_for_the_new_one(backend: CodexBackend) -> None:
    async def scenario() -> None:
        async with instance(backend, PlainStore(), login(backend)) as one:
            old = await one.lease()
            await one.report(old)
            await one.report(old, Outcome(UpstreamError("x", verdict=Verdict.LIMIT, retry_after_s=600)))
            assert one.pool.counts() == (1, 0)

    run(scenario())


@pytest.mark.parametrize("code", ["account_deactivated", "account_suspended", "account_deleted"])
def test_an_account_that_is_gone_is_not_renewed(backend: CodexBackend, code: str) -> None:
    async def scenario() -> None:
        async with instance(backend, PlainStore(), login(backend)) as one:
            await one.report(await one.lease(), Outcome(UpstreamError("x", verdict=Verdict.ACCOUNT, code=code)))
            with pytest.raises(PoolExhausted):
                await one.lease()
            assert asked(backend) == 0

    run(scenario())


def test_without_a_durable_store_nothing_is_renewed_unless_asked_for(backend: CodexBackend) -> None:
    async def scenario() -> None:
        store = PlainStore(durable=False)
        config = login(backend, ends_in_s=-5000)
        async with instance(backend, store, config) as one:
            with pytest.raises(PoolExhausted, match="expired"):
                await one.lease()
            assert asked(backend) == 0
        async with instance(backend, store, config, always=True) as two:
            await two.lease()
            assert asked(backend) == 1

    run(scenario())


def test_accounts_without_a_refresh_token_are_left_alone(backend: CodexBackend) -> None:
    async def scenario() -> None:
        store = PlainStore()
        async with instance(backend, store, AccountConfig(tokens.jwt("acct-1"))) as one:
            lease = await one.lease()
            await one.report(lease)
            with pytest.raises(PoolExhausted) as caught:
                await one.lease()
            assert (caught.value.code, asked(backend)) == ("invalid_account_token", 0)

    run(scenario())


def test_personal_access_tokens_are_not_renewable() -> None:
    assert is_renewable(AccountConfig("ey.x.y", refresh_token="rt"))
    assert not is_renewable(AccountConfig("ey.x.y"))
    assert not is_renewable(AccountConfig("at-x", refresh_token="rt"))
