"""Several instances, event loops and requests at once; stores that fail; what is cut in the middle."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from lib.accounts.renewal import PAUSE_S
from lib.accounts.rotated import RotatedTokens, key_of
from lib.errors import PoolExhausted
from lib.types import Lease, Outcome
from tests.accounts.renewals import DAY_S, Instance, asked, instance, login, run, token_of
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.plain_store import PlainStore


@pytest.fixture
def backend() -> Iterator[CodexBackend]:
    with CodexBackend() as found:
        yield found


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


def test_who_has_the_lock_just_after_another_instance_does_not_ask_again(backend: CodexBackend) -> None:
    class Racing(PlainStore):
        """Another instance is faster, from its first look to the end, just before this one takes the lock."""

        other: Instance | None = None

        async def swap(self, key: str, old: bytes | None, new: bytes, *, life_s: float) -> bool:
            other, self.other = self.other, None
            if other is not None:
                await other.lease()
            return await super().swap(key, old, new, life_s=life_s)

    async def scenario() -> None:
        store, config = Racing(), login(backend, ends_in_s=-5000)
        async with instance(backend, store, config) as one, instance(backend, store, config) as two:
            store.other = two
            assert token_of(await one.lease()) == token_of(await two.lease())
            assert asked(backend) == 1

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
