from __future__ import annotations

import asyncio

import pytest

from lib.accounts.pool import AccountPool
from lib.accounts.standing import Seen
from lib.accounts.usage import family_of_bucket, nearness, seen_at
from lib.types import Outcome, Window
from tests.accounts.test_account import NOW
from tests.accounts.test_pool import SPARK, Clock, lease, pool_of, report


def seen(used: float, minutes: int | None = 300, *, bucket: str = "codex", reset_in_s: float | None = 60) -> Seen:
    return Seen(bucket, used, minutes, None if reset_in_s is None else NOW + reset_in_s, NOW)


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([], 0),
        ([seen(0), seen(89.9, 10_080)], 0),
        ([seen(90)], 2),
        ([seen(90, 10_080)], 3),
        ([seen(90, 43_200)], 3),
        ([seen(95)], 4),
        ([seen(94.9), seen(95, 10_080)], 5),
        ([seen(98), seen(97, 10_080)], 6),
        ([seen(98), seen(99.5, 10_080)], 7),
        ([seen(99, reset_in_s=0)], 0),
        ([seen(99, reset_in_s=None)], 6),
        ([seen(99, None, reset_in_s=None)], 6),
        ([Seen("codex", 99, 300, None, NOW - 300 * 60)], 0),
        ([seen(99, bucket="codex-bengalfox"), seen(99, bucket="code-review")], 0),
        ([seen(float("nan"))], 0),
    ],
)
def test_nearness_to_a_limit_goes_by_steps_and_by_length(windows: list[Seen], expected: int) -> None:
    assert nearness(windows, "codex", NOW) == expected


def test_buckets_of_spark_models_are_a_family_of_their_own() -> None:
    found = {bucket: family_of_bucket(bucket) for bucket in ("codex", "codex-bengalfox", "X-Spark", "code-review")}
    assert list(found.values()) == ["codex", "spark", "spark", None]


def test_windows_of_other_families_do_not_tell_when_an_account_was_seen() -> None:
    windows = [seen(5), Seen("codex", 5, 10_080, None, NOW - 7), Seen("codex-bengalfox", 5, 300, None, NOW + 9)]
    assert [seen_at(windows, family) for family in ("codex", "spark", "other")] == [NOW, NOW + 9, 0]


def used(pool: AccountPool, percent: float, minutes: int = 300, bucket: str = "codex") -> str:
    """Reports so much use of the account that is first for the conversation, and returns its name."""
    first = lease(pool)
    report(pool, first, windows=[Window(bucket, percent, minutes, NOW + 1000)])
    return first.account


def test_a_conversation_stays_with_its_account_below_the_first_step_and_leaves_it_there() -> None:
    pool = pool_of(2, Clock())
    first = used(pool, 89.9)
    assert lease(pool).account == first
    used(pool, 90)
    assert lease(pool).account != first
    assert lease(pool, model=SPARK).account == first


def test_an_account_that_is_nearly_used_up_is_still_better_than_none_and_than_one_that_rests() -> None:
    pool = pool_of(2, Clock())
    nearly = used(pool, 99)
    other = lease(pool).account
    assert lease(pool, tried=[other]).account == nearly
    asyncio.run(pool.report(lease(pool), Outcome(None, [Window("codex", 100, 300, NOW + 5)]), None))
    assert lease(pool).account == nearly


def test_among_nearly_used_up_accounts_the_long_window_is_spared() -> None:
    pool = pool_of(2, Clock())
    weekly = used(pool, 91, 10_080)
    hourly = used(pool, 91)
    assert lease(pool).account == hourly != weekly


def test_a_reset_brings_the_conversation_back() -> None:
    clock = Clock()
    pool = pool_of(2, clock)
    first = used(pool, 95)
    assert lease(pool).account != first
    clock.now += 1000
    assert lease(pool).account == first
