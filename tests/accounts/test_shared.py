from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from lib.accounts.account import Account
from lib.accounts.pool import AccountPool
from lib.accounts.shared import CONFIRMED_S, SharedPool
from lib.errors import StoreError, Verdict
from lib.keeping import Store
from lib.settings import AccountConfig
from lib.store.memory import MemoryStore
from lib.types import Window
from tests.accounts.test_account import CANARY, NOW
from tests.accounts.test_pool import SPARK, Clock, accounts, lease, report


class Counting(MemoryStore):
    """Counts, and lets another instance write between a read and a write."""

    def __init__(self) -> None:
        super().__init__(now=lambda: NOW)
        self.reads = self.writes = 0
        self.rivals: list[bytes] = []

    async def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        self.reads += 1
        return await super().get(list(keys))

    async def swap(self, key: str, old: bytes | None, new: bytes, *, life_s: float) -> bool:
        self.writes += 1
        if self.rivals:
            await super().put(key, self.rivals.pop(), life_s=60)
        return await super().swap(key, old, new, life_s=life_s)

    def values(self) -> str:
        return repr(self._values)


class Way:
    """One instance's way to the store. broken: the operations that fail; calls: all there were."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.durable = True
        self.broken: set[str] = set()
        self.calls: list[str] = []

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        self._call("get")
        return await self.store.get(keys)

    async def put(self, key: str, value: bytes, *, life_s: float) -> None:
        self._call("put")
        await self.store.put(key, value, life_s=life_s)

    async def swap(self, key: str, old: bytes | None, new: bytes, *, life_s: float) -> bool:
        self._call("swap")
        return await self.store.swap(key, old, new, life_s=life_s)

    async def delete(self, key: str, *, old: bytes | None = None) -> None:
        raise AssertionError

    async def aclose(self) -> None:
        """Nothing to close."""

    def _call(self, operation: str) -> None:
        self.calls.append(operation)
        if operation in self.broken:
            raise StoreError("down")


OUTAGE = {"get", "put", "swap"}


class Instances:
    """Several instances of one deployment."""

    def __init__(self, count: int = 2, *, members: list[Account] | None = None, scope: str = "codex") -> None:
        self.clock, self.store = Clock(), Counting()
        self.members = members or accounts(3)
        self.pools = [AccountPool(self.members, upstream="codex", now=self.clock) for _ in range(count)]
        self.shared = [SharedPool(pool, self.store, scope=scope, now=self.clock) for pool in self.pools]

    def tick(self) -> None:
        self.clock.now += 1


@pytest.mark.parametrize(
    ("verdict", "after_s"), [(Verdict.LIMIT, 60), (Verdict.FORBIDDEN, None), (Verdict.ACCOUNT, None)]
)
def test_what_one_instance_met_all_others_pass_over(verdict: Verdict, after_s: float | None) -> None:
    some = Instances(3)
    first = lease(some.shared[0])
    report(some.shared[0], first, verdict, after_s=after_s)
    chosen = {lease(shared).account for shared in some.shared}
    assert len(chosen) == 1
    assert first.account not in chosen
    assert CANARY not in some.store.values()


def answered(some: Instances, name: str) -> None:
    """The first instance tries a resting account, and it answers."""
    some.tick()
    others = [account.name for account in some.members if account.name != name]
    lease(some.shared[0])
    while (trial := lease(some.pools[0])).account != name:
        report(some.pools[0], trial, Verdict.LIMIT, after_s=1e6)
    some.tick()
    report(some.shared[0], trial)
    for other in others:
        assert not some.pools[1].standing(other).rests  # only the first instance knows of these


def test_an_account_that_woke_is_awake_for_all() -> None:
    some = Instances()
    first = lease(some.shared[0])
    report(some.shared[0], first, Verdict.LIMIT, after_s=600)
    assert lease(some.shared[1]).account != first.account
    answered(some, first.account)
    assert lease(some.shared[1]).account == first.account


def test_what_has_no_news_in_it_is_not_written() -> None:
    some = Instances()
    one = some.shared[0]
    first = lease(one)
    report(one, first)
    report(one, first, Verdict.SERVICE)
    report(one, first, Verdict.REQUEST)
    assert some.store.writes == 0
    for used in (11, 12, 13, 14.9):
        report(one, first, windows=[Window("codex", used, 300, NOW + 60)])
    assert some.store.writes == 1
    report(one, first, windows=[Window("codex", 15, 300, NOW + 60)])
    assert some.store.writes == 2
    for hint in (60, 60.4, 59):
        report(one, first, Verdict.LIMIT, after_s=hint)
    assert some.store.writes == 3
    report(one, first, Verdict.LIMIT, after_s=90)
    report(one, first, Verdict.LIMIT, after_s=90, model=SPARK)
    assert some.store.writes == 5


def test_usage_that_one_instance_saw_steers_all() -> None:
    some = Instances()
    first = lease(some.shared[0])
    report(some.shared[0], first, windows=[Window("codex", 96, 300, NOW + 60)])
    assert lease(some.shared[1]).account != first.account


def test_usage_that_one_instance_read_steers_all_and_proves_nothing_else() -> None:
    some = Instances()
    first = lease(some.shared[0])
    asyncio.run(some.shared[0].see(first.account, [Window("codex", 96, 300, NOW + 60)], NOW))
    assert lease(some.shared[1]).account != first.account
    report(some.shared[0], first, Verdict.LIMIT, after_s=60)
    some.tick()
    asyncio.run(some.shared[0].see(first.account, [Window("codex", 5, 300, NOW + 60)], some.clock.now))
    assert lease(some.shared[0]).account != first.account
    asyncio.run(some.shared[0].see("a9-gone", [Window("codex", 5, 300, NOW + 60)], some.clock.now))


def test_windows_that_have_not_moved_are_told_now_and_then() -> None:
    some = Instances()
    one, other = some.shared
    windows = [Window("codex", 50, 300, NOW + 10_000)]
    first = lease(one)
    report(one, first, windows=windows)
    some.clock.now += CONFIRMED_S - 1
    report(one, lease(one), windows=windows)
    assert some.store.writes == 1
    some.clock.now += 1
    report(one, lease(one), windows=windows)
    assert some.store.writes == 2
    lease(other)
    unseen = [account.name for account in some.pools[1].unseen(some.clock.now)]
    assert len(unseen) == 2 and first.account not in unseen


def test_a_single_account_is_not_asked_about() -> None:
    some = Instances(members=accounts(1))
    report(some.shared[0], lease(some.shared[0]), Verdict.LIMIT, after_s=60)
    lease(some.shared[1])
    assert some.store.reads == 0


def test_one_lease_is_one_read_and_what_did_not_change_is_not_read_twice() -> None:
    some = Instances()
    report(some.shared[0], lease(some.shared[0]), Verdict.LIMIT, after_s=60)
    reads = some.store.reads
    for _ in range(3):
        lease(some.shared[1])
    assert some.store.reads == reads + 3


def test_writes_at_the_same_time_are_joined() -> None:
    some = Instances()
    one, other = some.shared
    first = lease(one)
    report(other, first, Verdict.LIMIT, after_s=60, model=SPARK)
    (rival,) = asyncio.run(some.store.get(list(some.store._values))).values()
    some.store._values.clear()
    some.store.rivals = [rival]
    report(one, first, Verdict.LIMIT, after_s=60)
    third = SharedPool(
        pool := AccountPool(some.members, upstream="codex", now=some.clock), some.store, scope="codex", now=some.clock
    )
    assert lease(third).account != first.account
    assert lease(third, model=SPARK).account != first.account
    assert pool.counts() == (3, 2)


def test_whoever_loses_every_race_writes_all_the_same() -> None:
    some = Instances()
    first = lease(some.shared[0])
    some.store.rivals = [b"%d" % number for number in range(3)]
    report(some.shared[0], first, Verdict.LIMIT, after_s=60)
    assert lease(some.shared[1]).account != first.account


@pytest.mark.parametrize("rivals", [3, 20])
def test_whoever_loses_every_race_replaces_nobodys_news(rivals: int) -> None:
    some = Instances()
    first = lease(some.shared[0])
    report(some.shared[1], first, Verdict.LIMIT, after_s=60)
    (limited,) = asyncio.run(some.store.get(list(some.store._values))).values()
    some.store._values.clear()
    some.store.rivals = [limited, *(b"%d" % number for number in range(rivals - 1))]
    for used in (50, 60):  # what could not be told at once is told with the next report
        report(some.shared[0], first, windows=[Window("codex", used, 300, NOW + 60)])
        while some.store.rivals:
            report(some.shared[0], first)
        third = AccountPool(some.members, upstream="codex", now=some.clock)
        assert lease(SharedPool(third, some.store, scope="codex", now=some.clock)).account != first.account
        assert third.standing(first.account).windows[0].used_percent == used


def test_what_cannot_be_read_is_passed_over_and_written_anew() -> None:
    some = Instances()
    first = lease(some.shared[0])
    report(some.shared[0], first, Verdict.LIMIT, after_s=60)
    (key,) = some.store._values
    asyncio.run(some.store.put(key, b"garbage", life_s=60))
    assert lease(some.shared[1]).account == first.account
    report(some.shared[1], first, Verdict.LIMIT, after_s=60)
    assert lease(some.shared[0]).account != first.account


def test_a_new_token_of_a_refused_account_is_good() -> None:
    def login(name: str) -> Account:
        config = AccountConfig(f"at-{CANARY}{name}", account_id="acct", id_token=None)
        return Account.from_config(config, 1)

    old, new = login("old"), login("new")
    store = MemoryStore()
    for token, is_good in ((old, True), (old, False), (new, True)):
        member = Account(token.name, 1, token.token, b"one login")
        pool = AccountPool([member, accounts(2)[1]], upstream="codex", now=Clock())
        shared = SharedPool(pool, store, scope="codex", now=Clock())
        lease(shared)
        assert pool.status()[0].is_usable is is_good
        if is_good and token is old:
            leased = lease(pool, tried=[accounts(2)[1].name])
            report(shared, leased, Verdict.ACCOUNT)


def test_where_tokens_are_renewed_a_refusal_is_not_learned_but_told() -> None:
    some = Instances()
    pool = AccountPool(some.members, upstream="codex", now=some.clock)
    renewing = SharedPool(pool, some.store, scope="codex", now=some.clock, learns_refusals=False)
    first = lease(some.shared[0])
    report(some.shared[0], first, Verdict.ACCOUNT)
    assert lease(renewing).account == first.account
    report(renewing, first, Verdict.LIMIT, after_s=60)
    assert pool.counts() == (3, 2)
    assert pool.status()[some.members.index(next(a for a in some.members if a.name == first.account))].is_usable
    assert lease(some.shared[1]).account != first.account


def test_two_entries_of_one_login_share_its_limits() -> None:
    twins = [Account(f"a{slot}-x", slot, f"at-{CANARY}{slot}", b"one login") for slot in (1, 2)]
    some = Instances(members=[*twins, accounts(3)[2]])
    report(some.shared[0], lease(some.pools[0], tried=[accounts(3)[2].name]), Verdict.LIMIT, after_s=60)
    assert lease(some.shared[1]).account == accounts(3)[2].name
    assert some.pools[1].counts() == (3, 1)


def test_accounts_are_shared_only_within_their_scope() -> None:
    some = Instances()
    elsewhere = AccountPool(some.members, upstream="openai", now=some.clock)
    other = SharedPool(elsewhere, some.store, scope="openai https://elsewhere", now=some.clock)
    first = lease(some.shared[0])
    report(some.shared[0], first, Verdict.LIMIT, after_s=60)
    assert lease(other).account == first.account


def test_an_account_that_was_renewed_in_between_is_still_told_of() -> None:
    some = Instances()
    first = lease(some.shared[0])
    report(some.shared[0], first, Verdict.LIMIT, after_s=60)
    old = next(account for account in some.members if account.name == first.account)
    some.pools[1].put_in_place(old.name, Account("a9-new", old.slot, "at-new", b"another"))
    assert lease(some.shared[1]).account not in (first.account, "a9-new")


def test_a_clock_that_is_ahead_does_not_keep_the_last_word() -> None:
    some, ahead = Instances(), Clock()
    ahead.now += 100_000
    wrong = SharedPool(AccountPool(some.members, upstream="codex", now=ahead), some.store, scope="codex", now=ahead)
    first = lease(wrong)
    report(wrong, first, Verdict.LIMIT, after_s=60)
    assert lease(some.shared[1]).account != first.account
    answered(some, first.account)  # its word is taken for one of this moment
    answered(some, first.account)
    assert lease(some.shared[1]).account == first.account


def test_what_was_learned_during_an_outage_does_not_replace_what_others_learned_later() -> None:
    some = Instances()
    way = Way(some.store)
    cut_off = SharedPool(
        AccountPool(some.members, upstream="codex", now=some.clock), way, scope="codex", now=some.clock
    )
    first = lease(cut_off)
    report(some.shared[0], first, Verdict.FORBIDDEN)
    way.broken = OUTAGE
    report(cut_off, first, Verdict.LIMIT, after_s=60)
    report(cut_off, first, Verdict.LIMIT, after_s=6000, model=SPARK)
    some.tick()
    report(some.shared[0], first, Verdict.LIMIT, after_s=3600)
    assert lease(cut_off).account != first.account  # it knows that much by itself
    way.broken = set()
    some.clock.now += 600
    assert lease(cut_off).account != first.account
    some.clock.now += 1200
    assert lease(some.shared[1]).account != first.account
    assert lease(some.shared[1], model=SPARK).account != first.account
    some.clock.now += 3000
    assert lease(some.shared[1]).account == first.account
    assert lease(some.shared[1], model=SPARK).account != first.account


def test_what_could_not_be_told_is_told_with_any_later_report() -> None:
    some = Instances(members=accounts(1))
    way = Way(some.store)
    one = SharedPool(some.pools[0], way, scope="codex", now=some.clock)
    first = lease(one)
    way.broken = OUTAGE
    report(one, first, Verdict.LIMIT, after_s=60)
    way.broken = set()
    report(one, first, Verdict.SERVICE)
    assert some.store.writes == 1
    report(one, first, Verdict.SERVICE)
    assert some.store.writes == 1


def test_a_store_that_is_full_is_met_with_what_it_refuses() -> None:
    some = Instances()
    way = Way(some.store)
    one = SharedPool(some.pools[0], way, scope="codex", now=some.clock)
    first = lease(one)
    way.broken = {"put", "swap"}
    report(one, first, Verdict.LIMIT, after_s=60)
    way.calls.clear()
    assert lease(one).account != first.account
    assert way.calls == ["swap"]


def test_a_lease_of_another_pool_is_reported_without_harm() -> None:
    some, others = Instances(), Instances(members=[Account("a9-x", 9, "at-x", b"x")])
    report(some.shared[0], lease(others.pools[0]), Verdict.ACCOUNT)
    assert some.store.writes == 0
