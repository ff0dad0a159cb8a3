from __future__ import annotations

from dataclasses import replace

from lib.accounts.member import EVERY, Member
from lib.accounts.standing import Rest, Seen, Standing, decode, encode
from lib.types import Window
from tests.accounts.test_account import CANARY, NOW
from tests.accounts.test_pool import accounts

FULL = Window("codex", 100, 300, NOW + 1000)


def member() -> Member:
    return Member(accounts(1)[0])


def test_an_answer_that_began_before_the_limit_says_nothing_about_it() -> None:
    one = member()
    one.rest("codex", NOW + 60, NOW)
    one.answered("codex", NOW - 1)
    assert one.wait_s("codex", NOW) == 60
    one.answered("codex", NOW + 1)
    assert one.wait_s("codex", NOW) == 0


def test_windows_of_an_older_answer_do_not_replace_newer_ones() -> None:
    one = member()
    one.see([FULL], NOW)
    one.see([Window("codex", 3, 300, NOW + 1000)], NOW - 10)
    one.answered("codex", NOW - 10)
    assert one.windows == (FULL,)


def test_an_account_that_was_found_awake_is_not_put_to_rest_by_older_news() -> None:
    others = Standing(
        {"codex": Rest(NOW + 60, NOW), EVERY: Rest(NOW + 70, NOW)}, {}, (Seen("codex", 100, 300, NOW + 80, NOW),)
    )
    one = member()
    one.learn(others)
    assert one.wait_s("codex", NOW) == 80
    one.answered("codex", NOW + 1)
    one.learn(others)
    assert (one.wait_s("codex", NOW), one.windows) == (0, ())
    other = member()
    other.learn(others)
    other.learn(one.standing)
    assert (other.wait_s("codex", NOW), other.windows) == (0, ())


def test_a_full_window_without_a_rest_is_disproved_for_the_others_too() -> None:
    one, other = member(), member()
    one.see([FULL], NOW)
    other.learn(one.standing)
    one.answered("codex", NOW + 1)
    assert other.wait_s("codex", NOW) == 1000
    other.learn(one.standing)
    assert other.wait_s("codex", NOW) == 0


def test_a_refusal_is_of_one_token_and_a_renewed_account_is_good() -> None:
    one, other = member(), member()
    one.refuse(NOW)
    other.learn(one.standing)
    assert not one.is_usable(NOW)
    assert not other.is_usable(NOW)
    renewed = Member(replace(one.account, token="at-new"))
    renewed.learn(one.standing)
    assert renewed.is_usable(NOW)
    one.rest("codex", NOW + 60, NOW)
    one.renew(renewed.account)
    assert one.is_usable(NOW)
    assert one.wait_s("codex", NOW) == 60


def test_what_is_told_to_others_holds_no_token() -> None:
    one = member()
    one.refuse(NOW)
    assert CANARY not in repr(one.standing)


def test_a_standing_that_was_handed_out_does_not_change() -> None:
    one = member()
    before = one.standing
    one.refuse(NOW)
    one.rest("codex", NOW + 60, NOW)
    one.see([FULL], NOW)
    assert before == Standing()


def test_a_full_window_is_no_wall_for_who_has_credits_but_others_go_first() -> None:
    one = member()
    one.see([replace(FULL, has_credits=True)], NOW)
    assert one.wait_s("codex", NOW) == 0
    assert one.nearness("codex", NOW) > 0
    one.see([FULL], NOW + 1)
    assert one.wait_s("codex", NOW) == 1000


def test_credits_are_told_to_others() -> None:
    one, other = member(), member()
    one.see([replace(FULL, has_credits=True)], NOW)
    told = decode(encode(one.standing))
    assert told is not None
    other.learn(told)
    assert other.wait_s("codex", NOW) == 0
