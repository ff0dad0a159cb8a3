"""Settings → the credentials of ChatGPT accounts, and where what is read of their usage goes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from lib.accounts.measuring import MeasuringCredentials
from lib.accounts.pool import AccountPool
from lib.accounts.renewing import RenewingCredentials
from lib.accounts.shared import SharedPool
from lib.settings import Settings
from lib.types import Window
from lib.wired_accounts import ChatGPTAccounts
from lib.wired_upstreams import Upstreams
from tests.fakes.codex_backend import USAGE, CodexBackend
from tests.fakes.codex_behaviours import Never
from tests.fakes.tokens import jwt

TWO = '[{"access_token": "at-1", "refresh_token": "rt-1"}, {"access_token": "at-2"}]'
REDIS = "redis://127.0.0.1:1/0"


def wired(**given: Any) -> ChatGPTAccounts:
    return Upstreams(Settings(**{"_env_file": None, "chatgpt_accounts": TWO, **given}), time.time).chatgpt


def layers(found: object) -> list[type]:
    """The classes of the credentials, from the outermost in."""
    inner = getattr(found, "_inner", None)
    return [type(found), *(layers(inner) if inner is not None else [])]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [MeasuringCredentials, AccountPool]),
        ({"state_url": REDIS}, [MeasuringCredentials, RenewingCredentials, SharedPool]),
        ({"token_refresh": "on"}, [MeasuringCredentials, RenewingCredentials, AccountPool]),
        ({"state_url": REDIS, "token_refresh": "off"}, [MeasuringCredentials, SharedPool]),
        ({"state_url": REDIS, "token_url": "nonsense"}, [MeasuringCredentials, SharedPool]),
        ({"usage_max_age_s": "0"}, [AccountPool]),
        ({"chatgpt_accounts": '[{"access_token": "at-1"}]'}, [AccountPool]),
        ({"chatgpt_accounts": ""}, [AccountPool]),
        ({"chatgpt_base_url": "nonsense"}, [AccountPool]),
        ({"proxy": "nonsense", "token_refresh": "on"}, [AccountPool]),
    ],
)
def test_accounts_are_shared_renewed_and_measured_where_the_settings_say_so(
    given: dict[str, str], expected: list[type]
) -> None:
    assert layers(wired(**given).credentials) == expected


def test_that_renewal_is_off_for_want_of_a_store_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chat2api.accounts")
    wired()
    assert [record.message for record in caplog.records] == ["token.renewal_off"]


def test_only_chatgpt_accounts_are_measured() -> None:
    settings = Settings(_env_file=None, openai_api_key="sk-one,sk-two", chatgpt_access_tokens="")
    targets = Upstreams(settings, time.time).targets()
    assert [(target.name, layers(target.credentials)) for target in targets] == [("openai", [AccountPool])]


def test_what_is_read_is_known_to_the_pool() -> None:
    window = Window("codex", 96, 300, time.time() + 1000)

    async def main() -> None:
        upstreams = Upstreams(Settings(_env_file=None, chatgpt_accounts=TWO), time.time)
        pool = upstreams.pools["codex"]
        await upstreams.chatgpt.see(pool.accounts[0].name, [window], time.time())
        assert [status.windows for status in pool.status()] == [(window,), ()]
        await upstreams.aclose()

    asyncio.run(main())


def test_a_reading_that_is_under_way_ends_with_the_upstreams() -> None:
    async def main() -> None:
        given = {"chatgpt_access_tokens": f"{jwt('acct-1')},{jwt('acct-2')}", "chatgpt_base_url": backend.url}
        upstreams = Upstreams(Settings(**{"_env_file": None, **given}), time.time)
        await upstreams.chatgpt.credentials.lease(affinity="", model=None, tried=())
        async with asyncio.timeout(2):
            while len(backend.requests) < 2:
                await asyncio.sleep(0.01)
        await upstreams.aclose()
        assert len(asyncio.all_tasks()) == 1

    with CodexBackend() as backend:
        backend.always(Never(), path=USAGE)
        asyncio.run(main())
        assert backend.wait_closed() and all(request.client_left for request in backend.requests)
