"""Readings of usage beside the requests: of whom, how often, and that nothing follows from one that fails."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence

import pytest

from lib.accounts.measuring import MAX_READINGS, PAUSE_S, MeasuringCredentials
from lib.errors import PoolExhausted, UpstreamError, Verdict
from lib.types import Credentials, Lease, Outcome, Window
from tests.accounts.test_account import CANARY, NOW
from tests.accounts.test_pool import Clock, pool_of

MAX_AGE_S = 900.0
Answer = Callable[[Lease], Awaitable[Sequence[Window]]]


def used(percent: float) -> Window:
    return Window("codex", percent, 300, NOW + 10_000)


class Measured:
    """A pool whose accounts answer readings as `answer` does (by default: a tenth is used)."""

    def __init__(self, count: int = 3, answer: Answer | None = None, *, limit_s: float = 1.0) -> None:
        self.clock = Clock()
        self.pool = pool_of(count, self.clock)
        self.asked: list[str] = []
        self.answer = answer
        self.credentials = MeasuringCredentials(
            self.pool,
            self.pool,
            self._read,
            self.pool.see,
            now=self.clock,
            max_age_s=MAX_AGE_S,
            limit_s=limit_s,
            head_start_s=0,
        )

    @property
    def slots(self) -> list[str]:
        return sorted(name.partition("-")[0] for name in self.asked)

    async def lease(self, talk: str = "talk", tried: Sequence[str] = ()) -> Lease:
        return await self.credentials.lease(affinity=talk, model=None, tried=tried)

    async def settled(self) -> None:
        """Returns when no reading is under way."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def leased(self) -> Lease:
        lease = await self.lease()
        await self.settled()
        return lease

    async def _read(self, lease: Lease) -> Sequence[Window]:
        self.asked.append(lease.account)
        return [used(10)] if self.answer is None else await self.answer(lease)


def failing(error: UpstreamError) -> Answer:
    async def answer(lease: Lease) -> Sequence[Window]:
        raise error

    return answer


async def never(lease: Lease) -> Sequence[Window]:
    await asyncio.Event().wait()
    raise AssertionError


def test_every_account_is_read_beside_the_first_request_and_steers_the_next() -> None:
    first: list[str] = []

    async def answer(lease: Lease) -> Sequence[Window]:
        return [used(99 if lease.account in first else 5)]

    async def scenario() -> None:
        one = Measured(2, answer)
        found: Credentials = one.credentials
        first.append((await found.lease(affinity="talk", model=None, tried=())).account)
        assert one.asked == []  # the lease does not wait
        await one.settled()
        assert one.slots == ["a1", "a2"]
        assert (await one.leased()).account not in first
        assert len(one.asked) == 2

    asyncio.run(scenario())


def test_a_reading_has_the_accounts_credentials_and_lets_its_request_go_first() -> None:
    leases: list[Lease] = []

    async def answer(lease: Lease) -> Sequence[Window]:
        leases.append(lease)
        return []

    async def scenario() -> None:
        await Measured(2, answer).leased()
        slow = Measured(2)
        slow.credentials._head_start_s = 0.02
        await slow.leased()
        assert slow.asked == []
        await asyncio.sleep(0.03)
        assert len(slow.asked) == 2

    asyncio.run(scenario())
    assert {lease.headers["authorization"] for lease in leases} == {f"Bearer at-{CANARY}{slot}" for slot in (1, 2)}
    assert {lease.upstream for lease in leases} == {"codex"}


def test_an_account_is_read_again_when_what_is_known_has_aged_whoever_told_it() -> None:
    async def scenario() -> None:
        one = Measured(2)
        await one.leased()
        one.clock.now += MAX_AGE_S - 1
        lease = await one.leased()
        await one.credentials.report(lease, Outcome(windows=[used(12)]), None)
        assert len(one.asked) == 2
        one.clock.now += 2
        await one.leased()
        assert len(one.asked) == 3 and one.asked[-1] != lease.account  # of the other one an answer has told
        one.clock.now += MAX_AGE_S - 1
        await one.leased()
        assert one.asked[3:] == [lease.account]

    asyncio.run(scenario())


def test_an_account_without_windows_is_asked_no_more_often() -> None:
    async def nothing(lease: Lease) -> Sequence[Window]:
        return []

    async def scenario() -> None:
        one = Measured(2, nothing)
        for _ in range(3):
            await one.leased()
            one.clock.now += MAX_AGE_S / 2
        assert len(one.asked) == 4

    asyncio.run(scenario())


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_reading_that_fails_changes_nothing_and_is_told_in_one_line(
    verdict: Verdict, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "chat2api.accounts")

    async def scenario() -> None:
        one = Measured(2, failing(UpstreamError(CANARY, verdict=verdict, code="made_up")))
        before = one.pool.status()
        for _ in range(3):
            await one.leased()
        assert (len(one.asked), one.pool.status()) == (2, before)
        one.clock.now += PAUSE_S
        await one.leased()
        assert len(one.asked) == 4

    asyncio.run(scenario())
    assert [record.message for record in caplog.records] == ["usage.unread"] * 4
    assert {record.__dict__["fields"]["reason"] for record in caplog.records} == {"made_up"}
    assert CANARY not in caplog.text


def test_asking_too_often_puts_readings_off_for_as_long_as_the_upstream_says() -> None:
    async def scenario() -> None:
        one = Measured(2, failing(UpstreamError("slowly", verdict=Verdict.LIMIT, retry_after_s=4 * PAUSE_S)))
        await one.leased()
        one.clock.now += 3 * PAUSE_S
        await one.leased()
        assert (len(one.asked), one.pool.counts()) == (2, (2, 2))
        one.clock.now += PAUSE_S
        await one.leased()
        assert len(one.asked) == 4

    asyncio.run(scenario())


def test_a_slow_reading_is_given_up_and_never_doubled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chat2api.accounts")

    async def scenario() -> None:
        one = Measured(2, never, limit_s=0.02)
        for _ in range(5):
            await one.leased()
        assert len(one.asked) == 2
        await asyncio.sleep(0.04)
        assert one.credentials._tasks == set()

    asyncio.run(scenario())
    assert {record.__dict__["fields"]["reason"] for record in caplog.records} == {"upstream_timeout"}


def test_only_a_few_are_read_at_the_same_time() -> None:
    async def scenario() -> None:
        one = Measured(MAX_READINGS + 2, never)
        for _ in range(3):
            await one.leased()
        assert len(one.asked) == MAX_READINGS
        await one.credentials.aclose()
        await one.leased()
        assert len(set(one.asked)) == MAX_READINGS + 2
        await one.credentials.aclose()

    asyncio.run(scenario())


def test_of_many_accounts_every_one_has_its_turn() -> None:
    async def scenario() -> None:
        one = Measured(5 * MAX_READINGS)
        for _ in range(5):
            await one.leased()
            one.clock.now += MAX_AGE_S / 2  # those that were read first are due again before the last ones were read
        assert len(set(one.asked)) == 5 * MAX_READINGS

    asyncio.run(scenario())


def test_accounts_that_are_of_no_use_are_not_asked() -> None:
    async def scenario() -> None:
        one = Measured(3)
        refused = await one.pool.lease(affinity="talk", model=None, tried=())
        await one.pool.report(refused, Outcome(UpstreamError("no", verdict=Verdict.ACCOUNT)), None)
        await one.leased()
        assert len(one.asked) == 2 and refused.account not in one.asked

    asyncio.run(scenario())


def test_without_a_lease_nobody_is_asked() -> None:
    async def scenario() -> None:
        one = Measured(0)
        with pytest.raises(PoolExhausted):
            await one.lease()
        await one.credentials.aclose()

    asyncio.run(scenario())


def test_closing_gives_up_what_is_under_way() -> None:
    async def scenario() -> None:
        one = Measured(2, never)
        await one.leased()
        assert len(asyncio.all_tasks()) == 3
        async with asyncio.timeout(0.5):
            await one.credentials.aclose()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


def test_a_loop_that_stands_still_goes_on_with_its_readings() -> None:
    """As between the invocations of a function."""
    gate = asyncio.Event()

    async def late(lease: Lease) -> Sequence[Window]:
        await gate.wait()
        return [used(95)]

    async def resumed() -> None:
        gate.set()
        await one.settled()

    one = Measured(2, late)
    with asyncio.Runner() as runner:
        runner.run(one.leased())
        assert [status.windows for status in one.pool.status()] == [(), ()]
        runner.run(resumed())
    assert [status.windows for status in one.pool.status()] == [(used(95),), (used(95),)]


@pytest.mark.parametrize("orderly", [True, False], ids=["cancelled", "closed"])
def test_a_loop_for_each_request_leaves_nothing_behind(orderly: bool, caplog: pytest.LogCaptureFixture) -> None:
    one = Measured(2, never)
    for number in range(1, 4):
        if orderly:
            asyncio.run(one.leased())
        else:
            loop = asyncio.new_event_loop()
            loop.run_until_complete(one.leased())
            loop.close()
        gc.collect()
        one.clock.now += PAUSE_S
        assert len(one.asked) == 2 * number
    assert caplog.text == ""
    asyncio.run(one.credentials.aclose())
    for task in one.credentials._tasks:  # as nothing in production does: the test itself ends
        task._log_destroy_pending = False  # type: ignore[attr-defined]
