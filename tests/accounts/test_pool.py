from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from lib.accounts.account import Account
from lib.accounts.member import LONGEST_COOLDOWN_S
from lib.accounts.pool import DEFAULT_COOLDOWN_S, AccountPool
from lib.accounts.usage import family_of_model
from lib.errors import PoolExhausted, UpstreamError, Verdict
from lib.settings import AccountConfig
from lib.types import Credentials, Lease, Outcome, Window
from tests.accounts.test_account import CANARY, NOW, jwt

SPARK = "gpt-5.3-codex-spark"


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def accounts(count: int, *, expired: Iterable[int] = ()) -> list[Account]:
    """Accounts a1, a2, … of which some have expired."""
    return [
        Account.from_config(
            AccountConfig(
                jwt({"exp": int(NOW) - 1000}, f"{CANARY}{slot}") if slot in expired else f"at-{CANARY}{slot}"
            ),
            slot,
        )
        for slot in range(1, count + 1)
    ]


def pool_of(count: int, clock: Callable[[], float], *, expired: Iterable[int] = (), draw: float = 0.5) -> AccountPool:
    return AccountPool(accounts(count, expired=expired), upstream="codex", now=clock, draw=lambda: draw)


def lease(pool: Credentials, affinity: str = "talk", model: str | None = "gpt-5.5", tried: Iterable[str] = ()) -> Lease:
    return asyncio.run(pool.lease(affinity=affinity, model=model, tried=list(tried)))


def exhausted(pool: Credentials, tried: Iterable[str] = (), model: str | None = None) -> PoolExhausted:
    with pytest.raises(PoolExhausted) as caught:
        lease(pool, tried=tried, model=model)
    assert CANARY not in str(caught.value.envelope())
    return caught.value


def report(
    pool: Credentials,
    lease: Lease,
    verdict: Verdict | None = None,
    *,
    after_s: float | None = None,
    model: str | None = "gpt-5.5",
    windows: Iterable[Window] = (),
) -> None:
    error = None
    if verdict is not None:
        error = UpstreamError("no", verdict=verdict, code=f"met_{verdict.value}", retry_after_s=after_s)
    asyncio.run(pool.report(lease, Outcome(error, list(windows)), model))


def wait_s(pool: AccountPool, slot: int = 1) -> float:
    until = pool.status()[slot - 1].resting_until
    return 0.0 if until is None else until - NOW


# --- choosing ---------------------------------------------------------------------------------------------------------


def test_a_lease_bears_the_accounts_headers_and_proxy() -> None:
    account = Account.from_config(AccountConfig("at-1", account_id="acct", proxy="http://proxy:1"), 1)
    got = lease(AccountPool([account], upstream="codex", now=Clock()))
    assert (got.account, got.upstream, got.proxy) == (account.name, "codex", "http://proxy:1")
    assert got.headers == {"authorization": "Bearer at-1", "chatgpt-account-id": "acct"}
    assert "at-1" not in repr(got)


def test_a_conversation_meets_the_same_account_on_every_instance_whatever_the_order() -> None:
    clock, four = Clock(), accounts(4)
    for order in itertools.permutations(four):
        instance = AccountPool(order, upstream="codex", now=clock, draw=random.random)
        for talk in ("one", "two", "drei \u00fc", "\ud800"):
            ranking: list[str] = []
            for _ in four:
                ranking.append(lease(instance, talk, tried=ranking).account)
            assert ranking == _ranking(four, talk)


def _ranking(members: list[Account], talk: str) -> list[str]:
    instance = AccountPool(members, upstream="codex", now=Clock())
    ranking: list[str] = []
    for _ in members:
        ranking.append(lease(instance, talk, tried=ranking).account)
    return ranking


def test_the_ranking_does_not_follow_the_slots() -> None:
    def chosen(tokens: list[str]) -> list[str]:
        members = [Account.from_config(AccountConfig(token), slot) for slot, token in enumerate(tokens, 1)]
        pool = AccountPool(members, upstream="codex", now=Clock())
        return [lease(pool, talk).headers["authorization"] for talk in map(str, range(20))]

    assert chosen(["at-a", "at-b", "at-c"]) == chosen(["at-c", "at-a", "at-b"])


def test_conversations_spread_evenly_and_a_lost_account_moves_only_its_own() -> None:
    pool, smaller = pool_of(4, Clock()), AccountPool(accounts(4)[:3], upstream="codex", now=Clock())
    before = {talk: lease(pool, talk).account for talk in map(str, range(400))}
    shares = Counter(before.values())
    assert len(shares) == 4
    assert min(shares.values()) > 60
    kept = {account.name for account in accounts(4)[:3]}
    assert all(lease(smaller, talk).account == name for talk, name in before.items() if name in kept)


def test_requests_without_a_conversation_are_spread_by_chance() -> None:
    pool = AccountPool(accounts(3), upstream="codex", now=Clock(), draw=random.Random(7).random)
    assert len({lease(pool, "").account for _ in range(40)}) == 3


def test_tried_accounts_are_not_leased_again_and_then_none_is_left() -> None:
    pool = pool_of(2, Clock())
    first = lease(pool)
    second = lease(pool, tried=[first.account])
    assert second.account != first.account
    error = exhausted(pool, tried=[first.account, second.account])
    assert (error.status, error.code) == (503, "no_account_left")


# --- resting ----------------------------------------------------------------------------------------------------------


def test_a_limited_account_rests_for_as_long_as_the_upstream_says() -> None:
    clock = Clock()
    pool = pool_of(2, clock)
    first = lease(pool)
    report(pool, first, Verdict.LIMIT, after_s=60)
    assert lease(pool).account != first.account
    clock.now += 59
    assert lease(pool).account != first.account
    clock.now += 1
    assert lease(pool).account == first.account


@pytest.mark.parametrize(
    ("hint", "rest"),
    [(0, 0), (-5, 0), (math.inf, LONGEST_COOLDOWN_S), (1e12, LONGEST_COOLDOWN_S), (math.nan, 30), (1.5, 1.5)],
)
def test_a_cooldown_is_clamped_to_a_week(hint: float, rest: float) -> None:
    pool = pool_of(1, Clock())
    report(pool, lease(pool), Verdict.LIMIT, after_s=hint)
    assert wait_s(pool) == rest


@pytest.mark.parametrize(("draw", "rest"), [(0.0, 24.0), (0.5, 30.0), (1.0, 36.0)])
def test_without_a_hint_the_cooldown_is_short_and_jittered(draw: float, rest: float) -> None:
    pool = pool_of(1, Clock(), draw=draw)
    report(pool, lease(pool), Verdict.LIMIT)
    assert wait_s(pool) == pytest.approx(rest)


def test_many_reports_at_once_do_not_add_up() -> None:
    pool = pool_of(1, Clock())
    got = lease(pool)
    for _ in range(50):
        report(pool, got, Verdict.LIMIT)
    assert wait_s(pool) == DEFAULT_COOLDOWN_S


def test_a_later_shorter_hint_does_not_cut_a_rest_short_but_a_success_ends_it() -> None:
    pool = pool_of(1, Clock())
    got = lease(pool)
    report(pool, got, Verdict.LIMIT, after_s=600)
    report(pool, got, Verdict.LIMIT, after_s=5)
    assert wait_s(pool) == 600
    report(pool, got)
    assert wait_s(pool) == 0


@pytest.mark.parametrize(
    ("verdict", "rest"),
    [
        (Verdict.FORBIDDEN, 300),
        (Verdict.SERVICE, 0),
        (Verdict.UNREACHABLE, 0),
        (Verdict.CHALLENGE, 0),
        (Verdict.REQUEST, 0),
        (Verdict.REASONING, 0),
    ],
)
def test_other_failures_rest_an_account_only_when_they_are_its_own(verdict: Verdict, rest: float) -> None:
    pool = pool_of(1, Clock())
    report(pool, lease(pool), verdict, after_s=50)
    assert wait_s(pool) == rest


def test_a_forbidden_account_rests_for_all_models() -> None:
    pool = pool_of(2, Clock())
    first = lease(pool)
    report(pool, first, Verdict.FORBIDDEN)
    assert lease(pool, model=SPARK).account != first.account


def test_a_success_shows_that_an_account_is_not_forbidden_any_more() -> None:
    pool = pool_of(1, Clock())
    report(pool, (got := lease(pool)), Verdict.FORBIDDEN)
    report(pool, got, model=SPARK)
    assert wait_s(pool) == 0


def test_a_cooldown_counts_for_its_model_family_only() -> None:
    pool = pool_of(2, Clock())
    first = lease(pool)
    report(pool, first, Verdict.LIMIT, after_s=60, model=SPARK)
    assert lease(pool, model="gpt-5.5").account == lease(pool, model=None).account == first.account
    assert lease(pool, model=SPARK).account != first.account
    report(pool, first, model="gpt-5.5")
    assert lease(pool, model=SPARK).account != first.account


@pytest.mark.parametrize(
    ("model", "family"), [("gpt-5.5", "codex"), (None, "codex"), ("GPT-5.3-Codex-SPARK", "spark"), ("o9", "codex")]
)
def test_spark_models_are_a_family_of_their_own(model: str | None, family: str) -> None:
    assert family_of_model(model) == family


@pytest.mark.parametrize(
    ("bucket", "used", "reset_in_s", "rests_for"),
    [
        ("codex", 100, 50, {"gpt-5.5"}),
        ("codex", 104.5, 50, {"gpt-5.5"}),
        ("codex-bengalfox", 100, 50, {SPARK}),
        ("codex_bengalfox", 100, 50, {SPARK}),
        ("GPT-5.3-Codex-Spark", 100, 50, {SPARK}),
        ("code-review", 100, 50, set()),
        ("codex", 89.9, 50, set()),
        ("codex", 100, -1, set()),
        ("codex", 100, math.nan, set()),
        ("codex", 100, None, {"gpt-5.5"}),
    ],
)
def test_a_full_window_rests_the_models_that_it_counts(
    bucket: str, used: float, reset_in_s: float | None, rests_for: set[str]
) -> None:
    pool = pool_of(2, Clock())
    first = lease(pool)
    window = Window(bucket, used, 300, None if reset_in_s is None else NOW + reset_in_s)
    report(pool, first, windows=[window])
    assert {model for model in ("gpt-5.5", SPARK) if lease(pool, model=model).account != first.account} == rests_for


def test_an_answer_proves_that_no_window_is_full() -> None:
    pool = pool_of(1, Clock())
    got = lease(pool)
    week = Window("codex", 100, 10_080, NOW + 500)
    report(pool, got, windows=[Window("codex", 100, 300, NOW + 50), week])
    assert wait_s(pool) == 500
    report(pool, got, windows=[Window("codex", 3, 300, NOW + 50)])
    assert wait_s(pool) == 0
    assert pool.status()[0].windows == (Window("codex", 3, 300, NOW + 50),)


def test_when_all_rest_the_nearest_to_its_reset_is_tried_once() -> None:
    pool = pool_of(3, Clock())
    for slot in (600, 20, 300):
        report(pool, (got := lease(pool)), Verdict.LIMIT, after_s=slot)
    nearest = lease(pool)
    assert wait_s(pool, int(nearest.account[1])) == 20
    error = exhausted(pool, tried=[nearest.account])
    assert (error.status, error.type, error.code) == (429, "rate_limit_error", "rate_limit_exceeded")
    assert (error.retry_after_s, error.should_retry) == (20, None)
    assert error.message == "All accounts have reached their limits. Try again in 20 s."
    assert got.account != nearest.account


def test_a_resting_account_is_still_tried_after_one_that_failed_without_resting() -> None:
    pool = pool_of(2, Clock())
    limited = lease(pool)
    report(pool, limited, Verdict.LIMIT, after_s=60)
    broken = lease(pool)
    report(pool, broken, Verdict.SERVICE)
    assert lease(pool, tried=[broken.account]).account == limited.account


# --- nothing left -----------------------------------------------------------------------------------------------------


def test_an_empty_pool_says_which_variable_to_set() -> None:
    error = exhausted(pool_of(0, Clock()))
    assert (error.status, error.code, error.should_retry) == (503, "no_account_configured", False)
    variables = "CHATGPT_ACCESS_TOKENS, CHATGPT_ACCOUNTS, OPENAI_API_KEY or OPENAI_BASE_URL"
    assert error.message == f"No account is configured: set {variables}."


def test_expired_tokens_are_named_by_slot() -> None:
    error = exhausted(pool_of(2, Clock(), expired=(1, 2)))
    assert (error.status, error.type, error.code) == (401, "invalid_request_error", "token_expired")
    assert error.message == "The access tokens of all accounts have expired (a1, a2): replace them."


def test_an_expired_account_is_passed_over_and_the_clock_decides() -> None:
    pool = pool_of(2, Clock(), expired=(1,))
    assert {lease(pool, talk).account[:2] for talk in "abcdefgh"} == {"a2"}
    assert len({lease(pool_of(2, lambda: NOW - 1000, expired=(1,)), talk).account for talk in "abcdefgh"}) == 2


def test_a_refused_account_is_out_for_good_and_named_by_slot() -> None:
    clock = Clock()
    pool = pool_of(3, clock, expired=(2,))
    for _ in range(2):
        report(pool, lease(pool), Verdict.ACCOUNT)
        clock.now += 10 * LONGEST_COOLDOWN_S
    error = exhausted(pool)
    assert (error.status, error.type, error.code) == (401, "invalid_request_error", "invalid_account_token")
    assert error.message == (
        "The upstream refuses the tokens or keys of these accounts (a1, a3), the others have expired (a2): "
        "replace them."
    )
    assert exhausted(pool, tried=[accounts(1)[0].name]).code == "invalid_account_token"


def test_refusals_alone_name_the_refused_slots() -> None:
    pool = pool_of(1, Clock())
    report(pool, lease(pool), Verdict.ACCOUNT)
    expected = "The upstream refuses the tokens or keys of these accounts (a1): replace them."
    assert exhausted(pool).message == expected


# --- what is remembered -----------------------------------------------------------------------------------------------


def test_counts_are_of_all_accounts_and_of_those_ready_now() -> None:
    pool = pool_of(4, Clock(), expired=(1,))
    assert pool.counts() == (4, 3)
    report(pool, lease(pool), Verdict.LIMIT, after_s=60)
    assert pool.counts() == (4, 2)
    report(pool, lease(pool), Verdict.ACCOUNT)
    assert pool.counts() == (4, 1)
    report(pool, lease(pool), Verdict.LIMIT, after_s=60, model=SPARK)
    assert pool.counts() == (4, 1)


def test_the_status_tells_what_is_known_and_no_secret() -> None:
    pool = pool_of(2, Clock(), expired=(2,))
    report(pool, lease(pool), Verdict.LIMIT, after_s=60)
    first, second = pool.status()
    assert (first.is_usable, first.resting_until, first.last_error) == (True, NOW + 60, "met_limit")
    assert (second.is_usable, second.resting_until, second.expires_at) == (False, None, NOW - 1000)
    assert CANARY not in repr((first, second))
    report(pool, lease(pool), Verdict.REQUEST)
    assert pool.status()[0].last_error == "met_limit"
    report(pool, lease(pool))
    assert pool.status()[0].last_error is None


def test_a_lease_of_another_pool_is_reported_without_harm() -> None:
    pool = pool_of(1, Clock())
    report(pool, Lease("a9-000000", "codex", {}), Verdict.ACCOUNT)
    assert pool.counts() == (1, 1)


def test_windows_that_were_read_are_known_and_prove_nothing_else() -> None:
    pool = pool_of(3, Clock(), expired=(3,))
    first = lease(pool)
    report(pool, first, Verdict.LIMIT, after_s=60)
    windows = [Window("codex", 12, 300, NOW + 500)]
    asyncio.run(pool.see(first.account, windows, NOW))
    asyncio.run(pool.see("a9-000000", windows, NOW))
    known = next(status for status in pool.status() if status.name == first.account)
    assert (known.windows, known.resting_until, known.last_error) == (tuple(windows), NOW + 60, "met_limit")
    assert first.account not in [account.name for account in pool.unseen(NOW)]
    assert {account.slot for account in pool.unseen(NOW + 1)} == {1, 2}
