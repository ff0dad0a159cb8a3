from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lib.accounts.account import Account
from lib.accounts.oauth import TokenEndpoint
from lib.accounts.pool import AccountPool
from lib.accounts.renewal import PAUSE_S, REFUSED_S, Renewal
from lib.accounts.renewing import EARLY_S, RenewingCredentials, is_renewable
from lib.accounts.rotated import RotatedTokens, key_of
from lib.errors import PoolExhausted, UpstreamError, Verdict
from lib.settings import AccountConfig
from lib.types import Credentials, Lease, Outcome, Window
from lib.upstreams.http import HttpClients, Timeouts
from tests.fakes import tokens
from tests.fakes.codex_backend import TOKEN, CodexBackend
from tests.fakes.codex_behaviours import Drop, Http, http_error
from tests.fakes.plain_store import PlainStore

DAY_S = 86_400.0
REFUSAL = Outcome(UpstreamError("x", verdict=Verdict.ACCOUNT, code="token_invalidated"))


@pytest.fixture
def backend() -> Iterator[CodexBackend]:
    with CodexBackend() as found:
        yield found


class Clock:
    """The real time, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@dataclass
class Instance:
    """One process of a deployment, as far as renewals go."""

    pool: AccountPool
    credentials: RenewingCredentials
    clock: Clock
    proxies: list[str | None] = field(default_factory=list)

    async def lease(self, tried: Collection[str] = ()) -> Lease:
        return await self.credentials.lease(affinity="talk", model="gpt-5.5", tried=tried)

    async def report(self, lease: Lease, outcome: Outcome = REFUSAL) -> None:
        await self.credentials.report(lease, outcome, "gpt-5.5")


@contextlib.asynccontextmanager
async def instance(
    backend: CodexBackend, store: PlainStore, *configs: AccountConfig, always: bool = False, clock: Clock | None = None
) -> AsyncIterator[Instance]:
    clients = HttpClients(timeouts=Timeouts(1, 1, 1))
    clock, proxies = clock or Clock(), []

    async def post(url: str, headers: Mapping[str, str], body: bytes, proxy: str | None) -> tuple[int, bytes]:
        proxies.append(proxy)
        answer = await clients.open("POST", url, headers=headers, content=body)
        return answer.status, await answer.read(100_000)

    async def short(pause_s: float) -> None:
        await asyncio.sleep(pause_s / 20)

    accounts = [Account.from_config(config, slot) for slot, config in enumerate(configs, 1)]
    pool = AccountPool(accounts, upstream="codex", now=clock)
    endpoint = TokenEndpoint(post, url=backend.url + TOKEN)
    renewal = Renewal(endpoint, RotatedTokens(store), pool.put_in_place, now=clock, always=always, sleep=short)
    pairs = zip(configs, accounts, strict=True)
    credentials = RenewingCredentials(pool, pairs, renewal, now=clock, draw=lambda: 0.5)
    try:
        yield Instance(pool, credentials, clock, proxies)
        await credentials.aclose()
    finally:
        await clients.aclose()


def login(
    backend: CodexBackend, *, ends_in_s: float = 10 * DAY_S, account: str = "acct-1", **more: Any
) -> AccountConfig:
    return AccountConfig(
        tokens.jwt(account, expires_in_s=ends_in_s, plan="free", jti="configured"),
        refresh_token=backend.authority.issue(account),
        **more,
    )


def asked(backend: CodexBackend) -> int:
    """How many requests the token endpoint has seen."""
    return sum(request.path == TOKEN for request in backend.requests)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def token_of(lease: Lease) -> str:
    return lease.headers["authorization"].removeprefix("Bearer ")


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


def test_many_requests_at_once_ask_once(backend: CodexBackend) -> None:
    async def scenario() -> None:
        async with instance(backend, PlainStore(), login(backend)) as one:
            leases = [await one.lease() for _ in range(20)]
            await asyncio.gather(*(one.report(lease) for lease in leases))
            after = await asyncio.gather(*(one.lease(tried=[lease.account]) for lease in leases))
            assert asked(backend) == 1
            assert len({token_of(lease) for lease in after}) == 1

    run(scenario())


def test_two_instances_race_and_one_asks(backend: CodexBackend) -> None:
    async def scenario() -> None:
        store, config = PlainStore(), login(backend, ends_in_s=-5000)
        async with instance(backend, store, config) as one, instance(backend, store, config) as two:
            leases = await asyncio.gather(one.lease(), two.lease(), one.lease(), two.lease())
            assert asked(backend) == 1
            assert len({token_of(lease) for lease in leases}) == 1
            for each, lease in ((one, leases[0]), (two, leases[1])):
                await each.report(lease, Outcome())  # good: what follows is no renewal in vain
            backend.authority.expires_in_s = int(30 * DAY_S)
            one.clock.ahead_s = two.clock.ahead_s = 11 * DAY_S
            again = await asyncio.gather(two.lease(), one.lease())
            assert asked(backend) == 2
            assert len({token_of(lease) for lease in again}) == 1

    run(scenario())


def test_two_event_loops_in_threads_race_and_one_asks(backend: CodexBackend) -> None:
    store, config, found = PlainStore(), login(backend, ends_in_s=-5000), []
    start = threading.Barrier(2)

    async def scenario() -> None:
        async with instance(backend, store, config) as one:
            start.wait()
            found.append(token_of(await one.lease()))

    threads = [threading.Thread(target=run, args=(scenario(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 2
    assert (asked(backend), len(set(found))) == (1, 1)


def test_a_later_instance_goes_on_with_the_kept_tokens(backend: CodexBackend) -> None:
    async def scenario() -> None:
        store, config = PlainStore(), login(backend, ends_in_s=-5000)
        async with instance(backend, store, config) as one:
            renewed = await one.lease()
        async with instance(backend, store, config) as two:
            assert token_of(await two.lease()) == token_of(renewed)
        assert asked(backend) == 1

    run(scenario())


def test_tokens_are_kept_before_they_are_used(backend: CodexBackend) -> None:
    async def scenario() -> None:
        store = PlainStore()
        async with instance(backend, store, login(backend, ends_in_s=-5000)) as one:
            lease = await one.lease()
        values = b"".join(value for value, _ in store.values.values())
        assert token_of(lease).encode() in values
        assert [call for call in store.calls if call != "get"] == ["swap", "put", "delete"]

    run(scenario())


def test_a_used_refresh_token_is_looked_up_before_the_account_is_given_up(backend: CodexBackend) -> None:
    """Another instance, whose lock ran out, is about to keep what it got."""

    async def scenario() -> None:
        ours, others, config = PlainStore(), PlainStore(), login(backend, ends_in_s=-5000)
        async with instance(backend, others, config) as two, instance(backend, ours, config) as one:
            renewed = await two.lease()
            waiting = asyncio.create_task(one.lease())
            while asked(backend) < 2:
                await asyncio.sleep(0.001)
            ours.values |= others.values
            assert token_of(await waiting) == token_of(renewed)

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


@pytest.mark.parametrize("method", ["get", "swap"])
def test_without_the_lock_no_refresh_token_is_used(backend: CodexBackend, method: str) -> None:
    async def scenario() -> None:
        store, config = PlainStore(), login(backend, ends_in_s=60)
        store.fails = {method}
        async with instance(backend, store, config) as one:
            lease = await one.lease()
            await one.report(lease, Outcome())
            assert (token_of(lease), asked(backend)) == (config.access_token, 0)
            store.fails.clear()
            one.clock.ahead_s = PAUSE_S + 1
            await one.report(await one.lease(), Outcome())
            assert asked(backend) == 1

    run(scenario())


def test_what_could_not_be_kept_is_used_and_kept_later(backend: CodexBackend, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        store, config = PlainStore(), login(backend, ends_in_s=-5000)
        store.fails = {"put"}
        async with instance(backend, store, config) as one:
            lease = await one.lease()
            assert store.values == {}
            store.fails.clear()
            one.clock.ahead_s = PAUSE_S + 1
            await one.report(await one.lease(), Outcome())
        async with instance(backend, store, config) as two:
            assert token_of(await two.lease()) == token_of(lease)
        assert asked(backend) == 1

    run(scenario())
    assert "token.not_kept" in caplog.messages


def test_a_lock_that_nobody_gives_back_ends_the_wait(backend: CodexBackend, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        store, config = PlainStore(), login(backend, ends_in_s=-5000)
        assert config.refresh_token is not None
        async with instance(backend, store, config) as one:
            await RotatedTokens(store).lock(key_of(config.refresh_token))
            with pytest.raises(PoolExhausted, match="could not be renewed"):
                await one.lease()
            assert asked(backend) == 0

    run(scenario())
    assert caplog.records[-1].__dict__["fields"]["reason"] == "locked"


def test_while_another_instance_renews_a_good_token_is_used_at_once(backend: CodexBackend) -> None:
    async def scenario() -> None:
        store, config = PlainStore(), login(backend, ends_in_s=60)
        assert config.refresh_token is not None
        await RotatedTokens(store).lock(key_of(config.refresh_token))
        async with instance(backend, store, config) as one:
            lease = await one.lease()
            await one.report(lease, Outcome())
            assert (token_of(lease), asked(backend)) == (config.access_token, 0)
            assert store.calls.count("swap") == 2  # the test's own, and one look

    run(scenario())


def test_a_renewal_goes_on_when_its_request_leaves(backend: CodexBackend) -> None:
    async def scenario() -> None:
        async with instance(backend, PlainStore(), login(backend, ends_in_s=-5000)) as one:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(one.lease(), 0.0001)
            await one.lease()
            assert asked(backend) == 1

    run(scenario())


def test_a_loop_that_died_in_the_middle_does_not_block_the_next_one(backend: CodexBackend) -> None:
    store, config = PlainStore(), login(backend, ends_in_s=-5000)
    pool: list[Instance] = []

    async def first() -> None:
        async with instance(backend, store, config) as one:
            pool.append(one)
            raise KeyError

    async def cut(found: Callable[[], Coroutine[Any, Any, Lease]]) -> None:
        asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)  # type: ignore[union-attr]
        await found()

    with pytest.raises(KeyError):
        asyncio.run(first())
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cut(pool[0].lease))

    async def second() -> None:
        await pool[0].lease()

    store.values = {key: value for key, value in store.values.items() if not key.startswith("lock:")}
    asyncio.run(second())
    assert asked(backend) == 1


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
