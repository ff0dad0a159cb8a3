"""The operator's view: every account with its state, and what asking for usage does to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from lib.accounts.pool import AccountStatus
from lib.settings import Settings
from lib.status import USAGE_PAUSE_S, Status, state_of
from lib.types import Outcome
from lib.wired_upstreams import Upstreams
from tests.fakes.codex_backend import TOKEN, USAGE, CodexBackend
from tests.fakes.codex_behaviours import Behaviour, challenge, http_error
from tests.fakes.redis_server import redis_server
from tests.fakes.tokens import jwt
from tests.journeys.secrets_kept import leaked

HOUR = 3600.0


Then = Callable[[Status, Upstreams], Awaitable[Any]]


def run(then: Then, *, now: Callable[[], float] = time.time, **given: Any) -> Any:
    async def main() -> Any:
        settings = Settings(_env_file=None, **given)
        upstreams = Upstreams(settings, now)
        upstreams.targets()
        try:
            return await then(Status(settings, upstreams, now), upstreams)
        finally:
            await upstreams.aclose()

    return asyncio.run(main())


def report(**given: Any) -> dict[str, Any]:
    async def then(status: Status, _: Upstreams) -> dict[str, Any]:
        return status.report()

    found: dict[str, Any] = run(then, **given)
    return found


def states(found: dict[str, Any]) -> list[str]:
    return [account["state"] for account in found["accounts"]]


def test_without_any_account_the_demo_answers() -> None:
    found = report(auth_tokens="sk-1")
    assert found["upstreams"] == [{"name": "demo", "host": None}]
    assert found["accounts"] == []


def test_accounts_and_keys_stand_side_by_side() -> None:
    found = report(
        chatgpt_accounts=f'[{{"access_token": "{jwt("acct-1", plan="pro")}", "refresh_token": "rt", '
        '"proxy": "http://user:pass@one.example:80"}]',
        token_refresh="on",
        openai_api_key="sk-one,sk-two",
    )
    first, *keys = found["accounts"]
    assert (first["plan"], first["has_proxy"], first["is_renewed"]) == ("pro", True, True)
    assert first["expires_at"] == pytest.approx(time.time() + 240 * HOUR, abs=60)
    assert [(key["name"][:3], key["upstream"], key["has_proxy"]) for key in keys] == [
        ("k1-", "openai", False),
        ("k2-", "openai", False),
    ]
    assert [each["host"] for each in found["upstreams"]] == ["chatgpt.com", "api.openai.com"]


@pytest.mark.parametrize(
    ("mode", "store", "renewed"),
    [
        ("on", "", True),
        ("auto", "", False),
        ("auto", "redis://one.example/0", True),
        ("off", "redis://one.example/0", False),
    ],
)
def test_an_account_renews_itself_where_the_new_tokens_are_kept(mode: str, store: str, renewed: bool) -> None:
    account = f'[{{"access_token": "{jwt("acct-1")}", "refresh_token": "rt"}}]'
    (found,) = report(chatgpt_accounts=account, token_refresh=mode, state_url=store)["accounts"]
    assert found["is_renewed"] is renewed


def test_an_unusable_address_has_no_host() -> None:
    found = report(openai_api_key="sk-one", openai_base_url="nonsense")
    assert [(each["name"], each["host"]) for each in found["upstreams"]] == [("openai", None)]
    assert [problem["variable"] for problem in found["problems"]] == ["OPENAI_BASE_URL"]


def test_a_state_is_told_by_what_the_pool_remembers() -> None:
    def status(**told: Any) -> AccountStatus:
        fixed = {"plan": None, "expires_at": None, "is_usable": True, "resting_until": None}
        return AccountStatus(**{"name": "a1-aaaaaa", "last_error": None, "windows": (), **fixed, **told})

    assert state_of(status(), 1000) == "ready"
    assert state_of(status(resting_until=1060.0), 1000) == "resting"
    assert state_of(status(is_usable=False, expires_at=9000.0), 1000) == "refused"
    assert state_of(status(is_usable=False, expires_at=600.0), 1000) == "expired"


def test_usage_is_asked_for_once_in_a_while_and_says_who_rests_and_who_is_refused() -> None:
    tokens = [jwt("acct-1"), jwt("acct-2"), jwt("acct-3"), jwt("acct-4", expires_in_s=-HOUR)]
    clock = [time.time()]

    async def then(status: Status, _: Upstreams) -> list[dict[str, Any]]:
        await status.measure()
        await status.measure()
        asked = len(backend.requests)
        clock[0] += USAGE_PAUSE_S
        await status.measure()
        assert (asked, len(backend.requests)) == (3, 5)  # the refused and the expired one are left alone
        return [status.report()]

    with CodexBackend() as backend:
        backend.accounts["acct-1"].primary_percent = 42
        backend.accounts["acct-2"].exhausted_until = clock[0] + HOUR
        backend.accounts.revoked[tokens[2]] = "token_invalidated"
        (found,) = run(then, now=lambda: clock[0], chatgpt_access_tokens=",".join(tokens), chatgpt_base_url=backend.url)
        assert {request.path for request in backend.requests} == {USAGE}
    assert states(found) == ["ready", "resting", "refused", "expired"]
    assert [window["used_percent"] for window in found["accounts"][0]["windows"]] == [42.0, 12.0]
    assert found["accounts"][2]["last_error"] == "token_invalidated"
    assert not leaked(msgspec.json.encode(found).decode(), tokens)


@pytest.mark.parametrize("trouble", [challenge(), http_error(401, {"detail": "Unauthorized"})], ids=["403", "401"])
def test_a_usage_report_that_fails_changes_nothing(trouble: Behaviour) -> None:
    async def then(status: Status, upstreams: Upstreams) -> dict[str, Any]:
        pool = upstreams.pools["codex"]
        lease = await pool.lease(affinity="", model=None, tried=())
        await pool.report(lease, Outcome(), None)
        await status.measure()
        return status.report()

    with CodexBackend() as backend:
        backend.always(trouble, path=USAGE)
        found = run(then, chatgpt_access_tokens=jwt("acct-1"), chatgpt_base_url=backend.url)
    assert states(found) == ["ready"]
    assert found["accounts"][0]["last_error"] is None


def test_usage_that_is_read_is_known_to_other_instances_and_a_refused_token_is_renewed() -> None:
    with CodexBackend() as backend, redis_server() as server:
        token = jwt("acct-1")
        entries = [
            {"access_token": token, "refresh_token": backend.authority.issue("acct-1")},
            {"access_token": jwt("acct-2")},
        ]
        given: dict[str, Any] = {
            "chatgpt_accounts": msgspec.json.encode(entries).decode(),
            "chatgpt_base_url": backend.url,
            "token_url": f"{backend.url}{TOKEN}",
            "state_url": server.url,
        }
        backend.accounts["acct-2"].primary_percent = 96
        backend.accounts.revoked[token] = "token_invalidated"

        async def measured(status: Status, _: Upstreams) -> dict[str, Any]:
            await status.measure()
            return status.report()

        async def told(_: Status, upstreams: Upstreams) -> str:
            lease = await upstreams.chatgpt.credentials.lease(affinity="", model=None, tried=())
            windows = upstreams.pools["codex"].status()[1].windows
            assert [window.used_percent for window in windows] == [96, 12]
            return lease.headers["chatgpt-account-id"]

        assert states(run(measured, **given)) == ["ready", "ready"]
        assert [request.path for request in backend.requests].count(TOKEN) == 1
        assert run(told, **given) == "acct-1"
