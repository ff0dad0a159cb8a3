from __future__ import annotations

import asyncio

from lib.accounts.account import Account
from lib.accounts.oauth import Tokens
from lib.accounts.renewal import LONGEST_PAUSE_S, PAUSE_S, Flight, Login
from lib.accounts.rotated import Rotation
from lib.settings import AccountConfig
from tests.accounts.test_account import CANARY, NOW, jwt


def login(*, ends_in_s: float = 1000.0) -> Login:
    config = AccountConfig(jwt({"exp": NOW + ends_in_s}), refresh_token=CANARY, account_id="acct-1", email="a@b.c")
    return Login(config, Account.from_config(config, 3), early_s=300)


def test_a_flight_is_one_for_all_who_want_it_and_may_begin_again() -> None:
    async def scenario() -> None:
        flown = []

        async def work() -> None:
            await asyncio.sleep(0)
            flown.append(1)

        flight = Flight()
        await flight.land()
        for count in (1, 2):
            flight.begin(work)
            flight.begin(work)
            assert flight.is_up
            await asyncio.gather(flight.land(), flight.land())
            assert (flight.is_up, len(flown)) == (False, count)

    asyncio.run(scenario())


def test_a_flight_of_another_loop_is_over() -> None:
    flight = Flight()

    async def begin() -> None:
        flight.begin(lambda: asyncio.sleep(60))
        assert flight.is_up

    async def look() -> None:
        assert not flight.is_up
        await flight.land()

    asyncio.run(begin())
    asyncio.run(look())


def test_a_login_is_due_before_its_end_after_a_refusal_and_while_it_is_not_kept() -> None:
    one = login()
    assert [one.is_due(NOW + late_s) for late_s in (0, 699, 700, 2000)] == [False, False, True, True]
    assert [one.is_spent(NOW + late_s) for late_s in (0, 999, 1000)] == [False, False, True]
    one.next_at = NOW + 5000
    assert not one.is_due(NOW + 2000)
    refused, unkept = login(), login()
    refused.is_refused, unkept.is_kept = True, False
    assert (refused.is_due(NOW), refused.is_spent(NOW)) == (True, True)
    assert (unkept.is_due(NOW), unkept.is_spent(NOW)) == (True, False)


def test_what_the_operator_gave_beside_the_tokens_stays() -> None:
    one = login()
    one.is_refused = True
    one.take(Rotation(1, Tokens(jwt({"exp": NOW + 9000}), "rt.2")))
    assert (one.account.slot, one.account.account_id, one.account.email) == (3, "acct-1", "a@b.c")
    assert (one.account.expires_at, one.is_refused, one.rotation.number) == (NOW + 9000, False, 1)


def test_pauses_grow_up_to_a_limit() -> None:
    one = login()
    pauses = []
    for _ in range(40):
        one.pause(NOW)
        pauses.append(one.next_at - NOW)
    assert pauses[:3] == [PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
